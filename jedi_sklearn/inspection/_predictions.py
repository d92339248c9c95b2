"""The labels of rows, and what each model says that they are, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..inputs.labels import Labels, comparable, encode_labels
from ..metrics import Scored
from ..utils.errors import named_errors

# The name of the dataset where labels are one array.
_UNNAMED = "dataset"


def answers_of(scored: Mapping[str, Scored]) -> pd.DataFrame:
    """Return one row for each labelled row: its dataset, its label, and the models'.

    Parameters
    ----------
    scored : mapping of str to Scored
        What the models said of each dataset.

    Returns
    -------
    answers : DataFrame
        Columns dataset, label, expert, student and teacher.
    """
    return _joined({name: _best(dataset) for name, dataset in scored.items()})


def _best(scored: Scored) -> dict[str, npt.NDArray]:
    labels, codes, classes = scored.labels, scored.codes, _objects(scored.classes)
    # A label that the models do not know is written as y has it.
    label = np.where(codes >= 0, classes[codes], _objects(labels.known))
    best = {m: classes[s.argmax(axis=1)] for m, s in scored.scores.items()}
    return {"label": label, **best}


def answers_of_predictions(y_true: Any, predictions: Mapping[str, Any]) -> pd.DataFrame:
    """Return the same as `answers_of` of labels that were predicted.

    Parameters
    ----------
    y_true : mapping of str to array-like, or array-like of shape (n_samples,)
    predictions : mapping of str to object
        By model; each a mapping where y_true is one, else an array. A model whose
        predictions are None is left out.

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
            own = _predicted(of_dataset(predicted, name, y_true, model), name, model)
            check_n_rows(own, name, labels, model)
            columns[model] = own[labels.labelled]
        arrays = comparable(*columns.values())
        answers[name] = dict(zip(columns, arrays, strict=True))
    return _joined(answers)


def given_models(predictions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the models of which something is given."""
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
    """Return what is given for one dataset of y_true."""
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


def _predicted(given: Any, dataset: str, model: str) -> npt.NDArray:
    """Return labels that a model predicts, one for each row."""
    with named_errors(f"What the {model} predicts cannot be read"):
        labels = encode_labels(given, dataset)
    if not labels.labelled.all():
        raise ValueError(
            f"{model} predicts -1, None or NaN for dataset {dataset!r}, marks of rows "
            "without a label; give the class another name."
        )
    return _whole(labels.known)


def _whole(labels: npt.NDArray) -> npt.NDArray:
    """Return numbers as integers: 1.0 is the label 1, beside "1", too."""
    return labels.astype(np.int64) if labels.dtype.kind == "f" else labels


def _objects(classes: npt.NDArray) -> npt.NDArray[np.object_]:
    return np.array(classes.tolist(), dtype=object)


def _joined(answers: Mapping[str, Mapping[str, npt.NDArray]]) -> pd.DataFrame:
    """Return the columns of all datasets one below the other."""
    frames = [
        # As objects: labels of one dataset are numbers, those of another names.
        pd.DataFrame({"dataset": name} | {c: _objects(v) for c, v in columns.items()})
        for name, columns in answers.items()
    ]
    return pd.concat(frames, ignore_index=True)
