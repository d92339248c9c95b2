"""A fit, from what was given to fitted experts and trained weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from ..embeddings import as_store
from ..embeddings._embed_datasets import embed_datasets
from ..experts.embed import Embedding, check_width
from ..experts.expert import Expert, is_frozen
from ..experts.fit import fit_encoders, read_experts, seed_experts
from ..experts.heads import check_labels_known, fit_heads
from ..inputs.training_data import TrainingData, hold_out
from ..models.weights import linear_weights
from ..utils.fit_task import FitTask
from ..utils.progress import timed
from .checkpoint import KeptFit
from .fit_rows import (
    training_rows,
    validation_of,
    warn_of_frozen_heads,
    without_missing,
)
from .parameters import draw_seeds

if TYPE_CHECKING:
    from ..training import Trained, TrainingRows, Watchers

_logger = logging.getLogger(__name__)

# Encoders, heads and the training, of which callbacks are told.
N_PARTS = 3

Params = Mapping[str, Any]
Embeddings = dict[str, list[Embedding]]


class Given(NamedTuple):
    """What there is to fit on.

    Attributes
    ----------
    data : TrainingData
    held_out : TrainingData or None
        The validation rows, where some were given.
    datasets : list of str
        All that have a place in the training, with rows in `data` or without.
    labelled : list of str
        Those of them that have a student.
    """

    data: TrainingData
    held_out: TrainingData | None
    datasets: list[str]
    labelled: list[str]


class LastFit(NamedTuple):
    """What another fit left, to go on from.

    Attributes
    ----------
    experts : list of Expert
    weights : dict of str to list
        Of `training.Weights`.
    teacher_input : str
    scaling : sequence of ndarray or None
        Of `training.Scaling`; None has one made of the rows.
    sizes : mapping of str to float
        The sizes of datasets in Eq. (2) to which those of the rows are added.
    """

    experts: list[Expert]
    weights: Mapping[str, Any]
    teacher_input: str
    scaling: Sequence[Any] | None
    sizes: Mapping[str, float]


class FitResult(NamedTuple):
    """What a fit finds.

    Attributes
    ----------
    experts : list of Expert
        Fitted.
    trained : Trained
    sizes : dict of str to float
        Of the datasets, as in Eq. (2).
    """

    experts: list[Expert]
    trained: Trained
    sizes: dict[str, float]


def run_fit(
    params: Params,
    given: Given,
    last: LastFit | None,
    kept: KeptFit,
    task: FitTask,
) -> FitResult:
    """Fit the experts that are not frozen, then train students and teachers.

    Parameters
    ----------
    params : mapping of str to object
        Of `JEDIClassifier`.
    given : Given
    last : LastFit or None
    kept : KeptFit
        What was found before is taken from there, and what is found is kept.
    task : FitTask
        The fit, whose parts are N_PARTS; a `FitResult` is what it finds.
    """
    seed, experts_seed = _seeds(params["random_state"], kept)
    if last is None:
        experts = read_experts(params["experts"], given.labelled, list(params))
        experts = seed_experts(experts, experts_seed)
    else:
        experts = _last_experts(params, given, last)
    finished: FitResult | None = kept.read("result")
    if finished is not None:
        return finished._replace(experts=_with_frozen(finished.experts, experts))
    if given.held_out is None and (params["early_stopping"] or params["keep_expert"]):
        warn_of_frozen_heads(experts, given.labelled)
        data, held_out = hold_out(given.data, params["validation_fraction"], seed)
        given = given._replace(data=data, held_out=held_out)
    if last is None:
        experts, data, embeddings = _fit_experts(
            params, experts, given.data, kept, task
        )
    else:
        data, embeddings = _embedded(params, experts, given.data)
        _check_widths(experts, embeddings, last)
    rows = training_rows(experts, embeddings, data, given.datasets)
    result = _train(params, given, experts, rows, last, seed, kept, task)
    if result.trained.problem is None:
        kept.write("result", result._replace(experts=_without_frozen(experts)))
        kept.remove("training")
        kept.remove("experts")
    return result


def one_epoch(params: Params, n_before: int) -> dict[str, Any]:
    """Return the parameters of a fit of one epoch for students and for teachers.

    Parameters
    ----------
    params : mapping of str to object
        Of `JEDIClassifier`.
    n_before : int
        Number of epochs before it, whose shuffles and masks are not to come again.
    """
    n_phases = 1 if params["schedule"] == "joint" else 2
    seed = params["random_state"]
    if n_before and isinstance(seed, Integral):
        seed = int(np.random.SeedSequence([int(seed), n_before]).generate_state(1)[0])
    return {
        **params,
        "random_state": seed,
        "max_epochs": n_phases,
        "n_rounds": 1,
        "restart_rounds": False,
        "warmup_epochs": 0,
        "early_stopping": False,
        "keep_expert": False,
    }


def check_one_process() -> None:
    """Raise ValueError where several processes train together."""
    from .. import training

    if training.n_processes() > 1:
        raise ValueError(
            f"checkpoint cannot be used by the {training.n_processes()} processes that "
            "torch.distributed has started; set checkpoint=None."
        )


def _seeds(random_state: Any, kept: KeptFit) -> tuple[int, int]:
    """Return the seeds of the training and of the experts."""
    # Drawn in any case, as a RandomState is another one afterwards.
    drawn = draw_seeds(random_state)
    before: tuple[int, int] | None = kept.read("seeds")
    if before is None:
        kept.write("seeds", drawn)
    return before or drawn


def _last_experts(params: Params, given: Given, last: LastFit) -> list[Expert]:
    """Return the experts of the last fit, where it can be gone on from."""
    if params["teacher_input"] != last.teacher_input:
        raise ValueError(
            f"To go on from the last fit teacher_input must be that of it, "
            f"{last.teacher_input!r}, got {params['teacher_input']!r}."
        )
    for expert in last.experts:
        if expert.name in given.data.labels:
            labels = given.data.labels[expert.name]
            check_labels_known(expert.name, expert.head, labels)
    return last.experts


def _fit_experts(
    params: Params,
    experts: Sequence[Expert],
    data: TrainingData,
    kept: KeptFit,
    task: FitTask,
) -> tuple[list[Expert], TrainingData, Embeddings]:
    """Return fitted experts, the rows that they can embed and their embeddings."""
    before: list[Expert] | None = kept.read("experts")
    if before is None:
        fitted = fit_encoders(
            experts, data.datasets, data.labels, params["n_jobs"], task
        )
    else:
        fitted = _with_frozen(before, experts)
    data, embeddings = _embedded(params, fitted, data)
    if before is None:
        fitted = fit_heads(fitted, embeddings, data.labels, data.weights, task)
        kept.write("experts", _without_frozen(fitted))
    return fitted, data, embeddings


def _without_frozen(experts: Sequence[Expert]) -> list[Expert]:
    """Leave out the encoders that are as they were given, which may be large."""
    return [e._replace(encoder=_unfrozen_parts(e.encoder)) for e in experts]


def _with_frozen(kept: Sequence[Expert], given: Sequence[Expert]) -> list[Expert]:
    return [
        k._replace(encoder=_completed(k.encoder, g.encoder))
        for k, g in zip(kept, given, strict=True)
    ]


def _unfrozen_parts(encoder: Any) -> Any:
    """Return an encoder with None for what is frozen, steps of Pipelines too."""
    if is_frozen(encoder):
        return None
    if not isinstance(encoder, Pipeline):
        return encoder
    return _of_steps(encoder, [_unfrozen_parts(step) for _, step in encoder.steps])


def _completed(kept: Any, given: Any) -> Any:
    if kept is None:
        return given
    if not isinstance(kept, Pipeline):
        return kept
    parts = [own for _, own in kept.steps], [own for _, own in given.steps]
    return _of_steps(kept, list(map(_completed, *parts)))


def _of_steps(pipeline: Pipeline, steps: list[Any]) -> Pipeline:
    """Return a fitted Pipeline with other steps."""
    changed = copy(pipeline)
    names = [name for name, _ in pipeline.steps]
    changed.steps = list(zip(names, steps, strict=True))
    return changed


def _embedded(
    params: Params, experts: Sequence[Expert], data: TrainingData
) -> tuple[TrainingData, Embeddings]:
    """Return the rows that all experts can embed, and their embeddings."""
    store = as_store(params["memory"])
    n_rows = data.datasets.shape[0]
    with timed(_logger, "Embedding %d rows by %d experts", n_rows, len(experts)):
        embeddings = embed_datasets(
            experts, data.datasets, store, params["n_jobs"], params["verbose"]
        )
    return without_missing(data, embeddings)


def _check_widths(
    experts: Sequence[Expert], embeddings: Embeddings, last: LastFit
) -> None:
    """Raise ValueError where an expert embeds new rows in another width."""
    some = next(iter(embeddings.values()))
    adjustments = last.weights["adjustments"]
    for expert, embedding, adjustment in zip(experts, some, adjustments, strict=True):
        check_width(expert.name, embedding.shape[1], len(adjustment.up.intercept))


def _train(
    params: Params,
    given: Given,
    experts: list[Expert],
    rows: TrainingRows,
    last: LastFit | None,
    seed: int,
    kept: KeptFit,
    task: FitTask,
) -> FitResult:
    from .. import training

    names = [expert.name for expert in experts]
    tasks = training.tasks_of(names, given.labelled, given.datasets)
    sizes = dict(zip(given.datasets, rows.sizes, strict=True))
    scaling = None
    if last is None:
        heads = [linear_weights(experts[task.expert].head) for task in tasks]
        start = training.first_weights(params, heads, tasks, rows.widths)
    else:
        start = training.Weights(**last.weights)
        sizes = {name: n + last.sizes.get(name, 0.0) for name, n in sizes.items()}
        if last.scaling is not None:
            scaling = training.Scaling(*last.scaling)
    trained = training.train(
        rows,
        tasks,
        start,
        training.objective_of(params, given.datasets, list(sizes.values())),
        training.optimisation_of(params, seed),
        scaling=scaling,
        watchers=_watchers(params, given, experts, rows.widths, kept)._replace(
            task=task.finding(lambda trained: FitResult(experts, trained, sizes))
        ),
    )
    return FitResult(experts, trained, sizes)


def _watchers(
    params: Params,
    given: Given,
    experts: list[Expert],
    widths: Sequence[int],
    kept: KeptFit,
) -> Watchers:
    from .. import training

    validation = None
    if given.held_out is not None:
        data, seen = _embedded(params, experts, given.held_out)
        validation = validation_of(
            experts, seen, data, given.datasets, given.labelled, widths
        )
    saving = None
    if kept.directory is not None:
        saving = training.Saving(
            partial(kept.write, "training"),
            kept.read("training"),
            params["checkpoint_epochs"],
            params["checkpoint_minutes"],
        )
    return training.Watchers(
        validation, params["callbacks"] or (), saving, verbose=params["verbose"]
    )
