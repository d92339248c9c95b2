"""A training phase after phase: who is trained, by what steps, and who looks on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from skorch.callbacks import LRScheduler

from ..exceptions import DivergenceWarning, InterruptionWarning
from ..utils.device import available_device
from ..utils.progress import timed
from .callbacks.divergence import StopDivergence
from .callbacks.early_stopping import KeepBest
from .callbacks.resume import SaveTraining, Saving
from .callbacks.validation import ScoreRows
from .config import Optimisation
from .data.batches import Batches
from .data.rows import TrainingRows
from .distributed import check_same, rank
from .joint_net import JointNet
from .losses import Objective
from .network.dropout import Dropout
from .network.joint_network import JointNetwork, to_numpy
from .network.weights import Task, TeacherInput, Weights
from .precision import dtype_of
from .schedules import Phase

_logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What the phases leave.

    Attributes
    ----------
    net : JointNet
        Of the last phase.
    history : list of dict
        The records of all epochs.
    problem : Warning or None
        Why the training ended before its time, where nobody had asked for that.
    """

    net: JointNet
    history: list[Any]
    problem: Warning | None


def run_phases(
    rows: TrainingRows,
    tasks: Sequence[Task],
    first: Weights,
    objective: Objective,
    optimisation: Optimisation,
    scores: ScoreRows | None,
    callbacks: Sequence[Any],
    saving: Saving | None,
) -> Outcome:
    """Train phase after phase; for the parameters see `train`.

    Raises
    ------
    ValueError
        If the training diverges in its first epoch.
    """
    batches, dropout = _sources(rows, optimisation)
    seed = np.array(optimisation.seed)
    check_same([seed, *rows.labels, *_arrays(first)], str(dropout.generator.device))
    weights = first
    n_done, history = (0, []) if saving is None else saving.done
    saver = None if saving is None else SaveTraining(saving)
    for number, phase in enumerate(optimisation.phases):
        if number < n_done:
            continue
        start = _restarted(weights, first, phase) if phase.restart else weights
        divergence = StopDivergence(
            [task.name for task in tasks], [task.expert for task in tasks]
        )
        patience = _patience(phase, optimisation, scores)
        net = _make_net(
            partial(
                JointNetwork, start, tasks, dropout, _teacher_input(optimisation, phase)
            ),
            _objective(objective, phase),
            phase,
            optimisation,
            [
                divergence,
                *_decay(phase, optimisation),
                *([] if scores is None else [scores]),
                *patience,
                *callbacks,
                *([] if saver is None else [saver.of_phase(number, history)]),
            ],
        )
        with timed(
            _logger, "Training phase %d of %d", number + 1, len(optimisation.phases)
        ):
            net.fit(batches)
        weights = to_numpy(net.module_)
        history = [*history, *net.history]
        problem = _problem(net, divergence.found_, history, bool(patience))
        if net.was_ended_ and not any(p.stopped_ for p in patience):
            break  # by a problem, by the user or by a callback of theirs
    return Outcome(net, history, problem)


def _sources(rows: TrainingRows, optimisation: Optimisation) -> tuple[Batches, Dropout]:
    """Return where batches and masks come from."""
    device = available_device(optimisation.device)
    # Shuffles are drawn on the CPU and masks where the network is, so that neither
    # waits for the other.
    seed = optimisation.seed
    dropout = Dropout(
        optimisation.adjustment_dropout,
        optimisation.units_per_class,
        torch.Generator(device).manual_seed(seed + rank()),
    )
    batches = Batches(
        rows,
        optimisation.batch_size,
        torch.Generator().manual_seed(seed),
        device,
        optimisation.labelled_share,
        dtype_of(optimisation.precision, device, sum(rows.widths)),
    )
    return batches, dropout


def _decay(phase: Phase, optimisation: Optimisation) -> list[Any]:
    if optimisation.decay == "constant":
        return []
    # Ends at zero after the last epoch; with no epoch it has nothing to do.
    return [LRScheduler("CosineAnnealingLR", T_max=phase.n_epochs or 1)]


def _patience(
    phase: Phase, optimisation: Optimisation, scores: ScoreRows | None
) -> list[KeepBest]:
    if scores is None or optimisation.patience is None:
        return []
    return [KeepBest(scores, phase.students, optimisation.patience)]


def _problem(
    net: JointNet, diverged: str, history: list[Any], keeps_best: bool
) -> Warning | None:
    """Return what to warn of, if anything.

    Parameters
    ----------
    net : JointNet
    diverged : str
        What is not finite.
    history : list of dict
        The records of all good epochs.
    keeps_best : bool
        Whether the weights are the best of all epochs.
    """
    if diverged:
        number = len(history) + 1
        advice = f"A learning_rate below {float(net.lr):g} may help."
        if not history:
            raise ValueError(
                f"The training diverged in its first epoch: {diverged} is not finite. "
                f"{advice}"
            )
        return DivergenceWarning(
            f"The training diverged in epoch {number}: {diverged} is not finite. It "
            f"ends with the {'best ' * keeps_best}weights of epoch {number - 1}"
            f"{' and before' * keeps_best}. {advice}"
        )
    if net.was_interrupted_:
        return InterruptionWarning(
            f"The training was interrupted in epoch {len(history)}; the weights are "
            f"{'the best until then' if keeps_best else 'those of that moment'}."
        )
    return None


def _restarted(weights: Weights, first: Weights, phase: Phase) -> Weights:
    """Return the first weights for what a phase trains, the last for the rest."""
    if phase.students:
        return first._replace(teachers=weights.teachers)
    return weights._replace(teachers=first.teachers)


def _teacher_input(optimisation: Optimisation, phase: Phase) -> TeacherInput:
    # Teachers that are fixed do not follow the students either.
    return optimisation.teacher_input._replace(fixed_targets=not phase.teachers)


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
        callbacks=callbacks,
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
