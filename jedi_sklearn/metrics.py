"""Scores of experts, students and teachers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score
from sklearn.utils.extmath import softmax
from sklearn.utils.validation import check_is_fitted

from .experts.expert import split_expert
from .inputs.checks import check_has_student
from .inputs.labels import Labels
from .inputs.multidataset import MultiDataset
from .inputs.read_x import as_students_rows
from .inputs.read_y import check_kinds, read_targets
from .utils.errors import named_errors

__all__ = ["evaluate"]


def evaluate(estimator: Any, X: Any, y: Any) -> pd.DataFrame:
    """Score experts, students and teachers on every dataset, Table 2 of the paper.

    Parameters
    ----------
    estimator : JEDIClassifier
        Fitted.
    X : mapping, MultiDataset, DataFrame or array-like
        As `JEDIClassifier.predict` takes it.
    y : mapping, MultiTarget or array-like of shape (n_samples,)
        Unlabelled rows are left out.

    Returns
    -------
    table : DataFrame
        Index (dataset, model), the models being expert, student and teacher;
        columns ``accuracy``, ``top_5_accuracy`` and ``mean_average_precision``
        (the mean over the classes in y that the models know of the average precision
        of one class against the rest), all in [0, 1]. Where they know none of the
        labels in y, the latter is NaN.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If X and y do not match, no row is labelled, a dataset has no student, or no
        labelled row of one could be embedded.

    See Also
    --------
    jedi_sklearn.inspection.EvaluationDisplay : Draws this table.
    jedi_sklearn.JEDIClassifier.score : The mean accuracy of the students alone.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.metrics import evaluate
    >>> X, y = load_iris(return_X_y=True)
    >>> X, y = {"iris": X}, {"iris": y}
    >>> clf = JEDIClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> evaluate(clf, X, y).shape
    (3, 3)
    """
    return table_of(score_labelled(estimator, X, y))


def table_of(scored: Mapping[str, Scored]) -> pd.DataFrame:
    """Return the table of `evaluate` from the scores of each dataset."""
    rows = {}
    for name, dataset in scored.items():
        codes = dataset.codes
        for model, scores in dataset.scores.items():
            rows[name, model] = {
                "accuracy": _top_k_accuracy(scores, codes, 1),
                "top_5_accuracy": _top_k_accuracy(scores, codes, 5),
                "mean_average_precision": _mean_average_precision(scores, codes),
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["dataset", "model"])
    return table


def _top_k_accuracy(
    scores: npt.NDArray[np.float64], codes: npt.NDArray[np.int64], k: int
) -> float:
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((best == codes[:, None]).any(axis=1).mean())


def _mean_average_precision(
    scores: npt.NDArray[np.float64], codes: npt.NDArray[np.int64]
) -> float:
    present = np.unique(codes[codes >= 0])
    if not len(present):
        return float("nan")
    return float(
        np.mean([average_precision_score(codes == c, scores[:, c]) for c in present])
    )


class Scored(NamedTuple):
    """Scores of the labelled rows of a dataset by its models.

    Attributes
    ----------
    labels : Labels
        Labels of these rows, as y has them.
    classes : ndarray of shape (n_classes,)
        The labels that the models know, as the student writes them.
    scores : dict of str to ndarray of shape (n_rows, n_classes)
        By model: expert, student, teacher.
    probabilistic : list of str
        The models whose scores are probabilities.
    """

    labels: Labels
    classes: npt.NDArray
    scores: dict[str, npt.NDArray[np.float64]]
    probabilistic: list[str]

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Position in `classes` of each row's label, -2 where it is none of them."""
        return self.labels.codes_in(self.classes)


def score_labelled(estimator: Any, X: Any, y: Any) -> dict[str, Scored]:
    """Return the scores of the labelled rows by experts, students and teachers.

    Rows that could not be embedded are left out.

    Parameters
    ----------
    estimator : JEDIClassifier
        Fitted.
    X : mapping, MultiDataset, DataFrame or array-like
    y : mapping, MultiTarget or array-like of shape (n_samples,)

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If X and y do not match, no row is labelled, a dataset has no student, or no
        labelled row of one could be embedded.
    """
    check_is_fitted(estimator)
    check_kinds(X, y)
    datasets = as_students_rows(X, list(estimator.students_))
    classes = {name: student.classes_ for name, student in estimator.students_.items()}
    labelled = read_targets(y, datasets, classes).labels
    if not labelled:
        raise ValueError("y has no labelled row; at least one is needed.")
    for name in labelled:
        check_has_student(name, list(estimator.students_))
    return {
        name: _score_dataset(estimator, name, datasets, labels)
        for name, labels in labelled.items()
    }


def _score_dataset(
    estimator: Any, name: str, datasets: MultiDataset, labels: Labels
) -> Scored:
    """Score the labelled rows of a dataset.

    They are embedded once for all three models: a teacher sees what all experts make
    of them.
    """
    student, teacher = estimator.students_[name], estimator.teachers_[name]
    (part,) = (part for part in datasets.parts() if part[0].name == name)
    rows = np.flatnonzero(labels.labelled)
    with named_errors(f"The models of {name!r} cannot score its rows"):
        embeddings, there = estimator._embed(teacher.branches, part)
        known = rows[there[rows]]
        if not len(known):
            raise ValueError("no labelled row could be embedded")
        seen = [embedding[known] for embedding in embeddings]
        own = seen[[branch.name for branch in teacher.branches].index(name)]
        head = split_expert(name, estimator.experts_[name]).head
        scores = {
            "expert": _class_scores(head, np.asarray(own)),
            "student": softmax(student.scores([own])),
            "teacher": softmax(teacher.scores(seen)),
        }
    of_expert = ["expert"] if hasattr(head, "predict_proba") else []
    return Scored(
        labels.take(known),
        student.classes_,
        scores,
        [*of_expert, "student", "teacher"],
    )


def _class_scores(classifier: Any, X: Any) -> npt.NDArray[np.float64]:
    """Return one score a class: probabilities where there are any."""
    if hasattr(classifier, "predict_proba"):
        return np.asarray(classifier.predict_proba(X))
    scores = np.asarray(classifier.decision_function(X))
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores
