"""Read the experts, set their seeds and fit their encoders."""

from __future__ import annotations

import logging
import pickle  # nosec B403 - loads only what it has just dumped
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..encoders._mlp import MLPEncoder
from ..inputs.containers import take_rows
from ..inputs.labels import Labels
from ..inputs.multidataset import MultiDataset
from ..utils.errors import named_errors
from ..utils.fit_task import FitTask
from ..utils.progress import timed
from .expert import Expert, is_frozen, named_experts, split_expert
from .heads import check_has_coef

_logger = logging.getLogger(__name__)


def read_experts(
    experts: Sequence[tuple[str, Any]] | None,
    labelled: Sequence[str],
    reserved: Sequence[str],
) -> list[Expert]:
    """Return the experts split and sorted by name, not fitted yet.

    Parameters
    ----------
    experts : sequence of (str, estimator) or None
        None means one small neural network for each labelled dataset.
    labelled : sequence of str
        Names of the labelled datasets.
    reserved : sequence of str
        Names that an expert must not have.

    Raises
    ------
    TypeError
        If experts is not a list of pairs.
    ValueError
        If a name is invalid or missing, or an estimator cannot be an expert.
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
    in_order = sorted(pairs, key=itemgetter(0))
    return [split_expert(name, estimator) for name, estimator in in_order]


def seed_experts(experts: Sequence[Expert], seed: int) -> list[Expert]:
    """Return experts with every ``random_state=None`` replaced by a seed.

    None would draw from NumPy's global random state.
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
        Labels of the labelled datasets. An encoder whose dataset has none is fitted
        on all its rows, without y.
    n_jobs : int or None
    task : FitTask
        The whole fit; a part of it begins, with a part for each encoder to fit.

    Returns
    -------
    experts : list of Expert
        Copies with fitted encoders.

    Raises
    ------
    ValueError
        If an encoder has no dataset to be fitted on, or its fit fails.
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
            check_has_coef(name, head)
    names = [expert.name for expert in experts if not is_frozen(expert.encoder)]
    whole, parts = task.begin_parts("encoder", names)
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
        return _unpickled(encoder)


def _unpickled(encoder: Any) -> Any:
    """Return an encoder pickled and loaded again, except for its frozen parts.

    A pickle makes arrays contiguous, which changes the order of the sums in a product.
    Without this step the last bits of an embedding would depend on whether the encoder
    has been in a file or in another process. An encoder that cannot be pickled is
    returned as it is.
    """
    if is_frozen(encoder):
        return encoder
    if isinstance(encoder, Pipeline):
        steps = [(name, _unpickled(step)) for name, step in encoder.steps]
        return encoder.set_params(steps=steps)
    try:
        pickled = pickle.dumps(encoder)
    except (pickle.PicklingError, AttributeError, TypeError):
        return encoder
    return pickle.loads(pickled)  # nosec B301 - made in the line above
