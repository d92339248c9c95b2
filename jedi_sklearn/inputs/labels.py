"""Labels as users write them, and as class numbers."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils import column_or_1d

from .containers import Rows, as_array, is_list, is_missing

# Up to here float64 holds every whole number.
LARGEST_WHOLE_FLOAT = 2**53

# Codes of a row without a label, and of a label that is none of the classes.
UNLABELLED, UNKNOWN = -1, -2


class Labels(NamedTuple):
    """Labels of one dataset as numbers.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Distinct labels in sorted order, as they were written.
    codes : ndarray of shape (n_rows,), int64
        Position in `classes` of each row's label, UNLABELLED where it has none.
    """

    classes: npt.NDArray
    codes: npt.NDArray[np.int64]

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Mask of the rows that have a label."""
        return self.codes >= 0

    @property
    def known(self) -> npt.NDArray:
        """Labels, as written, of the labelled rows."""
        return self.classes[self.codes[self.labelled]]

    def take(self, rows: Rows) -> Labels:
        """Return the labels of some rows, with the classes that occur there."""
        codes = self.codes[rows]
        present, numbers = np.unique(codes[codes >= 0], return_inverse=True)
        codes[codes >= 0] = numbers
        return Labels(self.classes[present], codes)

    def codes_in(self, classes: npt.NDArray) -> npt.NDArray[np.int64]:
        """Return the labels' positions in other classes, or UNLABELLED or UNKNOWN."""
        own, other = comparable(self.classes, classes)
        position = {label: i for i, label in enumerate(other.tolist())}
        # The code UNLABELLED, -1, finds the last entry.
        table = [*(position.get(label, UNKNOWN) for label in own.tolist()), UNLABELLED]
        return np.array(table, dtype=np.int64)[self.codes]


def comparable(*classes: npt.NDArray) -> tuple[npt.NDArray, ...]:
    """Return classes of several sources so that equal labels compare equal.

    Numbers stay numbers (1 is 1.0); beside other labels all become str.
    """
    if all(c.dtype.kind in "iufb" for c in classes):
        return classes
    return tuple(c.astype(str) for c in classes)


def one_dimensional(labels: Any, dataset: str) -> npt.NDArray:
    """Return labels as a one-dimensional array, missing ones left as they are."""
    try:
        array = as_array(labels)
    except ValueError as error:
        if not is_list(labels):
            raise
        raise ValueError(
            f"Labels of dataset {dataset!r} are {type(labels).__name__}s of several "
            "sizes; one label for each row is needed."
        ) from error
    if is_list(labels) and array.ndim == 1 and not is_missing(array).any():
        array = _plain(array, dataset)
    if array.ndim == 2 and array.shape[1] == 1:
        array = column_or_1d(array, warn=True)
    if array.ndim != 1:
        raise ValueError(
            f"Labels of dataset {dataset!r} have shape {array.shape}; one label for "
            "each row is needed."
        )
    return array


def missing_labels(labels: npt.NDArray) -> npt.NDArray[np.bool_]:
    """Return the mask of unlabelled rows: -1 among integers, None or NaN."""
    if labels.dtype.kind in "iu":
        return labels == -1
    missing = is_missing(labels)
    # Integers beside None or NaN make an array of objects.
    if labels.dtype.kind == "O" and not missing.all():
        known = labels[~missing]
        if all(isinstance(label, int | np.integer) for label in known):
            missing[~missing] = [label == -1 for label in known]
    return missing


def encode_labels(labels: Any, dataset: str) -> Labels:
    """Return the labels of a dataset as numbers.

    Raises
    ------
    ValueError
        If labels are of several kinds, infinite or no class labels.
    """
    labels = one_dimensional(labels, dataset)
    labelled = ~missing_labels(labels)
    codes = np.full(len(labels), UNLABELLED, dtype=np.int64)
    known = _plain(labels[labelled], dataset)
    if not len(known):
        return Labels(known, codes)
    _check_kind(known, dataset)
    classes, codes[labelled] = np.unique(known, return_inverse=True)
    return Labels(classes, codes)


def _plain(known: npt.NDArray, dataset: str) -> npt.NDArray:
    """Return an array of objects as an array of the objects' type."""
    if known.dtype.kind != "O" or not len(known):
        return known
    kinds = {_kind_of(label) for label in known}
    if kinds == {"str", "number"}:
        raise ValueError(
            f"Labels of dataset {dataset!r} mix str and numbers; use one kind."
        )
    if any(isinstance(label, str) and label.endswith("\0") for label in known):
        raise ValueError(
            f"A label of dataset {dataset!r} ends with NUL, which NumPy leaves out; "
            "take another character."
        )
    if strange := sorted(kinds - {"str", "number"}):
        raise ValueError(
            f"Unknown label type: {' and '.join(strange)} (labels of dataset "
            f"{dataset!r}). Labels are str, whole numbers or bool."
        )
    return np.array(known.tolist())


def _kind_of(label: Any) -> str:
    if isinstance(label, str):
        return "str"
    return "number" if isinstance(label, Real | np.bool_) else type(label).__name__


def _check_kind(known: npt.NDArray, dataset: str) -> None:
    """Raise ValueError for an array of values that are no class labels."""
    is_float = known.dtype.kind == "f"
    if is_float and (np.abs(known.astype(np.float64)) > LARGEST_WHOLE_FLOAT).any():
        raise ValueError(
            "Input y contains infinity or a value too large for a label (dataset "
            f"{dataset!r})."
        )
    if is_float and (known != np.round(known)).any():
        raise ValueError(
            f"Unknown label type: continuous (labels of dataset {dataset!r}). Labels "
            "are str, whole numbers or bool; one is a number with a fraction, as in a "
            "regression."
        )
    if known.dtype.kind not in "biufU":
        raise ValueError(
            f"Unknown label type: {known.dtype.type.__name__} (labels of dataset "
            f"{dataset!r}). Labels are str, whole numbers or bool."
        )


def composite_labels(dataset: str, labels: npt.NDArray) -> npt.NDArray[np.str_]:
    """Return ``"dataset/label"`` for each row, the bare name where unlabelled."""
    classes, codes = encode_labels(labels, dataset)
    names = [*composite_classes(dataset, classes), dataset]
    return np.array(names)[codes]


def composite_classes(dataset: str, classes: npt.NDArray) -> npt.NDArray[np.str_]:
    """Return ``"dataset/label"`` for each class."""
    return np.array([f"{dataset}/{label}" for label in classes.tolist()], dtype=str)
