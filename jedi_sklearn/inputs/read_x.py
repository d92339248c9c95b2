"""Every accepted kind of X becomes a `MultiDataset` here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array

from .containers import is_mapping
from .multidataset import MultiDataset


def as_multidataset(X: Any, name: str = "dataset") -> MultiDataset:
    """Return any accepted kind of X as a `MultiDataset`.

    Parameters
    ----------
    X : mapping, MultiDataset, DataFrame or array-like
        A DataFrame whose index has a level ``dataset`` holds several datasets; any
        other DataFrame and any array is one.
    name : str, default="dataset"
        Name of the dataset where X does not say it.
    """
    if isinstance(X, MultiDataset):
        return X
    if isinstance(X, pd.DataFrame):
        _check_columns(X)
        _check_levels(X)
    if has_dataset_level(X):
        datasets = _from_dataframe(X)
    elif is_mapping(X):
        datasets = MultiDataset(X)
    else:
        if not isinstance(X, pd.DataFrame):
            X = _as_table(X)
        datasets = MultiDataset({name: X})
    for table in datasets._tables:
        # Nobody else has these tables: what is found of their rows ends with them.
        table.outlives_call = False
    return datasets


def _as_table(X: Any) -> Any:
    """Return what is no mapping as an array or a sparse matrix of two dimensions."""
    try:
        return check_array(
            X, accept_sparse="csr", estimator="JEDIClassifier", input_name="X"
        )
    except (ValueError, TypeError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X cannot be read as one table of rows: {error}") from error


def _from_dataframe(X: pd.DataFrame) -> MultiDataset:
    groups = X.index.get_level_values("dataset")
    several = X.index.nlevels > 1
    X = X.droplevel("dataset") if several else X.reset_index(drop=True)
    numbers, names = pd.factorize(groups, sort=True)
    if (numbers < 0).any():
        raise ValueError("The index level 'dataset' of X has missing values.")
    stacked = MultiDataset({name: X[numbers == i] for i, name in enumerate(names)})
    order = np.empty(len(numbers), dtype=np.intp)
    order[np.argsort(numbers, kind="stable")] = np.arange(len(numbers))
    return stacked[order]


def as_students_rows(X: Any, students: Sequence[str]) -> MultiDataset:
    """Return X as a `MultiDataset` for a fitted estimator.

    Raises
    ------
    ValueError
        If X does not say which of several students its rows are for.
    """
    _check_says_whose(X, students, "there are students for")
    return as_multidataset(X, students[0])


def _check_says_whose(X: Any, names: Sequence[str], what: str) -> None:
    """Raise ValueError where X does not say of which of several datasets it is."""
    if len(names) > 1 and not is_mapping(X) and not has_dataset_level(X):
        raise ValueError(
            f"X does not say whose rows these are; {what} {list(names)}. Give a "
            f"mapping such as {{{names[0]!r}: X}}."
        )


def check_further(X: Any, datasets: MultiDataset, known: Sequence[str]) -> None:
    """Raise ValueError where further rows are not of datasets that are known."""
    _check_says_whose(X, known, "the datasets of fit are")
    for name in datasets:
        if name not in known:
            raise ValueError(
                f"Dataset {name!r} was not in fit, which had {list(known)}; only "
                "further rows of these can be learnt."
            )


def has_dataset_level(X: Any) -> bool:
    """Say whether X is a DataFrame that names each row's dataset in its index."""
    return isinstance(X, pd.DataFrame) and "dataset" in X.index.names


def is_row_wise(X: Any) -> bool:
    """Say whether results for X come as one array over all its rows."""
    return isinstance(X, MultiDataset) or not is_mapping(X)


def _check_columns(X: pd.DataFrame) -> None:
    # scikit-learn raises it too, but when names are stored, at the end of a fit.
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


def _check_levels(X: pd.DataFrame) -> None:
    # What pd.concat makes of a dict of DataFrames, unless it is told the names.
    levels = list(X.index.names)
    if X.index.nlevels > 1 and levels.count("dataset") != 1:
        raise ValueError(
            f"The index of X has the levels {levels}; one of them, and only one, must "
            "be named 'dataset', as in X.rename_axis(index=['dataset', 'row']). For "
            "one dataset, X.reset_index(drop=True) leaves the index out."
        )
