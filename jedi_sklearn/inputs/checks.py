"""Checks of datasets' names and numbers of rows against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def check_has_student(name: str, students: Sequence[str]) -> None:
    """Raise ValueError where a dataset has no student."""
    if name not in students:
        raise ValueError(
            f"Dataset {name!r} has no student; there are students for {list(students)}."
        )


def check_same_students(labelled: Sequence[str], students: Sequence[str]) -> None:
    """Raise ValueError where a warm start labels other datasets."""
    if list(labelled) != list(students):
        raise ValueError(
            f"With warm_start=True y must label the datasets of the last fit, "
            f"{list(students)}, got {list(labelled)}."
        )


def check_names(
    given: Mapping[str, Any], known: Mapping[str, Any], what: str = "y has labels"
) -> None:
    """Raise ValueError for a dataset that X does not have."""
    for name in given:
        if name not in known:
            raise ValueError(
                f"{what} for dataset {name!r}, which is not in X; the datasets "
                f"of X are {sorted(known)}."
            )


def check_has_labels(name: str, has_labels: bool) -> None:
    """Raise ValueError where y names a dataset but holds no label for it."""
    if not has_labels:
        raise ValueError(
            f"Dataset {name!r} has no labels in y (all are -1, None or NaN); leave it "
            "out of y if it is meant to be wholly unlabelled."
        )


def check_n_rows(name: str, n_rows: int, n_labels: int) -> None:
    """Raise ValueError where X and y have different numbers of rows."""
    if n_rows != n_labels:
        raise ValueError(
            f"Dataset {name!r} has {n_rows} rows in X but {n_labels} labels in y; "
            "there must be one label for each row (-1, None or NaN where unknown)."
        )
