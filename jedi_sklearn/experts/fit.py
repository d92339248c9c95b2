"""Experts: read, seeded, and fitted where they are not frozen."""

from __future__ import annotations

import logging
import pickle  # nosec B403 - of what was just fitted
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from ..encoders import MLPEncoder
from ..inputs.containers import take_rows
from ..inputs.labels import UNKNOWN, Labels
from ..inputs.multidataset import MultiDataset
from ..inputs.row_weights import RowWeights
from ..utils.errors import named_errors
from ..utils.fit_task import FitTask
from ..utils.progress import timed
from .embed import Embedding
from .expert import Expert, is_frozen, named_experts, split_expert

_logger = logging.getLogger(__name__)

LINEAR = "its last step must be a linear classifier, or a transformer to have one"

# Of a feature in the fit of a head, in shares of the widest one: one that hardly varies
# would get coefficients so large that the least adjustment of it drowns all others.
SMALLEST_SCALE = 1e-3


def read_experts(
    experts: Sequence[tuple[str, Any]] | None,
    labelled: Sequence[str],
    reserved: Sequence[str],
) -> list[Expert]:
    """Return the experts in sorted order of their names, split, none of them fitted.

    Parameters
    ----------
    experts : sequence of (str, estimator) or None
        None stands for one small neural network for each labelled dataset.
    labelled : sequence of str
        Names of the labelled datasets.
    reserved : sequence of str
        Names that an expert must not have.

    Raises
    ------
    TypeError
        If experts is not a list of pairs.
    ValueError
        If a name is wrong or missing, or an estimator cannot be an expert.
    """
    if experts is None:
        experts = [(name, MLPEncoder()) for name in labelled]
    pairs = named_experts(experts, reserved)
    names = [name for name, _ in pairs]
    for name in labelled:
        if name not in names:
            raise ValueError(
                f"Dataset {name!r} is labelled but has no expert; there are experts "
                f"named {sorted(names)}. An expert has the name of its dataset."
            )
    return [split_expert(n, estimator) for n, estimator in sorted(pairs, key=_name)]


def _name(pair: tuple[str, Any]) -> str:
    return pair[0]


def seed_experts(experts: Sequence[Expert], seed: int) -> list[Expert]:
    """Return experts whose random states that are None are set.

    Left at None they would draw from NumPy's global random state.
    """
    seeds = np.random.RandomState(seed).randint(2**31 - 1, size=len(experts)).tolist()
    return [
        Expert(
            e.name,
            _seeded(e.encoder, seed),
            None if e.head is None else _seeded(e.head, seed),
        )
        for e, seed in zip(experts, seeds, strict=True)
    ]


def _seeded(estimator: Any, seed: int) -> Any:
    estimator = clone(estimator)
    params = estimator.get_params()
    frozen = [key for key, value in params.items() if is_frozen(value)]
    states = {
        key: seed
        for key, value in params.items()
        if value is None
        and key.rpartition("__")[2] == "random_state"
        and not any(key.startswith(f"{parent}__") for parent in frozen)
    }
    return estimator.set_params(**states) if states else estimator


def fit_encoders(
    experts: Sequence[Expert],
    datasets: MultiDataset,
    labels: dict[str, Labels],
    n_jobs: int | None,
    task: FitTask,
) -> list[Expert]:
    """Fit the encoders that are not frozen on the labelled rows of their datasets.

    Parameters
    ----------
    experts : sequence of Expert
    datasets : MultiDataset
    labels : dict of str to Labels
        Of the labelled datasets. An encoder whose dataset has no labels is fitted
        on all its rows, without y.
    n_jobs : int or None
    task : FitTask
        Of which this is a part, with one for each encoder that is fitted.

    Returns
    -------
    experts : list of Expert
        With fitted encoders; the ones given are not changed.

    Raises
    ------
    ValueError
        If there is nothing to fit an encoder on, or it fails.
    """
    for name, encoder, _ in experts:
        if not is_frozen(encoder) and name not in datasets:
            raise ValueError(
                f"Expert {name!r} has to be fitted on dataset {name!r}, which is not "
                f"in X (it has {list(datasets)}); give its rows, or an expert that is "
                "fitted already as FrozenEstimator(expert)."
            )
    for name, _, head in experts:
        if head is not None and is_frozen(head) and name in labels:
            _check_has_coef(name, head)
    whole, parts = _parts(task, "encoder", [e.name for e in experts if _learns(e)])
    encoders = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_fit_encoder)(
            name,
            encoder,
            None if is_frozen(encoder) else datasets[name],
            labels.get(name),
            parts.get(name, FitTask()),
        )
        for name, encoder, _ in experts
    )
    whole.end()
    return [
        expert._replace(encoder=encoder)
        for expert, encoder in zip(experts, encoders, strict=True)
    ]


def _learns(expert: Expert) -> bool:
    return not is_frozen(expert.encoder)


def _parts(
    task: FitTask, what: str, names: Sequence[str]
) -> tuple[FitTask, dict[str, FitTask]]:
    """Return a part of a task that begins, and its parts by their experts' names."""
    # There is nothing yet to predict with, and an expert sees its own rows alone.
    task = task._replace(seen={}, attributes=None)
    whole = task.part(f"fit-{what}s", len(names), in_order=False).begin()
    return whole, {
        name: whole.part(f"fit-{what}-{name}", number=number)
        for number, name in enumerate(names)
    }


def _fit_encoder(
    name: str, encoder: Any, X: Any, labels: Labels | None, task: FitTask
) -> Any:
    if is_frozen(encoder):
        with named_errors(f"Expert {name!r} is frozen but not fitted"):
            check_is_fitted(encoder)
        return encoder
    y = None
    if labels is not None:
        X, y = take_rows(X, np.flatnonzero(labels.labelled)), labels.known
    with named_errors(f"Expert {name!r} could not be fitted on dataset {name!r}"):
        encoder = clone(encoder)
        with timed(_logger, "Fitting expert %r", name), task.on(X, y).of(encoder):
            encoder.fit(X, y)
        return _as_from_a_file(encoder)


def _as_from_a_file(encoder: Any) -> Any:
    """Return an encoder as it is once it was pickled, but for what is frozen of it.

    In a pickle arrays become contiguous, and then products sum in another order: else
    the last bits would depend on whether an expert has been in a file or in another
    process. What cannot be pickled stays as it is.
    """
    if is_frozen(encoder):
        return encoder
    if isinstance(encoder, Pipeline):
        steps = [(name, _as_from_a_file(step)) for name, step in encoder.steps]
        return encoder.set_params(steps=steps)
    try:
        pickled = pickle.dumps(encoder)
    except (pickle.PicklingError, AttributeError, TypeError):
        return encoder
    return pickle.loads(pickled)  # nosec B301 - made in the line above


def fit_heads(
    experts: Sequence[Expert],
    embeddings: dict[str, list[Embedding]],
    labels: dict[str, Labels],
    weights: dict[str, RowWeights],
    task: FitTask,
) -> list[Expert]:
    """Fit the heads that are not frozen on the labelled rows of their datasets.

    An expert that has no head gets a logistic regression.

    Parameters
    ----------
    experts : sequence of Expert
    embeddings : dict of str to list of ndarray or StoredRows
        For each dataset the embedding by each expert.
    labels : dict of str to Labels
        Of the labelled datasets; other experts lend only their features, and
        their heads are left alone.
    weights : dict of str to RowWeights
        A head whose ``fit`` takes no ``sample_weight`` is fitted without.
    task : FitTask
        Of which this is a part, with one for each head that is fitted.

    Returns
    -------
    experts : list of Expert

    Raises
    ------
    ValueError
        If a head is not linear, or a frozen one does not know a label.
    """
    names = [e.name for e in experts if e.name in labels and not is_frozen(e.head)]
    whole, parts = _parts(task, "head", names)
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
    # Without weights a head is fitted as the user would fit it, to the bit.
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
    """Raise ValueError where the scores of a head are not those of its ``coef_``."""
    _check_has_coef(name, head)
    coef = np.atleast_2d(head.coef_)
    if coef.shape[1] != few.shape[1]:
        raise ValueError(
            f"Expert {name!r} ends in {head!r}, which takes {coef.shape[1]} features, "
            f"but its encoder returned {few.shape[1]}."
        )
    # That of an SVC has a row for each pair of classes.
    given = np.asarray(head.decision_function(few)).reshape(len(few), -1)
    scores = few @ coef.T + head.intercept_
    tolerance = 1e-3 * (1 + np.abs(given).max())
    if scores.shape != given.shape or np.abs(scores - given).max() > tolerance:
        raise ValueError(
            f"Expert {name!r} ends in {head!r}, whose coef_ has not one row for each "
            f"class that gives its score; {LINEAR} fitted."
        )


def _check_has_coef(name: str, head: Any) -> None:
    if not hasattr(head, "coef_"):
        raise ValueError(
            f"Expert {name!r} ends in {head!r}, which has no coef_; {LINEAR} fitted."
        )


def check_labels_known(name: str, head: Any, labels: Labels) -> None:
    """Raise ValueError for a label that a head fitted before has never seen."""
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
    # Fitted on standardised embeddings, which converges whatever their scale, and
    # written back in terms of the embeddings themselves.
    with np.errstate(over="raise", invalid="raise"):
        scaler = StandardScaler().fit(X, **weighted)
        widest = np.sqrt(scaler.var_.max())
        scaler.scale_ = np.maximum(scaler.scale_, SMALLEST_SCALE * widest)
        X = scaler.transform(X)
    with warnings.catch_warnings():
        # Many classes of few rows are no regression: the labels have been looked at.
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        head = LogisticRegression(max_iter=1000)
        with task.on(X, y).of(head):
            head.fit(X, y, **weighted)
    head.coef_ = head.coef_ / scaler.scale_
    head.intercept_ = head.intercept_ - head.coef_ @ scaler.mean_
    return head
