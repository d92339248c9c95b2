"""From rows, first weights and an objective to trained weights and a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from ..models.weights import Weights
from ..utils.fit_task import FitTask
from ..utils.progress import progress_bar
from .callbacks.progress import TellEpochs
from .callbacks.resume import Saving
from .callbacks.validation import ScoreRows, Validation
from .config import TrainingConfig
from .data.features import LazyFeatures
from .data.rows import TrainingRows
from .history import history_frame
from .losses import Objective
from .network.joint_network import to_numpy
from .network.scaling import Scaling
from .network.weights import Task, first_adjustments, random_teachers
from .phases import Setup, check_processes_agree, run_phases
from .schedules import learning_rate_for
from .skorch_net import JointNet


@dataclass(frozen=True)
class Monitors:
    """Callbacks, validation, checkpoint and progress of a training.

    None of them changes weights, but they may end the training, and validation rows
    choose the epoch whose weights are kept.

    Attributes
    ----------
    validation : Validation or None
        Rows on which students and teachers are scored after every epoch.
    callbacks : sequence of skorch callbacks
    saving : Saving or None
        Checkpoint of the training, and where it resumes.
    task : FitTask
        The training, whose parts are its epochs. It finds a `Trained`.
    verbose : int
        0 is silent, 1 shows a progress bar on standard error.
    """

    validation: Validation | None = None
    callbacks: Sequence[Any] = ()
    saving: Saving | None = None
    task: FitTask = field(default_factory=FitTask)
    verbose: int = 0


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes
    ----------
    weights : Weights
        Weights that apply to features as they are in the rows, before any scaling.
    history : DataFrame
        See `history_frame`.
    expert_is_better : list of bool
        For each student, whether its expert is at least as good on its validation
        rows; False where it has none.
    scaling : Scaling
        Scaling of the features in training.
    problem : Warning or None
        Reason for an early end that nobody asked for.
    """

    weights: Weights
    history: pd.DataFrame
    expert_is_better: list[bool]
    scaling: Scaling
    problem: Warning | None = None


def train(
    rows: TrainingRows,
    tasks: Sequence[Task],
    start: Weights,
    objective: Objective,
    config: TrainingConfig,
    *,
    scaling: Scaling | None = None,
    monitors: Monitors | None = None,
) -> Trained:
    """Train all students and teachers (section 3 of the paper).

    Parameters
    ----------
    rows : TrainingRows
    tasks : sequence of Task
        One for each student and its teacher.
    start : Weights
        Weights at which training starts, on features as they are in `rows`. Without
        adjustments these start anew, changing nothing; without teachers these
        start at random.
    objective : Objective
    config : TrainingConfig
    scaling : Scaling, optional
        Scaling of the features; by default one that standardises them, if configured.
    monitors : Monitors, optional

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If the training diverges in its first epoch.
    """
    monitors = monitors or Monitors()
    if scaling is None and config.standardize:
        scaling = Scaling.of(rows.features, rows.widths)
    scaling = scaling or Scaling.identity(rows.features.shape[1])
    if config.learning_rate == "auto":
        rate = learning_rate_for(rows.features.shape[1])
        config = replace(config, learning_rate=rate)

    def rescaled(weights: Weights, by: Scaling) -> Weights:
        sees_embeddings = config.teacher_input.sees_embeddings
        return by.enter_weights(
            weights, tasks, rows.widths, sees_embeddings=sees_embeddings
        )

    def trained(net: JointNet, history: list[Any]) -> Trained:
        # Back to the scale of the rows: the inverse undoes what entering did.
        return Trained(
            rescaled(to_numpy(net.module_), scaling.inverse()),
            history_frame(history, [task.name for task in tasks]),
            [False] * len(tasks),
            scaling,
        )

    scores = None
    if monitors.validation is not None:
        seen = _scaled(monitors.validation.rows, scaling)
        scores = ScoreRows(monitors.validation._replace(rows=seen))
    done = [] if monitors.saving is None else monitors.saving.records
    n_epochs = sum(phase.n_epochs for phase in config.phases)
    task = monitors.task.part("train", n_epochs - len(done)).begin()
    scaled = _scaled(rows, scaling)
    initial = _complete(rescaled(start, scaling), rows.widths, config)
    setup = Setup.of(scaled, tasks, objective, config)
    check_processes_agree(scaled, initial, setup)
    with progress_bar(
        n_epochs, "epochs", verbose=monitors.verbose, done=len(done)
    ) as bar:
        callbacks = [TellEpochs(bar, task, trained, done), *monitors.callbacks]
        net, history, problem = run_phases(
            setup, initial, callbacks, scores, monitors.saving
        )
    task.end()
    found = replace(trained(net, history), problem=problem)
    if scores is None:
        return found
    return replace(found, expert_is_better=scores.expert_is_better(net))


def _complete(
    weights: Weights, widths: Sequence[int], config: TrainingConfig
) -> Weights:
    """Return the weights with those that start anew."""
    seed = config.seed
    if not weights.adjustments:
        adjustments = first_adjustments(widths, config.adjustment_units, seed)
        weights = weights._replace(adjustments=adjustments)
    if not weights.teachers:
        teachers = random_teachers(weights.heads, widths, config.teacher_input, seed)
        weights = weights._replace(teachers=teachers)
    return weights


def _scaled(rows: TrainingRows, scaling: Scaling) -> TrainingRows:
    if isinstance(rows.features, LazyFeatures):
        return rows._replace(features=rows.features.changed(scaling.apply))
    return rows._replace(features=scaling.apply(rows.features))
