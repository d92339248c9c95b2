"""Containers of rows: how many rows one has, how wide they are, and some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]


def is_mapping(X: Any) -> bool:
    """Say whether X is a mapping of datasets.

    SciPy's matrices in DOK format are dicts too, but of the numbers in one table.
    """
    return isinstance(X, Mapping) and not hasattr(X, "tocsr")


def take_rows(values: Any, rows: Rows) -> Any:
    """Return some rows of any row-indexable, without a copy where they are a run."""
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        run = slice(int(rows[0]), int(rows[0]) + len(rows))
        return values.iloc[run] if hasattr(values, "iloc") else values[run]
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if hasattr(values, "shape"):
        return values[rows]
    return [values[row] for row in rows]


def n_rows_of(name: str, values: Any) -> int:
    """Return how many rows the values of a dataset have.

    Raises
    ------
    TypeError
        If the values cannot be indexed by row.
    ValueError
        If there are no rows, or no values in a row.
    """
    shape = getattr(values, "shape", ())
    is_sequence = isinstance(values, list | tuple)
    if not is_sequence and (
        not isinstance(shape, tuple)
        or not shape
        or is_mapping(values)
        or isinstance(values, memoryview)
    ):
        raise TypeError(
            f"Dataset {name!r} must be indexable by row (an array, a DataFrame, a "
            f"sparse matrix or a list), got {type(values)}."
        )
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(
            f"Dataset {name!r} is a masked array, whose mask most estimators ignore; "
            "give an array, such as X.filled(np.nan), or leave rows out."
        )
    if hasattr(values, "tocsr") and values.format not in ("csr", "lil"):
        raise TypeError(
            f"Dataset {name!r} is a sparse matrix in {values.format} format, whose "
            "rows cannot be selected; convert it with .tocsr()."
        )
    n_rows = values.shape[0] if hasattr(values, "shape") else len(values)
    if n_rows == 0:
        raise ValueError(f"Dataset {name!r} has no rows; at least one is needed.")
    if row_size(values) == 0:
        raise ValueError(
            f"Dataset {name!r} has 0 feature(s) (shape={values.shape}); a row has at "
            "least one value."
        )
    return int(n_rows)


def row_size(values: Any) -> int:
    """Return how many values a row has, 1 where rows have no shape."""
    return int(np.prod(getattr(values, "shape", (1,))[1:], dtype=np.intp))
