"""The joint network: adjustments, students and teachers of all datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._weights import Adjustment, Linear
from .batches import Batch, Scores


class Task(NamedTuple):
    """A dataset with a student and a teacher: positions and first weights.

    Attributes
    ----------
    name : str
        Name of the dataset and of its expert.
    dataset, expert : int
        Positions among the datasets of a batch and among the experts.
    head, teacher : Linear
        First weights of the student's head and of the teacher.
    """

    name: str
    dataset: int
    expert: int
    head: Linear
    teacher: Linear


class Weights(NamedTuple):
    """Trained weights: one adjustment an expert, one head and teacher a task."""

    adjustments: list[Adjustment]
    heads: list[Linear]
    teachers: list[Linear]


class AdjustmentNet(nn.Module):
    """What the adjustment module adds to an embedding, Fig. 2 of the paper.

    Two layers with SiLU between; the second starts at zero, so that an untrained
    adjustment changes nothing.

    Shape: (n_rows, n_features) to (n_rows, n_features).
    """

    def __init__(self, n_features: int, n_units: int, generator: torch.Generator):
        super().__init__()
        bound = n_features**-0.5
        down = torch.empty(n_units, n_features).uniform_(
            -bound, bound, generator=generator
        )
        self.down = _linear(down, torch.zeros(n_units))
        self.up = _linear(torch.zeros(n_features, n_units), torch.zeros(n_features))

    def forward(self, embedding: Tensor) -> Tensor:
        return self.up(F.silu(self.down(embedding)))


class JointNetwork(nn.Module):
    """Students and teachers on the embeddings of all experts, Fig. 1.

    Parameters
    ----------
    widths : sequence of int
        Width of each expert's embedding; their sum is n_features.
    tasks : sequence of Task
    adjustment_units : int
    adjustment_dropout : float
    units_per_class : float
        The k of Eq. (4), which gives the dropout of each teacher's input.
    generator : torch.Generator
        Source of the first weights and of the dropout masks. It lives on the
        device of the network, and no other random state is used.
    """

    def __init__(
        self,
        widths: Sequence[int],
        tasks: Sequence[Task],
        adjustment_units: int,
        adjustment_dropout: float,
        units_per_class: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.widths = list(widths)
        self.datasets = [task.dataset for task in tasks]
        self.experts = [task.expert for task in tasks]
        self.adjustment_dropout = adjustment_dropout
        self.teacher_dropout = [
            teacher_dropout(len(task.head.coef), sum(widths), units_per_class)
            for task in tasks
        ]
        self.generator = generator
        self.adjustments = nn.ModuleList(
            AdjustmentNet(width, adjustment_units, generator) for width in widths
        )
        self.heads = nn.ModuleList(_from_numpy(task.head) for task in tasks)
        self.teachers = nn.ModuleList(_from_numpy(task.teacher) for task in tasks)

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
    0.9288
    >>> teacher_dropout(10, 64, units_per_class=10)
    0.0
    """
    return max(0.0, 1.0 - units_per_class * n_classes / n_features)


def make_tasks(
    heads: Mapping[str, Linear],
    datasets: Sequence[str],
    experts: Sequence[str],
    widths: Sequence[int],
) -> list[Task]:
    """Return the task of each head, a teacher starting from its expert's head.

    The head's weights stand in the columns of its expert, and zeros in the others',
    so that before the first step teacher, student and expert agree.

    Parameters
    ----------
    heads : mapping of str to Linear
        Heads of the experts that get a student.
    datasets, experts : sequence of str
        Names, in the order of the rows and of the features.
    widths : sequence of int
        Width of each expert's embedding.
    """
    tasks = []
    for name, head in heads.items():
        expert = experts.index(name)
        coef = np.zeros((len(head.coef), sum(widths)), dtype=np.float32)
        start = sum(widths[:expert])
        coef[:, start : start + widths[expert]] = head.coef
        teacher = Linear(coef, head.intercept)
        tasks.append(Task(name, datasets.index(name), expert, head, teacher))
    return tasks


def to_numpy(network: JointNetwork) -> Weights:
    """Return copies of the weights."""
    return Weights(
        [_adjustment_to_numpy(net) for net in network.adjustments],
        [_to_numpy(head) for head in network.heads],
        [_to_numpy(teacher) for teacher in network.teachers],
    )


def _adjustment_to_numpy(net: Any) -> Adjustment:
    return Adjustment(_to_numpy(net.down), _to_numpy(net.up))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    # nn.Linear's own initialisation would draw from the global random state.
    n_outputs, n_inputs = weight.shape
    layer = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def _from_numpy(weights: Linear) -> nn.Linear:
    return _linear(torch.as_tensor(weights.coef), torch.as_tensor(weights.intercept))


def _to_numpy(layer: Any) -> Linear:
    return Linear(
        layer.weight.detach().cpu().numpy().copy(),
        layer.bias.detach().cpu().numpy().copy(),
    )
