"""Plain implementation of the method with masks, the reference of the benchmarks.

Every row goes through every student and teacher, forward and backward, and masks say
which rows a loss counts; dropout is torch's. It is also a reference: where nothing is
dropped its gradients are those of the estimator's network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Settings(NamedTuple):
    """Parameters of `JEDIClassifier` that the loss depends on, with its defaults."""

    gamma: float = 0.4
    target_temperature: float = 0.3
    target_dropout: bool = False
    adjustment_dropout: float = 0.75
    units_per_class: float = 10.0


class Rows(NamedTuple):
    """Some rows in any order.

    Attributes
    ----------
    features : Tensor of shape (n_rows, n_features)
    dataset : Tensor of shape (n_rows,), int64
    labels : Tensor of shape (n_rows,), int64
        Negative where there is none.
    """

    features: Tensor
    dataset: Tensor
    labels: Tensor

    def take(self, chosen: Tensor) -> Rows:
        return Rows(*(part[chosen] for part in self))


class PlainNetwork(nn.Module):
    """Adjustments, heads and teachers of datasets that have one of each."""

    def __init__(
        self, widths: Sequence[int], n_classes: Sequence[int], n_units: int = 256
    ) -> None:
        super().__init__()
        self.widths = list(widths)
        self.down = nn.ModuleList(nn.Linear(width, n_units) for width in widths)
        self.up = nn.ModuleList(nn.Linear(n_units, width) for width in widths)
        self.heads = nn.ModuleList(map(nn.Linear, widths, n_classes))
        self.teachers = nn.ModuleList(nn.Linear(sum(widths), n) for n in n_classes)

    def forward(
        self, features: Tensor, settings: Settings
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return scores of students and of teachers, and distillation targets."""
        bases = features.split(self.widths, dim=1)
        changes = [
            up(F.silu(down(base)))
            for down, up, base in zip(self.down, self.up, bases, strict=True)
        ]
        adjusted = [
            base + F.dropout(change, settings.adjustment_dropout, self.training)
            for base, change in zip(bases, changes, strict=True)
        ]
        students = [head(a) for head, a in zip(self.heads, adjusted, strict=True)]
        joint = torch.cat(adjusted, dim=1)
        teachers = []
        for teacher in self.teachers:
            n_kept = settings.units_per_class * teacher.out_features
            rate = max(0.0, 1.0 - n_kept / teacher.in_features)
            teachers.append(teacher(F.dropout(joint, rate, self.training)))
        if settings.target_dropout:
            return students, teachers, [scores.detach() for scores in teachers]
        with torch.no_grad():
            clean = features + torch.cat(changes, dim=1)
            targets = [teacher(clean) for teacher in self.teachers]
        return students, teachers, targets


def plain_loss(
    network: PlainNetwork, rows: Rows, weights: Tensor, settings: Settings
) -> Tensor:
    """Return the mean over the rows of Eq. (1), with masks.

    Parameters
    ----------
    network : PlainNetwork
    rows : Rows
    weights : Tensor of shape (n_datasets, n_datasets)
        Of Eq. (2).
    settings : Settings
    """
    students, teachers, targets = network(rows.features, settings)
    loss = rows.features.new_zeros(())
    for j, scores in enumerate(zip(students, teachers, targets, strict=True)):
        student, teacher, target = scores
        own = ((rows.dataset == j) & (rows.labels >= 0)).to(student.dtype)
        labels = rows.labels.clamp(0, student.shape[1] - 1)
        for given in (student, teacher):
            loss = loss + (own * F.cross_entropy(given, labels, reduction="none")).sum()
        wanted = F.softmax(target / settings.target_temperature, dim=1)
        distilled = -(wanted * F.log_softmax(student, dim=1)).sum(dim=1)
        of_rows = weights[rows.dataset, j]
        loss = loss + settings.gamma * (of_rows * distilled).sum()
    return loss / len(rows.features)


def random_batches(n_rows: int, batch_size: int) -> Iterable[Tensor]:
    """Return the numbers of all rows once, in random order."""
    return torch.randperm(n_rows).split(batch_size)


def plain_epoch(
    network: PlainNetwork,
    optimizer: torch.optim.Optimizer,
    rows: Rows,
    weights: Tensor,
    settings: Settings,
    batches: Iterable[Tensor],
) -> None:
    """Train on batches of row numbers."""
    for chosen in batches:
        optimizer.zero_grad()
        plain_loss(network, rows.take(chosen), weights, settings).backward()
        optimizer.step()
