"""Weights of rows and of classes in the loss."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..utils.accepted import unsuitable

Vector = npt.NDArray[np.float64]

# Products and sums of weights must neither vanish in float32 nor overflow it.
LEAST_WEIGHT, MOST_WEIGHT = 1e-12, 1e12
ACCEPTED = (
    "weights are finite numbers of 0 or more, and where they are not 0 between "
    f"{LEAST_WEIGHT:g} and {MOST_WEIGHT:g}"
)


class RowWeights(NamedTuple):
    """Weights of the rows of one dataset.

    Attributes
    ----------
    rows : ndarray of shape (n_rows,)
        Factor in all terms of the loss.
    labels : ndarray of shape (n_rows,)
        Further factor in the terms that see a row's label; without meaning for rows
        that have none.
    """

    rows: Vector
    labels: Vector

    def take(self, rows: npt.NDArray[Any]) -> RowWeights:
        """Return the weights of some rows."""
        return RowWeights(self.rows[rows], self.labels[rows])


def _is_of_dataset(value: Any) -> bool:
    """Say whether a value of class_weight holds for a whole dataset, not a label."""
    if isinstance(value, str):
        return value == "balanced"
    return value is None or isinstance(value, Mapping)


def check_sample_weights(weights: Any, dataset: str, n_rows: int) -> Vector:
    """Return the weights of a dataset's rows as an array.

    Raises
    ------
    ValueError
        If they are not one finite number of 0 or more for each row.
    """
    try:
        given = np.asarray(weights)
        if given.dtype.kind == "O" and all(isinstance(w, Real) for w in given.ravel()):
            given = given.astype(np.float64)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(
            f"sample_weight of dataset {dataset!r} is not one number for each row: "
            f"{error}"
        ) from error
    if given.dtype.kind not in "biuf":
        raise ValueError(
            f"sample_weight of dataset {dataset!r} is not numeric, but of dtype "
            f"{given.dtype}."
        )
    weights = given.astype(np.float64)
    if weights.shape != (n_rows,):
        raise ValueError(
            f"Dataset {dataset!r} has {n_rows} rows in X but sample_weight has shape "
            f"{weights.shape}; there must be one weight for each row."
        )
    wrong = ~_are_weights(weights)
    if wrong.any():
        raise ValueError(
            f"sample_weight of dataset {dataset!r} has {weights[wrong][0]} in row "
            f"{int(wrong.argmax())}; {ACCEPTED}."
        )
    return weights


def _are_weights(weights: Any) -> Any:
    """Say which of some numbers a row may weigh."""
    return (weights == 0) | ((weights >= LEAST_WEIGHT) & (weights <= MOST_WEIGHT))


def class_weights_of_rows(
    class_weight: Any,
    dataset: str,
    classes: npt.NDArray[Any],
    codes: npt.NDArray[np.int64],
) -> Vector:
    """Return the weight of each row's class, 1 where the row has no label.

    Parameters
    ----------
    class_weight : None, "balanced" or mapping of label to weight
        A class that a mapping leaves out weighs 1.
    dataset : str
        Name for messages.
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n_rows,)
        Position in `classes` of each row's label, negative where it has none.

    Raises
    ------
    ValueError
        If there is a weight for an unknown label, or one that is no number of 0 or
        more.
    """
    of_class = np.ones(len(classes) + 1)  # the last, at -1, is that of no label
    if isinstance(class_weight, str):
        counts = np.bincount(codes[codes >= 0], minlength=len(classes))
        of_class[:-1] = counts.sum() / (len(classes) * np.maximum(counts, 1))
    elif class_weight is not None:
        position = {label: i for i, label in enumerate(classes.tolist())}
        for label, weight in class_weight.items():
            if label not in position:
                raise ValueError(
                    f"class_weight has a weight for {label!r}, which is no label of "
                    f"dataset {dataset!r}; its labels are {classes.tolist()}."
                )
            if not isinstance(weight, Real) or not _are_weights(weight):
                raise ValueError(
                    f"class_weight of dataset {dataset!r} has {weight!r} for "
                    f"{label!r}; {ACCEPTED}."
                )
            of_class[position[label]] = weight
    return of_class[np.maximum(codes, -1)]


def class_weight_of(
    class_weight: Any, datasets: list[str]
) -> dict[str, str | Mapping[Any, float] | None]:
    """Return the class weights of each dataset.

    Raises
    ------
    ValueError
        If it is for another dataset, or does not say for which.
    """
    if class_weight is None or isinstance(class_weight, str):
        return dict.fromkeys(datasets, class_weight)
    if len(datasets) == 1 and not any(map(_is_of_dataset, class_weight.values())):
        return {datasets[0]: class_weight}
    for name, value in class_weight.items():
        if name not in datasets or not _is_of_dataset(value):
            why = (
                f"For the labelled datasets {datasets} valid values are 'balanced', "
                "None and mappings of their names to such or to mappings of labels to "
                "weights."
            )
            raise unsuitable("class_weight", class_weight, why)
    return {name: class_weight.get(name) for name in datasets}
