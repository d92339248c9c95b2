"""How good experts, students and teachers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score

from ._scores import Scored, score_labelled

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
    """Return the table of `evaluate` of what the models said of each dataset."""
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
