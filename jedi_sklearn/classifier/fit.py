"""The steps of a fit.

Seeds, experts, embeddings, rows, training: what each step finds can be kept in a
checkpoint, and is read from there when the same fit is run again. This module imports
torch; `jedi_classifier` imports it when it fits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ..embeddings._as_store import as_store
from ..embeddings._embed_datasets import embed_datasets
from ..experts.embed import Embedding, check_width
from ..experts.expert import Expert, is_frozen
from ..experts.fit import fit_encoders, read_experts, seed_experts
from ..experts.heads import check_labels_known, fit_heads
from ..inputs.training_data import TrainingData, hold_out
from ..models.weights import linear_weights
from ..training.callbacks.resume import Saving
from ..training.data.rows import TrainingRows
from ..training.distributed import n_processes
from ..training.from_params import (
    config_of,
    first_weights,
    losses_of,
    objective_of,
    tasks_of,
)
from ..training.network.scaling import Scaling
from ..training.train import Monitors, Trained, train
from ..utils.fit_task import FitTask
from ..utils.progress import timed
from .checkpoint import KeptFit
from .fit_rows import (
    training_rows,
    validation_of,
    warn_of_frozen_heads,
    without_missing,
)
from .fit_state import FitInputs, FitState
from .parameters import draw_seeds

_logger = logging.getLogger(__name__)

# Encoders, heads and the training, which callbacks are told of.
N_PARTS = 3
NOT_KEPT = KeptFit(None)

Params = Mapping[str, Any]
Embeddings = dict[str, list[Embedding]]


def run_fit(
    params: Params,
    inputs: FitInputs,
    resume_from: FitState | None = None,
    kept: KeptFit = NOT_KEPT,
    task: FitTask | None = None,
) -> FitState:
    """Fit the experts that are not frozen, then train students and teachers.

    Parameters
    ----------
    params : mapping of str to object
        Of `JEDIClassifier`.
    inputs : FitInputs
    resume_from : FitState, optional
        Result of the fit that this one continues. Its experts stay as they are.
    kept : KeptFit
        Checkpoint, from which earlier results are read and to which new ones go.
    task : FitTask, optional
        The fit, whose parts are N_PARTS; it finds a `FitState`.
    """
    task = task or FitTask()
    seed, experts_seed = _seeds(params["random_state"], kept)
    if resume_from is None:
        experts = read_experts(params["experts"], inputs.labelled, list(params))
        experts = seed_experts(experts, experts_seed)
    else:
        experts = _experts_of(resume_from, params, inputs)
    finished: FitState | None = kept.read("result")
    if finished is not None:
        return replace(finished, experts=_with_frozen(finished.experts, experts))
    if inputs.held_out is None and (params["early_stopping"] or params["keep_expert"]):
        warn_of_frozen_heads(experts, inputs.labelled)
        data, held_out = hold_out(inputs.data, params["validation_fraction"], seed)
        inputs = replace(inputs, data=data, held_out=held_out)
    if resume_from is None:
        experts, data, embeddings = _fit_experts(
            params, experts, inputs.data, kept, task
        )
    else:
        data, embeddings = _embedded(params, experts, inputs.data)
        _check_widths(experts, embeddings, resume_from)
    rows = training_rows(experts, embeddings, data, inputs.datasets)
    state = _train(params, inputs, experts, rows, resume_from, seed, kept, task)
    if state.problem is None:
        kept.write("result", replace(state, experts=_without_frozen(experts)))
        kept.remove("training")
        kept.remove("experts")
    return state


def one_epoch(params: Params, n_before: int) -> dict[str, Any]:
    """Return the parameters of a fit of one epoch for students and for teachers.

    Parameters
    ----------
    params : mapping of str to object
        Of `JEDIClassifier`.
    n_before : int
        Number of earlier epochs, whose shuffles and masks must not come again.
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


def check_losses(params: Params) -> None:
    """Raise ValueError for a user's own loss that does not give one value a row."""
    losses_of(params)


def check_one_process() -> None:
    """Raise ValueError where several processes train together."""
    if n_processes() > 1:
        raise ValueError(
            f"checkpoint cannot be used by the {n_processes()} processes that "
            "torch.distributed has started; set checkpoint=None."
        )


def _seeds(random_state: Any, kept: KeptFit) -> tuple[int, int]:
    """Return the seeds of the training and of the experts."""
    # Drawn in any case: a RandomState is another one afterwards.
    drawn = draw_seeds(random_state)
    before: tuple[int, int] | None = kept.read("seeds")
    if before is None:
        kept.write("seeds", drawn)
    return before or drawn


def _experts_of(state: FitState, params: Params, inputs: FitInputs) -> list[Expert]:
    """Return the experts of a fit that can be continued.

    Raises
    ------
    ValueError
        If the teachers are to have another input, or a label is new to an expert.
    """
    if params["teacher_input"] != state.teacher_input:
        raise ValueError(
            f"To go on from the last fit teacher_input must be that of it, "
            f"{state.teacher_input!r}, got {params['teacher_input']!r}."
        )
    for expert in state.experts:
        if expert.name in inputs.data.labels:
            labels = inputs.data.labels[expert.name]
            check_labels_known(expert.name, expert.head, labels)
    return state.experts


def _fit_experts(
    params: Params,
    experts: Sequence[Expert],
    data: TrainingData,
    kept: KeptFit,
    task: FitTask,
) -> tuple[list[Expert], TrainingData, Embeddings]:
    """Return fitted experts, the rows that they can embed, and their embeddings."""
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
    """Leave out frozen encoders: they may be large, and are given again."""
    return [e._replace(encoder=_unfrozen_parts(e.encoder)) for e in experts]


def _with_frozen(kept: Sequence[Expert], given: Sequence[Expert]) -> list[Expert]:
    """Undo `_without_frozen`, with frozen encoders of experts as they were given."""
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
    return _with_steps(encoder, [_unfrozen_parts(step) for _, step in encoder.steps])


def _completed(kept: Any, given: Any) -> Any:
    if kept is None:
        return given
    if not isinstance(kept, Pipeline):
        return kept
    parts = [own for _, own in kept.steps], [own for _, own in given.steps]
    return _with_steps(kept, list(map(_completed, *parts)))


def _with_steps(pipeline: Pipeline, steps: list[Any]) -> Pipeline:
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
    experts: Sequence[Expert], embeddings: Embeddings, state: FitState
) -> None:
    """Raise ValueError where an expert embeds new rows in another width."""
    some = next(iter(embeddings.values()))
    adjustments = state.weights.adjustments
    for expert, embedding, adjustment in zip(experts, some, adjustments, strict=True):
        check_width(expert.name, embedding.shape[1], len(adjustment.up.intercept))


def _train(
    params: Params,
    inputs: FitInputs,
    experts: list[Expert],
    rows: TrainingRows,
    resume_from: FitState | None,
    seed: int,
    kept: KeptFit,
    task: FitTask,
) -> FitState:
    """Train students and teachers on the rows as they are laid out."""
    names = [expert.name for expert in experts]
    tasks = tasks_of(names, inputs.labelled, inputs.datasets)
    sizes = dict(zip(inputs.datasets, rows.sizes, strict=True))
    scaling = None
    if resume_from is None:
        heads = [linear_weights(experts[task.expert].head) for task in tasks]
        start = first_weights(params, heads, tasks, rows.widths)
    else:
        start = resume_from.weights
        sizes = {name: n + resume_from.sizes.get(name, 0) for name, n in sizes.items()}
        if resume_from.scaling is not None:
            scaling = Scaling(*resume_from.scaling)

    def state_of(trained: Trained) -> FitState:
        return _state_of(trained, params, inputs, experts, sizes, resume_from)

    monitors = _monitors(params, inputs, experts, rows.widths, kept)
    trained = train(
        rows,
        tasks,
        start,
        objective_of(params, inputs.datasets, list(sizes.values())),
        config_of(params, seed),
        scaling=scaling,
        monitors=replace(monitors, task=task.finding(state_of)),
    )
    return state_of(trained)


def _state_of(
    trained: Trained,
    params: Params,
    inputs: FitInputs,
    experts: list[Expert],
    sizes: dict[str, float],
    resume_from: FitState | None,
) -> FitState:
    """Return the state after a training, or after some of its epochs."""
    kept = [
        name
        for name, is_better in zip(
            inputs.labelled, trained.expert_is_better, strict=True
        )
        if params["keep_expert"] and is_better
    ]
    history = trained.history
    if resume_from is not None:
        kept = [*resume_from.kept_experts, *kept]
        history = pd.concat([resume_from.history, history])
    return FitState(
        experts=list(experts),
        weights=trained.weights,
        scaling=(trained.scaling.mean, trained.scaling.scale),
        teacher_input=params["teacher_input"],
        sizes=sizes,
        labelled=list(inputs.labelled),
        kept_experts=kept,
        history=history,
        problem=trained.problem,
    )


def _monitors(
    params: Params,
    inputs: FitInputs,
    experts: list[Expert],
    widths: Sequence[int],
    kept: KeptFit,
) -> Monitors:
    """Return what watches over the training: validation, checkpoint, callbacks."""
    validation = None
    if inputs.held_out is not None:
        data, embeddings = _embedded(params, experts, inputs.held_out)
        validation = validation_of(experts, embeddings, data, inputs, widths)
    saving = None
    if kept.directory is not None:
        saving = Saving(
            partial(kept.write, "training"),
            kept.read("training"),
            params["checkpoint_epochs"],
            params["checkpoint_minutes"],
        )
    return Monitors(
        validation, params["callbacks"] or (), saving, verbose=params["verbose"]
    )
