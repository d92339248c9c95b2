"""From rows, first weights and an objective to trained weights and a history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import torch

from .batches import Batches, TrainingRows
from .history import history_frame
from .losses import Objective
from .net import JointNet
from .networks import JointNetwork, Task, Weights, to_numpy
from .progress import ProgressLine
from .scoring import ScoreRows


class Architecture(NamedTuple):
    """Sizes, rates and first weights of the joint network.

    Attributes
    ----------
    widths : list of int
        Width of each expert's embedding.
    tasks : list of Task
        One for each student and its teacher.
    adjustment_units : int
    adjustment_dropout : float
    units_per_class : float
        The k of Eq. (4).
    """

    widths: list[int]
    tasks: list[Task]
    adjustment_units: int
    adjustment_dropout: float
    units_per_class: float


class Optimisation(NamedTuple):
    """How the objective is minimised.

    Attributes
    ----------
    distils : callable
        Says of an epoch's number whether students learn from teachers in it.
    max_epochs, batch_size : int
    learning_rate, weight_decay : float
        Of AdamW.
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
    architecture: Architecture,
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
    architecture : Architecture
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
    """
    device = available_device(optimisation.device)
    # One generator where the network is, one on the CPU for the shuffles, so that
    # neither waits for the other device.
    weights_and_masks = torch.Generator(device).manual_seed(optimisation.seed)
    shuffles = torch.Generator().manual_seed(optimisation.seed)
    batches = Batches(rows, optimisation.batch_size, shuffles, device)
    net = JointNet(
        partial(JointNetwork, **architecture._asdict(), generator=weights_and_masks),
        lambda: objective,
        distils=optimisation.distils,
        optimizer=torch.optim.AdamW,
        optimizer__fused=True,
        optimizer__weight_decay=optimisation.weight_decay,
        lr=optimisation.learning_rate,
        max_epochs=optimisation.max_epochs,
        device=device,
        callbacks=[
            *([ScoreRows(validation, device)] if validation is not None else []),
            *([ProgressLine()] if verbose else []),
            *callbacks,
        ],
        verbose=0,
    )
    net.fit(batches)
    labels = [rows.labels[task.dataset] for task in architecture.tasks]
    history = history_frame(
        net.history,
        [task.name for task in architecture.tasks],
        [len(y) for y in labels],
        len(rows.features),
    )
    return Trained(to_numpy(net.module_), history)


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
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"Invalid parameter value: device={device!r}. Valid values are 'auto' and "
            f"the devices of this machine's torch, such as 'cpu' ({error})."
        ) from error
    return device
