"""From rows, first weights and an objective to trained weights and a history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from ..models.weights import Linear
from ..utils.fit_task import FitTask
from ..utils.progress import progress_bar
from .callbacks.progress import TellEpochs
from .callbacks.resume import Saving
from .callbacks.validation import ScoreRows, Validation
from .config import Optimisation
from .data.features import LazyFeatures
from .data.rows import TrainingRows
from .history import history_frame
from .joint_net import JointNet
from .losses import Objective
from .network.joint_network import to_numpy
from .network.scaling import Scaling
from .network.weights import (
    Task,
    TeacherInput,
    Weights,
    first_adjustments,
    on_embeddings,
    random_teachers,
)
from .phases import run_phases
from .schedules import learning_rate_for


class Watchers(NamedTuple):
    """Who looks on, and changes nothing but the end.

    Attributes
    ----------
    validation : Validation or None
        Rows on which students and teachers are scored after every epoch; nothing
        else is done with them but for the patience.
    callbacks : sequence of skorch callbacks
    saving : Saving or None
        By which the training is written down, and goes on from what was.
    task : FitTask
        Of whose parts, the epochs, others are told; they may end it. What is found
        after each is given to them as `Trained`.
    verbose : int
        0 is silent, 1 shows a progress bar on standard error.
    """

    validation: Validation | None = None
    callbacks: Sequence[Any] = ()
    saving: Saving | None = None
    task: FitTask = FitTask()
    verbose: int = 0


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
    scaling : Scaling
        Of the features it was trained on.
    problem : Warning or None
        Why it ended before its time, where nobody had asked for that.
    """

    weights: Weights
    teachers: list[Linear]
    teachers_see_base: bool
    history: pd.DataFrame
    no_better: list[bool]
    scaling: Scaling
    problem: Warning | None


def train(
    rows: TrainingRows,
    tasks: Sequence[Task],
    start: Weights,
    objective: Objective,
    optimisation: Optimisation,
    *,
    scaling: Scaling | None = None,
    watchers: Watchers | None = None,
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
    scaling : Scaling, optional
        Of the features; by default what standardises them, if that is wanted.
    watchers : Watchers, optional

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If the training diverges in its first epoch.
    """
    watchers = watchers or Watchers()
    scaling = scaling or _scaling_of(rows, optimisation)
    if optimisation.learning_rate == "auto":
        rate = learning_rate_for(rows.features.shape[1])
        optimisation = optimisation._replace(learning_rate=rate)
    teacher_input = optimisation.teacher_input
    change_scale = partial(
        Scaling.enter_weights,
        tasks=tasks,
        widths=rows.widths,
        sees_embeddings=teacher_input.base or teacher_input.adjusted,
    )
    trained = partial(_trained, tasks, teacher_input, scaling, change_scale)

    scores = None
    if watchers.validation is not None:
        seen = _scaled(watchers.validation.rows, scaling)
        scores = ScoreRows(watchers.validation._replace(rows=seen))
    done = [] if watchers.saving is None else watchers.saving.records
    n_epochs = sum(phase.n_epochs for phase in optimisation.phases)
    task = watchers.task.part("train", n_epochs - len(done)).begin()
    with progress_bar(
        n_epochs, "epochs", verbose=watchers.verbose, done=len(done)
    ) as bar:
        net, history, problem = run_phases(
            _scaled(rows, scaling),
            tasks,
            _complete(change_scale(scaling, start), rows.widths, optimisation),
            objective,
            optimisation,
            scores,
            [TellEpochs(bar, task, trained, done), *watchers.callbacks],
            watchers.saving,
        )
    task.end()
    found = trained(net, history)._replace(problem=problem)
    return found if scores is None else found._replace(no_better=scores.no_better(net))


def _trained(
    tasks: Sequence[Task],
    teacher_input: TeacherInput,
    scaling: Scaling,
    change_scale: Callable[[Scaling, Weights], Weights],
    net: JointNet,
    history: list[Any],
) -> Trained:
    """Return what a net has learnt by now."""
    weights = change_scale(scaling.inverse(), to_numpy(net.module_))
    return Trained(
        weights=weights,
        teachers=on_embeddings(weights, tasks, teacher_input),
        teachers_see_base=teacher_input.base,
        history=history_frame(history, [task.name for task in tasks]),
        no_better=[False] * len(tasks),
        scaling=scaling,
        problem=None,
    )


def _scaling_of(rows: TrainingRows, optimisation: Optimisation) -> Scaling:
    if optimisation.standardize:
        return Scaling.of(rows.features, rows.widths)
    return Scaling.identity(rows.features.shape[1])


def _complete(
    weights: Weights, widths: Sequence[int], optimisation: Optimisation
) -> Weights:
    """Return the weights with those that start anew."""
    seed = optimisation.seed
    if not weights.adjustments:
        adjustments = first_adjustments(widths, optimisation.adjustment_units, seed)
        weights = weights._replace(adjustments=adjustments)
    if not weights.teachers:
        teachers = random_teachers(
            weights.heads, widths, optimisation.teacher_input, seed
        )
        weights = weights._replace(teachers=teachers)
    return weights


def _scaled(rows: TrainingRows, scaling: Scaling) -> TrainingRows:
    if isinstance(rows.features, LazyFeatures):
        return rows._replace(features=rows.features.changed(scaling.apply))
    return rows._replace(features=scaling.apply(rows.features))
