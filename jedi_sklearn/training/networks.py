"""The joint network: adjustments, students and teachers of all datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._weights import Adjustment, Linear
from .batches import Batch, Scores


class Task(NamedTuple):
    """A dataset with a student and a teacher.

    Attributes
    ----------
    name : str
        Name of the dataset and of its expert.
    dataset, expert : int
        Positions among the datasets of a batch and among the experts.
    """

    name: str
    dataset: int
    expert: int


class Weights(NamedTuple):
    """Weights of the joint network: one adjustment an expert, two maps a task."""

    adjustments: list[Adjustment]
    heads: list[Linear]
    teachers: list[Linear]


class AdjustmentNet(nn.Module):
    """What the adjustment module adds to an embedding, Fig. 2 of the paper.

    Two layers with SiLU between.

    Shape: (n_rows, n_features) to (n_rows, n_features).
    """

    def __init__(self, weights: Adjustment) -> None:
        super().__init__()
        self.down = _from_numpy(weights.down)
        self.up = _from_numpy(weights.up)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.up(F.silu(self.down(embedding)))


class JointNetwork(nn.Module):
    """Students and teachers on the embeddings of all experts, Fig. 1.

    Parameters
    ----------
    weights : Weights
        Where training starts; the widths of the adjustments add up to n_features.
    tasks : sequence of Task
        In the order of the heads and teachers of the weights.
    adjustment_dropout : float
    units_per_class : float
        The k of Eq. (4), which gives the dropout of each teacher's input.
    generator : torch.Generator
        Source of the dropout masks, on the device of the network.
    """

    def __init__(
        self,
        weights: Weights,
        tasks: Sequence[Task],
        adjustment_dropout: float,
        units_per_class: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.widths = [len(weights_.up.intercept) for weights_ in weights.adjustments]
        self.datasets = [task.dataset for task in tasks]
        self.experts = [task.expert for task in tasks]
        self.adjustment_dropout = adjustment_dropout
        self.teacher_dropout = [
            teacher_dropout(len(t.coef), t.coef.shape[1], units_per_class)
            for t in weights.teachers
        ]
        self.generator = generator
        self.adjustments = nn.ModuleList(map(AdjustmentNet, weights.adjustments))
        self.heads = nn.ModuleList(map(_from_numpy, weights.heads))
        self.teachers = nn.ModuleList(map(_from_numpy, weights.teachers))

    def forward(self, batch: Batch, distil: bool = True) -> Scores:
        """Return the scores that the loss of the batch needs.

        Parameters
        ----------
        batch : Batch
            features of shape (n_rows, n_features).
        distil : bool
            Whether the loss has its third term.
        """
        bases = batch.features.split(self.widths, dim=1)
        changes = [net(base) for net, base in zip(self.adjustments, bases, strict=True)]
        adjusted = [
            base + self._dropout(change, self.adjustment_dropout)
            for base, change in zip(bases, changes, strict=True)
        ]
        own_rows = [batch.labelled[dataset] for dataset in self.datasets]
        joint = torch.cat(adjusted, dim=1)
        return Scores(
            students=[
                head(adjusted[expert] if distil else adjusted[expert][own])
                for head, expert, own in zip(
                    self.heads, self.experts, own_rows, strict=True
                )
            ],
            teachers=[
                teacher(self._dropout(joint[own], p))
                for teacher, own, p in zip(
                    self.teachers, own_rows, self.teacher_dropout, strict=True
                )
            ],
            targets=self._targets(batch.features, changes) if distil else None,
        )

    @torch.no_grad()
    def _targets(self, features: Tensor, changes: list[Tensor]) -> list[Tensor]:
        # Without dropout: Eq. (4) keeps so few inputs that a target taken under
        # it would be mostly noise.
        clean = features + torch.cat(changes, dim=1)
        return [teacher(clean) for teacher in self.teachers]

    def _dropout(self, x: Tensor, p: float) -> Tensor:
        # torch's own dropout draws from the global random state.
        if not self.training or p == 0.0:
            return x
        kept = torch.empty_like(x).bernoulli_(1.0 - p, generator=self.generator)
        return x * kept.div_(1.0 - p)


def teacher_dropout(n_classes: int, n_features: int, units_per_class: float) -> float:
    """Return the dropout rate of a teacher's input, Eq. (4) of the paper.

    So many inputs remain that there are `units_per_class` (the paper's k) for each
    class on average, Eq. (5).

    Examples
    --------
    >>> round(teacher_dropout(51, 7168, units_per_class=10), 4)
    0.9289
    >>> teacher_dropout(10, 64, units_per_class=10)
    0.0
    """
    return max(0.0, 1.0 - units_per_class * n_classes / n_features)


def first_adjustments(
    widths: Sequence[int], n_units: int, seed: int
) -> list[Adjustment]:
    """Return adjustments that change nothing yet: their second layer is zero.

    Parameters
    ----------
    widths : sequence of int
        Width of each expert's embedding.
    n_units : int
        Width of the hidden layers.
    seed : int
        Of the first layers, which are uniform with variance 1 / (3 * width).
    """
    random = np.random.RandomState(seed)
    adjustments = []
    for width in widths:
        coef = random.uniform(-1.0, 1.0, (n_units, width)) / np.sqrt(width)
        down = Linear(coef.astype(np.float32), np.zeros(n_units, np.float32))
        up = Linear(np.zeros((width, n_units), np.float32), np.zeros(width, np.float32))
        adjustments.append(Adjustment(down, up))
    return adjustments


def first_teachers(
    heads: Sequence[Linear], tasks: Sequence[Task], widths: Sequence[int]
) -> list[Linear]:
    """Return teachers that agree with their experts.

    The head's weights stand in the columns of its expert, and zeros in the others'.

    Parameters
    ----------
    heads : sequence of Linear
        Of the tasks' experts.
    tasks : sequence of Task
    widths : sequence of int
        Width of each expert's embedding.
    """
    starts = np.cumsum([0, *widths])
    teachers = []
    for head, task in zip(heads, tasks, strict=True):
        coef = np.zeros((len(head.coef), starts[-1]), dtype=np.float32)
        coef[:, starts[task.expert] : starts[task.expert + 1]] = head.coef
        teachers.append(Linear(coef, head.intercept))
    return teachers


def to_numpy(network: JointNetwork) -> Weights:
    """Return copies of the weights."""
    return Weights(
        [_adjustment_to_numpy(net) for net in network.adjustments],
        [_to_numpy(head) for head in network.heads],
        [_to_numpy(teacher) for teacher in network.teachers],
    )


def _adjustment_to_numpy(net: Any) -> Adjustment:
    return Adjustment(_to_numpy(net.down), _to_numpy(net.up))


def _from_numpy(weights: Linear) -> nn.Linear:
    n_outputs, n_inputs = weights.coef.shape
    # nn.Linear's own initialisation would draw from the global random state.
    layer = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs, dtype=torch.float32)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights.coef))
        layer.bias.copy_(torch.tensor(weights.intercept))
    return layer


def _to_numpy(layer: Any) -> Linear:
    return Linear(
        layer.weight.detach().cpu().numpy().copy(),
        layer.bias.detach().cpu().numpy().copy(),
    )
