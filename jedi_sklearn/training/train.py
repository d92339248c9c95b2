"""From rows, first weights and an objective to trained weights and a history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import torch
from skorch.callbacks import LRScheduler

from .batches import Batches, TrainingRows
from .history import history_frame
from .losses import Objective
from .net import JointNet
from .networks import JointNetwork, Task, Weights, first_adjustments, to_numpy
from .progress import ProgressLine
from .scaling import Scaling
from .scoring import ScoreRows


class Optimisation(NamedTuple):
    """How the objective is minimised.

    Attributes
    ----------
    distils : callable
        Says of an epoch's number whether students learn from teachers in it.
    max_epochs, batch_size : int
    learning_rate, weight_decay : float
        Of AdamW.
    decay : {"cosine", "constant"}
        What becomes of the learning rate over the epochs.
    adjustment_units : int
        Width of the hidden layer of adjustments that start anew.
    adjustment_dropout : float
        Dropout of the adjustments.
    units_per_class : float
        The k of Eq. (4), which gives the dropout of the teachers' inputs.
    standardize : bool
        Whether features are standardised for the training.
    seed : int
        Of first weights, shuffles and dropout masks.
    device : str
        A device of torch, or "auto": CUDA where there is one, else the CPU.
    """

    distils: Callable[[int], bool]
    max_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    decay: str
    adjustment_units: int
    adjustment_dropout: float
    units_per_class: float
    standardize: bool
    seed: int
    device: str


class Trained(NamedTuple):
    """What a training leaves.

    Attributes
    ----------
    weights : Weights
    history : DataFrame
        See `history_frame`.
    """

    weights: Weights
    history: pd.DataFrame


def train(
    rows: TrainingRows,
    tasks: Sequence[Task],
    start: Weights,
    objective: Objective,
    optimisation: Optimisation,
    *,
    validation: TrainingRows | None = None,
    callbacks: Sequence[Any] = (),
    verbose: int = 0,
) -> Trained:
    """Train all students and teachers jointly (section 3.2 of the paper).

    Parameters
    ----------
    rows : TrainingRows
    tasks : sequence of Task
        One for each student and its teacher.
    start : Weights
        Where training starts, on features as they are in `rows`; without
        adjustments these start anew, changing nothing.
    objective : Objective
    optimisation : Optimisation
    validation : TrainingRows, optional
        Rows on which students and teachers are scored after every epoch; nothing
        else is done with them.
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
    monitors: list[Any] = [ProgressLine()] if verbose else []
    if validation is not None:
        monitors.append(ScoreRows(_scaled(validation, scaling)))
    start = scaling.enter_weights(start, tasks, rows.widths)
    if not start.adjustments:
        start = start._replace(
            adjustments=first_adjustments(
                rows.widths, optimisation.adjustment_units, optimisation.seed
            )
        )
    net = _make_net(start, tasks, objective, optimisation, [*monitors, *callbacks])
    # Shuffles are drawn on the CPU and masks where the network is, so that neither
    # waits for the other.
    shuffles = torch.Generator().manual_seed(optimisation.seed)
    net.fit(
        Batches(_scaled(rows, scaling), optimisation.batch_size, shuffles, net.device)
    )
    _check_finite(net)
    history = history_frame(
        net.history,
        [task.name for task in tasks],
        [len(rows.labels[task.dataset]) for task in tasks],
        len(rows.features),
    )
    weights = scaling.leave_weights(to_numpy(net.module_), tasks, rows.widths)
    return Trained(weights, history)


def _make_net(
    start: Weights,
    tasks: Sequence[Task],
    objective: Objective,
    optimisation: Optimisation,
    callbacks: Sequence[Any],
) -> JointNet:
    device = available_device(optimisation.device)
    network = partial(
        JointNetwork,
        start,
        tasks,
        optimisation.adjustment_dropout,
        optimisation.units_per_class,
        torch.Generator(device).manual_seed(optimisation.seed),
    )
    decay: list[Any] = []
    if optimisation.decay == "cosine":
        # Ends at zero after the last epoch; with no epoch it has nothing to do.
        decay = [LRScheduler("CosineAnnealingLR", T_max=optimisation.max_epochs or 1)]
    return JointNet(
        network,
        lambda: objective,
        distils=optimisation.distils,
        optimizer=torch.optim.AdamW,
        optimizer__fused=True,
        optimizer__weight_decay=optimisation.weight_decay,
        lr=optimisation.learning_rate,
        max_epochs=optimisation.max_epochs,
        device=device,
        callbacks=[*decay, *callbacks],
        verbose=0,
    )


def _check_finite(net: JointNet) -> None:
    if not all(weights.isfinite().all() for weights in net.module_.parameters()):
        raise ValueError(
            f"The training diverged: after {len(net.history)} epochs there are weights "
            f"that are not finite. A learning_rate below {net.lr:g} may help."
        )


def _scaled(rows: TrainingRows, scaling: Scaling) -> TrainingRows:
    return rows._replace(features=scaling.apply(rows.features))


def available_device(device: str) -> str:
    """Return the device that "auto" stands for, any other as it is.

    Raises
    ------
    ValueError
        If torch does not know the device or cannot reach it.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
        torch.Generator(device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"Invalid parameter value: device={device!r}. Valid values are 'auto' and "
            f"the devices of this machine's torch, such as 'cpu' ({error})."
        ) from error
    return device
