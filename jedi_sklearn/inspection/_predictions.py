"""True labels of rows beside the labels that each model predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..inputs.labels import Labels, comparable, encode_labels
from ..metrics import Scored
from ..utils.errors import named_errors

# Name of the dataset where labels are one array.
_UNNAMED = "dataset"


def answers_of(scored: Mapping[str, Scored]) -> pd.DataFrame:
    """Return the true and the predicted labels of all labelled rows.

    Parameters
    ----------
    scored : mapping of str to Scored
        Scores of the models for each dataset.

    Returns
    -------
    answers : DataFrame
        One row for each labelled row, columns dataset, label, expert, student and
        teacher.
    """
    answers = {}
    for name, dataset in scored.items():
        codes, classes = dataset.codes, _objects(dataset.classes)
        # A label that the models do not know is written as y has it.
        label = np.where(codes >= 0, classes[codes], _objects(dataset.labels.known))
        best = {m: classes[s.argmax(axis=1)] for m, s in dataset.scores.items()}
        answers[name] = {"label": label, **best}
    return _joined(answers)


def answers_of_predictions(y_true: Any, predictions: Mapping[str, Any]) -> pd.DataFrame:
    """Return the same as `answers_of`, for labels that somebody else predicted.

    Parameters
    ----------
    y_true : mapping of str to array-like, or array-like of shape (n_samples,)
    predictions : mapping of str to object
        Predicted labels by model: each a mapping where y_true is one, else an array.
        Models with None are left out.

    Raises
    ------
    ValueError
        If the predictions of a model do not match y_true.
    """
    models = given_models(predictions)
    answers = {}
    for name, labels in read_labels(y_true).items():
        columns = {"label": _whole(labels.known)}
        for model, predicted in models.items():
            own = of_dataset(predicted, name, y_true, model)
            with named_errors(f"What the {model} predicts cannot be read"):
                found = encode_labels(own, name)
            if not found.labelled.all():
                raise ValueError(
                    f"{model} predicts -1, None or NaN for dataset {name!r}, marks of "
                    "rows without a label; give the class another name."
                )
            check_n_rows(found.codes, name, labels, model)
            columns[model] = _whole(found.known)[labels.labelled]
        arrays = comparable(*columns.values())
        answers[name] = dict(zip(columns, arrays, strict=True))
    return _joined(answers)


def given_models(predictions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the predictions of the models that have any."""
    given = {model: own for model, own in predictions.items() if own is not None}
    if not given:
        raise ValueError(
            f"No predictions are given; one of {list(predictions)} is needed."
        )
    return given


def read_labels(y_true: Any) -> dict[str, Labels]:
    """Return the labels of each dataset that has any."""
    given = y_true if isinstance(y_true, Mapping) else {_UNNAMED: y_true}
    labels = {str(name): encode_labels(given[name], name) for name in given}
    labelled = {name: own for name, own in labels.items() if own.labelled.any()}
    if not labelled:
        raise ValueError("y_true has no labelled row; at least one is needed.")
    return labelled


def of_dataset(given: Any, dataset: str, y_true: Any, what: str) -> Any:
    """Return the part of an argument that is for one dataset of y_true."""
    if isinstance(given, Mapping) != isinstance(y_true, Mapping):
        kinds = ("a mapping of datasets", "one array")
        needed = kinds[0] if isinstance(y_true, Mapping) else kinds[1]
        raise ValueError(
            f"{what} must be {needed}, as y_true is, got {type(given).__name__}."
        )
    if not isinstance(given, Mapping):
        return given
    if dataset not in given:
        raise ValueError(
            f"{what} has nothing for dataset {dataset!r}, of which y_true has labels; "
            f"it has {list(given)}."
        )
    return given[dataset]


def check_n_rows(values: Any, dataset: str, labels: Labels, what: str) -> None:
    """Raise ValueError unless there is one value for each label."""
    if len(values) != len(labels.codes):
        raise ValueError(
            f"{what} has {len(values)} rows for dataset {dataset!r}, y_true has "
            f"{len(labels.codes)}; there must be one for each."
        )


def _whole(labels: npt.NDArray) -> npt.NDArray:
    """Return numbers as integers: 1.0 is the label 1, beside "1", too."""
    return labels.astype(np.int64) if labels.dtype.kind == "f" else labels


def _objects(classes: npt.NDArray) -> npt.NDArray[np.object_]:
    return np.array(classes.tolist(), dtype=object)


def _joined(answers: Mapping[str, Mapping[str, npt.NDArray]]) -> pd.DataFrame:
    """Return one table of the columns of all datasets."""
    frames = [
        # As objects: labels of one dataset are numbers, those of another names.
        pd.DataFrame({"dataset": name} | {c: _objects(v) for c, v in columns.items()})
        for name, columns in answers.items()
    ]
    return pd.concat(frames, ignore_index=True)
