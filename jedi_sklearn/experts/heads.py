"""Fit the linear heads of experts and check that they are linear."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from ..inputs.labels import UNKNOWN, Labels
from ..inputs.row_weights import RowWeights
from ..utils.errors import named_errors
from ..utils.fit_task import FitTask
from ..utils.progress import timed
from .embed import Embedding
from .expert import Expert, is_frozen

_logger = logging.getLogger(__name__)

LINEAR = "its last step must be a linear classifier, or a transformer to have one"

# Least scale of a feature in the fit of a default head, relative to the largest scale.
# A feature that hardly varies would get a coefficient so large that the smallest
# adjustment of the feature outweighs all others.
MIN_RELATIVE_SCALE = 1e-3


def fit_heads(
    experts: Sequence[Expert],
    embeddings: dict[str, list[Embedding]],
    labels: dict[str, Labels],
    weights: dict[str, RowWeights],
    task: FitTask,
) -> list[Expert]:
    """Fit the heads that are not frozen on the labelled rows of their datasets.

    An expert without a head gets a logistic regression.

    Parameters
    ----------
    experts : sequence of Expert
    embeddings : dict of str to list of ndarray or StoredRows
        Embeddings of each dataset by all experts, in their order.
    labels : dict of str to Labels
        Labels of the labelled datasets. Experts of other datasets contribute only
        features, and their heads are left alone.
    weights : dict of str to RowWeights
        Ignored for a head whose ``fit`` takes no ``sample_weight``.
    task : FitTask
        The whole fit; a part of it begins, with a part for each head to fit.

    Returns
    -------
    experts : list of Expert
        Copies with fitted heads.

    Raises
    ------
    ValueError
        If a head is not linear, or a frozen one does not know a label.
    """
    names = [e.name for e in experts if e.name in labels and not is_frozen(e.head)]
    whole, parts = task.begin_parts("head", names)
    with timed(_logger, "Fitting heads of the experts %s", names):
        fitted = [
            expert
            if expert.name not in labels
            else expert._replace(
                head=_fit_head(
                    expert,
                    embeddings[expert.name][number],
                    labels[expert.name],
                    weights[expert.name],
                    parts.get(expert.name, FitTask()),
                )
            )
            for number, expert in enumerate(experts)
        ]
    whole.end()
    return fitted


def _fit_head(
    expert: Expert,
    embedding: Embedding,
    labels: Labels,
    weights: RowWeights,
    task: FitTask,
) -> Any:
    name, head = expert.name, expert.head
    own, y = embedding[labels.labelled], labels.known
    known = (weights.rows * weights.labels)[labels.labelled]
    # Without weights a head must equal the user's own fit to the bit.
    weighted = {} if (known == 1).all() else {"sample_weight": known}
    if head is None:
        with named_errors(f"Expert {name!r} could not get a head on dataset {name!r}"):
            return _default_head(np.asarray(own), y, weighted, task)
    if not is_frozen(head):
        X = np.asarray(own)
        if not has_fit_parameter(head, "sample_weight"):
            weighted = {}
        with named_errors(f"Expert {name!r} could not be fitted on dataset {name!r}"):
            head = clone(head)
            with task.on(X, y).of(head):
                head.fit(X, y, **weighted)
    _check_linear(name, head, np.asarray(own[:100]))
    check_labels_known(name, head, labels)
    return head


def _check_linear(name: str, head: Any, few: npt.NDArray[np.float32]) -> None:
    """Raise ValueError unless a head's scores are ``X @ coef_.T + intercept_``."""
    check_has_coef(name, head)
    coef = np.atleast_2d(head.coef_)
    if coef.shape[1] != few.shape[1]:
        raise ValueError(
            f"Expert {name!r} ends in {head!r}, which takes {coef.shape[1]} features, "
            f"but its encoder returned {few.shape[1]}."
        )
    # The coef_ of an SVC has a row for each pair of classes.
    given = np.asarray(head.decision_function(few)).reshape(len(few), -1)
    scores = few @ coef.T + head.intercept_
    tolerance = 1e-3 * (1 + np.abs(given).max())
    if scores.shape != given.shape or np.abs(scores - given).max() > tolerance:
        raise ValueError(
            f"Expert {name!r} ends in {head!r}, whose coef_ has not one row for each "
            f"class that gives its score; {LINEAR} fitted."
        )


def check_has_coef(name: str, head: Any) -> None:
    """Raise ValueError if a fitted head has no ``coef_``."""
    if not hasattr(head, "coef_"):
        raise ValueError(
            f"Expert {name!r} ends in {head!r}, which has no coef_; {LINEAR} fitted."
        )


def check_labels_known(name: str, head: Any, labels: Labels) -> None:
    """Raise ValueError if a dataset has a label that its fitted head does not know."""
    codes = labels.codes_in(head.classes_)
    if (codes == UNKNOWN).any():
        unknown = labels.classes.tolist()[labels.codes[codes == UNKNOWN][0]]
        raise ValueError(
            f"Dataset {name!r} has the label {unknown!r}, which its expert does not "
            f"know; that knows {head.classes_.tolist()}. Give the encoder alone to "
            "have a new head fitted."
        )


def _default_head(
    X: npt.NDArray[np.float32],
    y: npt.NDArray,
    weighted: dict[str, npt.NDArray[np.float64]],
    task: FitTask,
) -> LogisticRegression:
    # The solver converges on standardised embeddings, whatever the scale of the given
    # ones. The coefficients are converted back at the end.
    with np.errstate(over="raise", invalid="raise"):
        scaler = StandardScaler().fit(X, **weighted)
        widest = np.sqrt(scaler.var_.max())
        scaler.scale_ = np.maximum(scaler.scale_, MIN_RELATIVE_SCALE * widest)
        X = scaler.transform(X)
    with warnings.catch_warnings():
        # A dataset of many classes with few rows each looks like a regression to
        # scikit-learn; the labels have been checked before.
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        head = LogisticRegression(max_iter=1000)
        with task.on(X, y).of(head):
            head.fit(X, y, **weighted)
    head.coef_ = head.coef_ / scaler.scale_
    head.intercept_ = head.intercept_ - head.coef_ @ scaler.mean_
    return head
