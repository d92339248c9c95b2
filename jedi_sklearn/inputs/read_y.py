"""Conversion of every accepted kind of y to `Targets`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils import column_or_1d

from .checks import check_has_labels, check_has_student, check_n_rows, check_names
from .containers import datasets_of_column, is_column
from .labels import (
    UNKNOWN,
    Labels,
    composite_classes,
    encode_labels,
    one_dimensional,
)
from .multidataset import MultiDataset, MultiTarget, is_row_wise


class Targets(NamedTuple):
    """Labels of the datasets that have any.

    Attributes
    ----------
    labels : dict of str to Labels
        In sorted order of the datasets.
    composite : bool
        Whether labels of all datasets in one array are written ``"dataset/label"``,
        not as they are.
    """

    labels: dict[str, Labels]
    composite: bool

    def reported(self, dataset: str, classes: npt.NDArray) -> npt.NDArray:
        """Return the classes of a dataset as they are written in one array of all."""
        return composite_classes(dataset, classes) if self.composite else classes

    @property
    def classes(self) -> dict[str, npt.NDArray]:
        """Classes of each dataset that has labels."""
        return {name: labels.classes for name, labels in self.labels.items()}


def read_targets(
    y: Any, datasets: MultiDataset, known: Mapping[str, npt.NDArray] | None = None
) -> Targets:
    """Return the labels of each dataset that has any, in the order of its rows.

    Parameters
    ----------
    y : mapping of str to array-like, MultiTarget or array-like of shape (n_rows,)
    datasets : MultiDataset of n_rows rows
    known : mapping of str to ndarray, optional
        Classes of each dataset where its rows need not have all of them.

    Raises
    ------
    ValueError
        If y is None, does not match the rows, or holds no class labels.
    """
    if y is None:
        raise ValueError(
            "JEDIClassifier requires y to be passed, but the target y is None."
        )
    if isinstance(y, Mapping):
        sizes = {table.name: len(rows) for table, rows in datasets.parts()}
        check_names(y, sizes)
        for name in y:
            check_n_rows(name, sizes[name], len(one_dimensional(y[name], name)))
        if isinstance(y, MultiTarget) and not np.array_equal(y.groups, datasets.groups):
            raise ValueError(
                "The rows of y are of other datasets than those of X; index both alike."
            )
        labels = {name: encode_labels(y[name], name) for name in y}
        composite = True
    else:
        labels, composite = _read_rows(y, datasets, known or {})
    labelled = {n: labels[n] for n in sorted(labels) if labels[n].labelled.any()}
    return Targets(labelled, composite)


def check_kinds(X: Any, y: Any, what: str = "y") -> None:
    """Raise ValueError where X is a dict of datasets and y one array over all rows."""
    if y is None or isinstance(y, Mapping):
        return
    if not is_row_wise(X) and len(X) > 1:
        raise ValueError(
            f"X is a mapping of the datasets {list(X)}, in which rows have no common "
            f"order, but {what} is not one; give {what} as a mapping of the same names."
        )


def check_trainable(y: Any, labels: dict[str, Labels]) -> None:
    """Raise ValueError where a dataset has too few labels to train a classifier."""
    if isinstance(y, Mapping) and not isinstance(y, MultiTarget):
        for name in y:
            check_has_labels(name, name in labels)
    if not labels:
        raise ValueError("y has no label at all; at least one dataset must have some.")
    for name, own in labels.items():
        if len(own.classes) == 1:
            (label,) = own.classes.tolist()
            raise ValueError(
                f"Dataset {name!r} has only one class, {label!r}; a classifier needs "
                "two or more (-1, None and NaN mark unlabelled rows)."
            )


def check_classes(
    announced: Any, targets: Targets, known: Mapping[str, npt.NDArray]
) -> None:
    """Raise ValueError for a label, here or announced, that a student does not know.

    Parameters
    ----------
    announced : mapping of str to array-like, array-like or None
        The parameter `classes` of partial_fit: labels of each dataset, or all of them
        as they are reported.
    targets : Targets
    known : mapping of str to ndarray
        Classes of the student of each dataset.
    """
    for name, labels in targets.labels.items():
        check_has_student(name, list(known))
        _check_known(name, labels.classes, known[name])
    if isinstance(announced, Mapping):
        for name, labels in announced.items():
            check_has_student(name, list(known))
            _check_known(name, np.asarray(labels), known[name])
    elif announced is not None:
        reported = [targets.reported(name, labels) for name, labels in known.items()]
        _check_known(
            " and ".join(known), np.asarray(announced), np.concatenate(reported)
        )


def _check_known(dataset: str, labels: npt.NDArray, known: npt.NDArray) -> None:
    unknown = Labels(labels, np.arange(len(labels))).codes_in(known) == UNKNOWN
    if unknown.any():
        raise ValueError(
            f"Dataset {dataset!r} has the label {labels[unknown].tolist()[0]!r}, which "
            f"its student does not know; that knows {known.tolist()}. The first fit "
            "must have seen all labels."
        )


def _read_rows(
    y: Any, datasets: MultiDataset, known: Mapping[str, npt.NDArray]
) -> tuple[dict[str, Labels], bool]:
    """Read labels in one array over all rows, and say whether they are composite."""
    groups = datasets.groups
    check_same_order(y, groups, "y")
    if not is_column(y):
        y = column_or_1d(y, warn=True)
    y = one_dimensional(y, " and ".join(datasets))
    if len(y) != len(groups):
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has "
            f"{len(groups)} rows, y has {len(y)} labels."
        )
    composite = _are_composite(y, groups)
    if not composite and not datasets.labelled().all():
        # Tools of scikit-learn that encode y before they call fit make a class of the
        # marks of unlabelled rows. X still knows which these are.
        y = np.where(datasets.labelled(), y.astype(object), None)
    parts = {name: y[datasets.rows_of(name)] for name in datasets}
    if composite:
        parts = {
            name: [
                None if label == name else label.removeprefix(f"{name}/")
                for label in part
            ]
            for name, part in parts.items()
        }
    (classes,) = known.values() if len(known) == 1 else (y,)
    if len(datasets) == 1 and y.dtype.kind == "i" and set(classes.tolist()) == {-1, 1}:
        # Binary problems are often labelled -1 and 1. If -1 marked unlabelled rows, one
        # class would be left, and no classifier could be trained.
        classes, codes = np.unique(y, return_inverse=True)
        return dict.fromkeys(datasets, Labels(classes, codes)), composite
    return {n: encode_labels(part, n) for n, part in parts.items()}, composite


def check_same_order(values: Any, groups: npt.NDArray[np.str_], what: str) -> None:
    """Raise ValueError where the index of a Series orders rows otherwise than X."""
    own = datasets_of_column(values)
    if own is not None and len(own) == len(groups) and not np.array_equal(own, groups):
        raise ValueError(
            f"The index level 'dataset' of {what} differs from that of X; sort both "
            "alike."
        )


def _are_composite(y: npt.NDArray, groups: npt.NDArray) -> bool:
    """Say whether labels are ``"dataset/label"`` or a bare name for unlabelled."""
    if y.dtype.kind not in "OU" or not all(isinstance(label, str) for label in y):
        return False
    unlabelled = y == groups
    prefixed = [
        label.startswith(f"{group}/") for label, group in zip(y, groups, strict=True)
    ]
    return bool(np.all(unlabelled | prefixed))
