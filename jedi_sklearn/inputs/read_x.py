"""Conversion of every accepted kind of X to a `MultiDataset`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .containers import (
    as_table,
    check_dataframe,
    has_dataset_level,
    is_mapping,
    split_by_dataset,
)
from .multidataset import MultiDataset


def as_multidataset(X: Any, name: str = "dataset") -> MultiDataset:
    """Return any accepted kind of X as a `MultiDataset`.

    Parameters
    ----------
    X : mapping, MultiDataset, DataFrame or array-like
        A DataFrame whose index has a level ``dataset`` holds several datasets; any
        other DataFrame and any array is one.
    name : str, default="dataset"
        Name of the dataset where X has none.
    """
    if isinstance(X, MultiDataset):
        return X
    check_dataframe(X)
    if has_dataset_level(X):
        parts, order = split_by_dataset(X)
        datasets = MultiDataset(parts)[order]
    else:
        datasets = MultiDataset(X if is_mapping(X) else {name: as_table(X)})
    for table in datasets._tables:
        # Nobody else has these tables: what is found of their rows ends with them.
        table.outlives_call = False
    return datasets


def as_students_rows(X: Any, students: Sequence[str]) -> MultiDataset:
    """Return X as a `MultiDataset` for a fitted estimator.

    Raises
    ------
    ValueError
        If there are several students and X does not name the datasets of its rows.
    """
    _check_says_whose(X, students, "there are students for")
    return as_multidataset(X, students[0])


def _check_says_whose(X: Any, names: Sequence[str], what: str) -> None:
    """Raise ValueError where X could be of any of several datasets."""
    if len(names) > 1 and not is_mapping(X) and not has_dataset_level(X):
        raise ValueError(
            f"X does not say whose rows these are; {what} {list(names)}. Give a "
            f"mapping such as {{{names[0]!r}: X}}."
        )


def check_further(X: Any, datasets: MultiDataset, known: Sequence[str]) -> None:
    """Raise ValueError where further rows are of a dataset that fit did not have."""
    _check_says_whose(X, known, "the datasets of fit are")
    for name in datasets:
        if name not in known:
            raise ValueError(
                f"Dataset {name!r} was not in fit, which had {list(known)}; only "
                "further rows of these can be learnt."
            )
