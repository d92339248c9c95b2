"""Training, phase after phase."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch.callbacks import LRScheduler

from ..exceptions import DivergenceWarning, InterruptionWarning
from ..models.weights import Weights
from ..utils.device import available_device
from ..utils.progress import timed
from .callbacks.divergence import StopDivergence
from .callbacks.early_stopping import KeepBest
from .callbacks.resume import SaveTraining, Saving
from .callbacks.stop_training import Diverged, NoImprovement, StopTraining
from .callbacks.validation import ScoreRows
from .config import TrainingConfig
from .data.batches import Batches
from .data.rows import TrainingRows
from .distributed import check_same, rank
from .losses import Objective
from .network.dropout import Dropout
from .network.joint_network import JointNetwork, to_numpy
from .network.weights import Task
from .precision import dtype_of
from .schedules import Phase
from .skorch_net import JointNet

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setup:
    """What all phases of a training share.

    Attributes
    ----------
    tasks : sequence of Task
    objective : Objective
    config : TrainingConfig
    batches : Batches
    dropout : Dropout
        Rates, and the generator from which all phases draw their masks.
    """

    tasks: Sequence[Task]
    objective: Objective
    config: TrainingConfig
    batches: Batches
    dropout: Dropout

    @classmethod
    def of(
        cls,
        rows: TrainingRows,
        tasks: Sequence[Task],
        objective: Objective,
        config: TrainingConfig,
    ) -> Setup:
        """Return a setup in which nothing has been drawn yet."""
        device = available_device(config.device)
        # Shuffles are drawn on the CPU and masks where the network is, so that neither
        # waits for the other. Several processes share shuffles, but no masks.
        shuffles = torch.Generator().manual_seed(config.seed)
        masks = torch.Generator(device).manual_seed(config.seed + rank())
        dtype = dtype_of(config.precision, device, sum(rows.widths))
        return cls(
            tasks,
            objective,
            config,
            Batches(
                rows, config.batch_size, shuffles, device, config.labelled_share, dtype
            ),
            Dropout(config.adjustment_dropout, config.units_per_class, masks),
        )


def run_phases(
    setup: Setup,
    initial: Weights,
    callbacks: Sequence[Any],
    scores: ScoreRows | None = None,
    saving: Saving | None = None,
) -> tuple[JointNet, list[Any], Warning | None]:
    """Train phase after phase.

    Parameters
    ----------
    setup : Setup
    initial : Weights
        Weights at which the training starts.
    callbacks : sequence of skorch callbacks
        Run after those of the phases.
    scores : ScoreRows, optional
        Scores validation rows after every epoch.
    saving : Saving, optional
        Checkpoint of the training, and where it resumes.

    Returns
    -------
    net : JointNet
        Net of the last phase.
    history : list of dict
        Records of all epochs.
    problem : Warning or None
        Reason for an early end that nobody asked for.

    Raises
    ------
    ValueError
        If the training diverges in its first epoch.
    """
    phases = setup.config.phases
    n_done, history = (0, []) if saving is None else saving.done
    saver = None if saving is None else SaveTraining(saving)
    weights, problem = initial, None
    for number, phase in list(enumerate(phases))[n_done:]:
        if phase.restart and phase.students:
            weights = initial._replace(teachers=weights.teachers)
        elif phase.restart:
            weights = weights._replace(teachers=initial.teachers)
        after = [] if saver is None else [saver.of_phase(number, history)]
        own = callbacks_for(phase, setup, scores)
        net = make_net(weights, phase, setup, [*own, *callbacks, *after])
        with timed(_logger, "Training phase %d of %d", number + 1, len(phases)):
            net.fit(setup.batches)
        weights, history = to_numpy(net.module_), [*history, *net.history]
        if net.ended_by_ is not None and not isinstance(net.ended_by_, NoImprovement):
            keeps_best = any(isinstance(callback, KeepBest) for callback in own)
            problem = _problem(net, history, keeps_best=keeps_best)
            break
    return net, history, problem


def check_processes_agree(rows: TrainingRows, initial: Weights, setup: Setup) -> None:
    """Raise ValueError where several processes do not start from the same numbers."""
    seed = np.array(setup.config.seed)
    arrays = [seed, *rows.labels, *initial.arrays()]
    check_same(arrays, str(setup.dropout.generator.device))


def callbacks_for(phase: Phase, setup: Setup, scores: ScoreRows | None) -> list[Any]:
    """Return the callbacks of a phase, in the order in which they run."""
    config, tasks = setup.config, setup.tasks
    callbacks: list[Any] = [
        StopDivergence([task.name for task in tasks], [task.expert for task in tasks])
    ]
    if config.decay == "cosine":
        # Ends at zero after the last epoch; with no epoch it has nothing to do.
        callbacks.append(LRScheduler("CosineAnnealingLR", T_max=phase.n_epochs or 1))
    if scores is not None:
        callbacks.append(scores)
        if config.patience is not None:
            keep_best = KeepBest(scores.accuracies, phase.students, config.patience)
            callbacks.append(keep_best)
    return callbacks


def make_net(
    weights: Weights, phase: Phase, setup: Setup, callbacks: Sequence[Any]
) -> JointNet:
    """Return a net that trains what a phase trains, from given weights on."""
    config, objective = setup.config, setup.objective
    device = available_device(config.device)
    # Teachers that are fixed do not follow the students either.
    teacher_input = config.teacher_input._replace(fixed_targets=not phase.teachers)
    network = partial(JointNetwork, weights, setup.tasks, setup.dropout, teacher_input)
    # Only the terms of Eq. (1) that train what the phase trains.
    terms = objective._replace(
        alpha=objective.alpha * phase.students, beta=objective.beta * phase.teachers
    )
    rate: Any = float(config.learning_rate)
    on_gpu = torch.device(device).type == "cuda"
    return JointNet(
        lambda: network().train_only(students=phase.students, teachers=phase.teachers),
        lambda: terms.on(device),
        distils=phase.distils if terms.distils else lambda epoch: False,
        optimizer=torch.optim.AdamW,
        optimizer__fused=True,
        optimizer__weight_decay=config.weight_decay,
        # A recorded step reads the rate on the GPU.
        lr=torch.tensor(rate, device=device) if on_gpu else rate,
        **({"optimizer__capturable": True} if on_gpu else {}),
        max_epochs=phase.n_epochs,
        device=device,
        callbacks=list(callbacks),
        verbose=0,
    )


def _problem(net: JointNet, history: list[Any], *, keeps_best: bool) -> Warning | None:
    """Return a warning about an early end, None where somebody asked for it.

    Parameters
    ----------
    net : JointNet
    history : list of dict
        Records of all good epochs.
    keeps_best : bool
        Whether the weights are the best of all epochs.
    """
    if isinstance(net.ended_by_, Diverged):
        what, number = net.ended_by_.what, len(history) + 1
        advice = f"A learning_rate below {float(net.lr):g} may help."
        if not history:
            raise ValueError(
                f"The training diverged in its first epoch: {what} is not finite. "
                f"{advice}"
            )
        return DivergenceWarning(
            f"The training diverged in epoch {number}: {what} is not finite. It "
            f"ends with the {'best ' * keeps_best}weights of epoch {number - 1}"
            f"{' and before' * keeps_best}. {advice}"
        )
    if isinstance(net.ended_by_, StopTraining):
        return None
    return InterruptionWarning(
        f"The training was interrupted in epoch {len(history)}; the weights are "
        f"{'the best until then' if keeps_best else 'those of that moment'}."
    )
