"""From rows, first weights and an objective to trained weights and a history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from skorch.callbacks import LRScheduler

from .._device import available_device
from .._weights import Linear
from .batches import Batches
from .dropout import Dropout
from .history import history_frame
from .layout import TrainingRows
from .losses import Objective
from .matrix import StoredMatrix
from .net import JointNet
from .networks import (
    JointNetwork,
    Task,
    Weights,
    Wiring,
    first_adjustments,
    on_embeddings,
    random_teachers,
    to_numpy,
)
from .precision import dtype_of
from .processes import check_same, rank
from .progress import ProgressLine
from .scaling import Scaling
from .schedules import Phase, learning_rate_for
from .scoring import ScoreRows, Validation
from .stopping import KeepBest


class Optimisation(NamedTuple):
    """How the objective is minimised.

    Attributes
    ----------
    phases : sequence of Phase
        Who is trained, and for how many epochs.
    wiring : Wiring
        What teachers see, and what students see of them.
    batch_size : int
    labelled_share : float
        The least share of labelled rows in a batch; see `Batches`.
    learning_rate : float or "auto"
        Of AdamW; "auto" depends on the number of features, see `learning_rate_for`.
    weight_decay : float
        Of AdamW.
    decay : {"cosine", "constant"}
        What becomes of the learning rate over the epochs of a phase.
    adjustment_units : int
        Width of the hidden layer of adjustments that start anew.
    adjustment_dropout : float
        Dropout of the adjustments.
    units_per_class : float
        The k of Eq. (4), which gives the dropout of the teachers' inputs.
    standardize : bool
        Whether features are standardised for the training.
    patience : int or None
        So many epochs that are no better on the validation rows end a phase, of
        which the best weights are kept; None trains all epochs and keeps the last.
    seed : int
        Of first weights, shuffles and dropout masks.
    device : str
        A device of torch, or "auto": CUDA where there is one, else the CPU.
    precision : {"auto", "float32", "bfloat16"}
        Of the features and of the products; weights are float32. See `dtype_of`.
    """

    phases: Sequence[Phase]
    wiring: Wiring
    batch_size: int
    labelled_share: float
    learning_rate: float | str
    weight_decay: float
    decay: str
    adjustment_units: int
    adjustment_dropout: float
    units_per_class: float
    standardize: bool
    patience: int | None
    seed: int
    device: str
    precision: str


class Trained(NamedTuple):
    """What a training leaves.

    Attributes
    ----------
    weights : Weights
    teachers : list of Linear
        The teachers as linear maps of the embeddings that they see.
    teachers_see_base : bool
        Whether these are the embeddings before their adjustment.
    history : DataFrame
        See `history_frame`.
    no_better : list of bool
        Of each student whether it is no better than its expert on its validation
        rows; False where it has none.
    """

    weights: Weights
    teachers: list[Linear]
    teachers_see_base: bool
    history: pd.DataFrame
    no_better: list[bool]


def train(
    rows: TrainingRows,
    tasks: Sequence[Task],
    start: Weights,
    objective: Objective,
    optimisation: Optimisation,
    *,
    validation: Validation | None = None,
    callbacks: Sequence[Any] = (),
    verbose: int = 0,
) -> Trained:
    """Train all students and teachers (section 3 of the paper).

    Parameters
    ----------
    rows : TrainingRows
    tasks : sequence of Task
        One for each student and its teacher.
    start : Weights
        Where training starts, on features as they are in `rows`. Without
        adjustments these start anew, changing nothing; without teachers these
        start at random.
    objective : Objective
    optimisation : Optimisation
    validation : Validation, optional
        Rows on which students and teachers are scored after every epoch; nothing
        else is done with them but for the patience.
    callbacks : sequence of skorch callbacks
    verbose : int
        0 is silent, 1 shows a progress line on standard error.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If the training diverges.
    """
    scaling = Scaling.identity(rows.features.shape[1])
    if optimisation.standardize:
        scaling = Scaling.of(rows.features, rows.widths)
    if optimisation.learning_rate == "auto":
        rate = learning_rate_for(rows.features.shape[1])
        optimisation = optimisation._replace(learning_rate=rate)
    wiring = optimisation.wiring
    change_scale = partial(
        Scaling.enter_weights,
        tasks=tasks,
        widths=rows.widths,
        sees_embeddings=wiring.base or wiring.adjusted,
    )
    scores = None
    if validation is not None:
        scaled = validation._replace(rows=_scaled(validation.rows, scaling))
        scores = ScoreRows(scaled)
    progress = ProgressLine(sum(phase.n_epochs for phase in optimisation.phases))
    if verbose:
        callbacks = [progress, *callbacks]
    first = _complete(change_scale(scaling, start), rows.widths, optimisation)
    net, history = _run_phases(
        _scaled(rows, scaling),
        tasks,
        first,
        objective,
        optimisation,
        scores,
        callbacks,
    )
    if verbose:
        progress.end()
    weights = change_scale(scaling.inverse(), to_numpy(net.module_))
    return Trained(
        weights=weights,
        teachers=on_embeddings(weights, tasks, wiring),
        teachers_see_base=wiring.base,
        history=history_frame(history, [task.name for task in tasks]),
        no_better=[False] * len(tasks) if scores is None else scores.no_better(net),
    )


def _complete(
    weights: Weights, widths: Sequence[int], optimisation: Optimisation
) -> Weights:
    """Return the weights with those that start anew."""
    seed = optimisation.seed
    if not weights.adjustments:
        adjustments = first_adjustments(widths, optimisation.adjustment_units, seed)
        weights = weights._replace(adjustments=adjustments)
    if not weights.teachers:
        teachers = random_teachers(weights.heads, widths, optimisation.wiring, seed)
        weights = weights._replace(teachers=teachers)
    return weights


def _run_phases(
    rows: TrainingRows,
    tasks: Sequence[Task],
    first: Weights,
    objective: Objective,
    optimisation: Optimisation,
    scores: ScoreRows | None,
    callbacks: Sequence[Any],
) -> tuple[JointNet, list[Any]]:
    """Train phase after phase; return the last net and the records of all epochs."""
    device = available_device(optimisation.device)
    # Shuffles are drawn on the CPU and masks where the network is, so that neither
    # waits for the other.
    seed = optimisation.seed
    shuffles = torch.Generator().manual_seed(seed)
    dropout = Dropout(
        optimisation.adjustment_dropout,
        optimisation.units_per_class,
        torch.Generator(device).manual_seed(seed + rank()),
    )
    batches = Batches(
        rows,
        optimisation.batch_size,
        shuffles,
        device,
        optimisation.labelled_share,
        dtype_of(optimisation.precision, device, sum(rows.widths)),
    )
    check_same([np.array(seed), *rows.labels, *_arrays(first)], device)
    weights, history = first, []
    for phase in optimisation.phases:
        start = _restarted(weights, first, phase) if phase.restart else weights
        monitors: list[Any] = [] if scores is None else [scores]
        patience = []
        if scores is not None and optimisation.patience is not None:
            patience = [KeepBest(scores, phase.students, optimisation.patience)]
        net = _make_net(
            partial(JointNetwork, start, tasks, dropout, _wiring(optimisation, phase)),
            _objective(objective, phase),
            phase,
            optimisation,
            [*monitors, *patience, *callbacks],
        )
        net.fit(batches)
        _check_finite(net)
        weights = to_numpy(net.module_)
        history += net.history
        if net.was_ended_ and not any(p.stopped_ for p in patience):
            break  # by the user, or a callback of theirs
    return net, history


def _restarted(weights: Weights, first: Weights, phase: Phase) -> Weights:
    """Return the first weights for what a phase trains, the last for the rest."""
    if phase.students:
        return first._replace(teachers=weights.teachers)
    return weights._replace(teachers=first.teachers)


def _wiring(optimisation: Optimisation, phase: Phase) -> Wiring:
    # Teachers that are fixed do not follow the students either.
    return optimisation.wiring._replace(fixed_targets=not phase.teachers)


def _objective(objective: Objective, phase: Phase) -> Objective:
    """Return the terms that train what the phase trains."""
    return objective._replace(
        alpha=objective.alpha * phase.students, beta=objective.beta * phase.teachers
    )


def _make_net(
    network: Callable[[], JointNetwork],
    objective: Objective,
    phase: Phase,
    optimisation: Optimisation,
    callbacks: Sequence[Any],
) -> JointNet:
    device = available_device(optimisation.device)
    decay: list[Any] = []
    if optimisation.decay == "cosine":
        # Ends at zero after the last epoch; with no epoch it has nothing to do.
        decay = [LRScheduler("CosineAnnealingLR", T_max=phase.n_epochs or 1)]
    return JointNet(
        lambda: network().train_only(students=phase.students, teachers=phase.teachers),
        lambda: objective.on(device),
        distils=phase.distils if objective.distils else lambda epoch: False,
        optimizer=torch.optim.AdamW,
        optimizer__fused=True,
        optimizer__weight_decay=optimisation.weight_decay,
        **_learning_rate(float(optimisation.learning_rate), device),
        max_epochs=phase.n_epochs,
        device=device,
        callbacks=[*decay, *callbacks],
        verbose=0,
    )


def _learning_rate(rate: float, device: str) -> dict[str, Any]:
    """Return what the optimizer is told of it; a recorded step reads it on the GPU."""
    if torch.device(device).type != "cuda":
        return {"lr": rate}
    return {"lr": torch.tensor(rate, device=device), "optimizer__capturable": True}


def _arrays(weights: Weights) -> list[npt.NDArray[np.float32]]:
    layers = [*weights.heads, *weights.teachers]
    layers += [layer for adjustment in weights.adjustments for layer in adjustment]
    return [array for layer in layers for array in layer]


def _check_finite(net: JointNet) -> None:
    if not all(weights.isfinite().all() for weights in net.module_.parameters()):
        raise ValueError(
            f"The training diverged: after {len(net.history)} epochs there are weights "
            f"that are not finite. A learning_rate below {net.lr:g} may help."
        )


def _scaled(rows: TrainingRows, scaling: Scaling) -> TrainingRows:
    if isinstance(rows.features, StoredMatrix):
        return rows._replace(features=rows.features.changed(scaling.apply))
    return rows._replace(features=scaling.apply(rows.features))
