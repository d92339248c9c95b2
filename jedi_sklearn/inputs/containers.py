"""Kinds of containers: DataFrames, sparse matrices, arrays, memory maps and lists.

No other module of this folder knows them. Support for a further kind of table belongs
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import check_array

Rows = npt.NDArray[np.intp]

# Level of an index that names the dataset of each row.
LEVEL = "dataset"


def is_mapping(X: Any) -> bool:
    """Say whether X is a mapping of datasets.

    SciPy's matrices in DOK format are dicts too, but of the numbers in one table.
    """
    return isinstance(X, Mapping) and not _is_sparse(X)


def is_list(values: Any) -> bool:
    """Say whether values are a plain sequence, without shape or dtype."""
    return isinstance(values, list | tuple)


def is_column(values: Any) -> bool:
    """Say whether values are a list or a column of a table."""
    return is_list(values) or isinstance(values, pd.Series | pd.Index)


def _is_sparse(values: Any) -> bool:
    return hasattr(values, "tocsr")


def has_dataset_level(X: Any) -> bool:
    """Say whether X is a DataFrame that names each row's dataset in its index."""
    return isinstance(X, pd.DataFrame) and LEVEL in X.index.names


def datasets_of_column(values: Any) -> npt.NDArray | None:
    """Return the dataset of each value where the index of a Series names it."""
    if isinstance(values, pd.Series) and LEVEL in values.index.names:
        return np.asarray(values.index.get_level_values(LEVEL))
    return None


def column_names(values: Any) -> list[Any]:
    """Return the names of the features, none where they have no names."""
    return list(getattr(values, "columns", ()))


def take_rows(values: Any, rows: Rows) -> Any:
    """Return some rows of any row-indexable, without a copy where they are a run."""
    # A slice of an array is a view, and of a memory map it reads nothing yet.
    is_run = len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
    key = slice(int(rows[0]), int(rows[0]) + len(rows)) if is_run else rows
    if hasattr(values, "iloc"):
        return values.iloc[key]
    if is_run or hasattr(values, "shape"):
        return values[key]
    return [values[row] for row in rows]


def n_rows_of(name: str, values: Any) -> int:
    """Return the number of rows of a dataset.

    Raises
    ------
    TypeError
        If the values cannot be indexed by row.
    ValueError
        If there are no rows, or no values in a row.
    """
    shape = getattr(values, "shape", ())
    if not is_list(values) and (
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
    if _is_sparse(values) and values.format not in ("csr", "lil"):
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
    """Return the number of values in a row, 1 where rows have no shape."""
    return int(np.prod(getattr(values, "shape", (1,))[1:], dtype=np.intp))


def as_table(X: Any) -> Any:
    """Return one table of rows as a DataFrame, an array or a sparse matrix.

    Raises
    ------
    TypeError, ValueError
        If X cannot be read as one.
    """
    if isinstance(X, pd.DataFrame):
        return X
    try:
        return check_array(
            X, accept_sparse="csr", estimator="JEDIClassifier", input_name="X"
        )
    except (ValueError, TypeError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X cannot be read as one table of rows: {error}") from error


def check_dataframe(X: Any) -> None:
    """Raise an error for a DataFrame with misnamed columns or levels of its index."""
    if not isinstance(X, pd.DataFrame):
        return
    # scikit-learn refuses such columns too, but at the end of a fit.
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()][0]
        raise ValueError(
            f"The columns of X have the name {twice!r} more than once; names must be "
            "unique."
        )
    kinds = sorted({type(name).__name__ for name in X.columns})
    if len(kinds) > 1 and "str" in kinds:
        raise TypeError(
            "Feature names are only supported if all are str; the columns of X have "
            f"names of types {kinds}. X.columns.astype(str) makes them all str."
        )
    # pd.concat of a dict of DataFrames makes two levels, and gives them no names.
    levels = list(X.index.names)
    if X.index.nlevels > 1 and levels.count(LEVEL) != 1:
        raise ValueError(
            f"The index of X has the levels {levels}; one of them, and only one, must "
            "be named 'dataset', as in X.rename_axis(index=['dataset', 'row']). For "
            "one dataset, X.reset_index(drop=True) leaves the index out."
        )


def split_by_dataset(X: pd.DataFrame) -> tuple[dict[Any, pd.DataFrame], Rows]:
    """Split a table by the datasets that its index names.

    Returns
    -------
    datasets : dict of str to DataFrame
        In sorted order, with the rest of the index.
    order : ndarray of int of shape (n_rows,)
        Position of each row of X among those of all datasets.
    """
    several = X.index.nlevels > 1
    numbers, names = pd.factorize(X.index.get_level_values(LEVEL), sort=True)
    if (numbers < 0).any():
        raise ValueError("The index level 'dataset' of X has missing values.")
    X = X.droplevel(LEVEL) if several else X.reset_index(drop=True)
    datasets = {name: X[numbers == i] for i, name in enumerate(names)}
    return datasets, order_when_sorted(numbers)


def order_when_sorted(numbers: Rows) -> Rows:
    """Return the position that each element has after a stable sort."""
    order = np.empty(len(numbers), dtype=np.intp)
    order[np.argsort(numbers, kind="stable")] = np.arange(len(numbers))
    return order


def is_missing(values: Any) -> npt.NDArray[np.bool_]:
    """Say which values are None, NaN or another mark of a missing one."""
    return np.asarray(pd.isna(values))


def as_array(values: Any) -> npt.NDArray:
    """Return values as an array that holds them unchanged.

    If some are missing it has dtype object: NumPy would turn integers beside NaN into
    floats, and NaN beside str into "nan". So it has for lists, in which any may be.

    Raises
    ------
    ValueError
        If they are sequences of several sizes.
    """
    if is_list(values):
        return np.array(values, dtype=object)
    if isinstance(values, np.ma.MaskedArray):
        array: npt.NDArray = values.data.astype(object)
        array[np.ma.getmaskarray(values)] = None
        return array
    if hasattr(values, "to_numpy"):
        values = values.to_numpy(dtype=object if is_missing(values).any() else None)
    return np.asarray(values)
