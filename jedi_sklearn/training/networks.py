"""The joint network: adjustments, students and teachers of all datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._weights import Adjustment, Linear
from .batches import Batch, Scores
from .dropout import Dropout, draw, mask_of, teacher_dropout


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


class LinearLayer(nn.Linear):
    """A linear map whose product is taken in the dtype of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


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


class Wiring(NamedTuple):
    """What teachers see, and what students see of their teachers.

    Attributes
    ----------
    base, adjusted, predictions : bool
        Whether a teacher sees the embeddings before or after their adjustment, and
        the scores that all students give (section 5.1). Base and adjusted exclude
        each other.
    target_dropout : bool
        Whether targets are taken under dropout.
    target_gradient : bool
        Whether the distillation also moves the teachers towards the students.
    fixed_targets : bool
        Whether targets are those of the first weights, without dropout and gradient:
        the teachers are not trained and see the students as these were at the start
        (section 3.1).
    """

    base: bool = False
    adjusted: bool = True
    predictions: bool = False
    target_dropout: bool = False
    target_gradient: bool = False
    fixed_targets: bool = False

    @classmethod
    def of(cls, teacher_input: str, **targets: bool) -> Self:
        """Return the wiring for a ``teacher_input`` of `JEDIClassifier`."""
        seen = teacher_input.split("+")
        return cls("base" in seen, "adjusted" in seen, "predictions" in seen, **targets)


class JointNetwork(nn.Module):
    """Students and teachers on the embeddings of all experts, Fig. 1.

    Parameters
    ----------
    weights : Weights
        Where training starts; the widths of the adjustments add up to n_features.
    tasks : sequence of Task
        In the order of the heads and teachers of the weights.
    dropout : Dropout
    wiring : Wiring, optional
        By default teachers see the adjusted embeddings.
    """

    def __init__(
        self,
        weights: Weights,
        tasks: Sequence[Task],
        dropout: Dropout,
        wiring: Wiring | None = None,
    ) -> None:
        super().__init__()
        self.widths = [len(weights_.up.intercept) for weights_ in weights.adjustments]
        self.datasets = [task.dataset for task in tasks]
        self.experts = [task.expert for task in tasks]
        self.wiring = wiring or Wiring()
        self.dropout = dropout
        self.teacher_dropout = [
            teacher_dropout(len(t.coef), t.coef.shape[1], dropout.units_per_class)
            for t in weights.teachers
        ]
        self.adjustments = nn.ModuleList(map(AdjustmentNet, weights.adjustments))
        self.heads = nn.ModuleList(map(_from_numpy, weights.heads))
        self.teachers = nn.ModuleList(map(_from_numpy, weights.teachers))
        if self.wiring.fixed_targets:
            moving = self.wiring._replace(fixed_targets=False)
            self.first = JointNetwork(weights, tasks, dropout, moving)
            self.first.requires_grad_(False)

    def train_only(self, *, students: bool, teachers: bool) -> Self:
        """Fix all weights but those of the students or the teachers, or of both."""
        self.adjustments.requires_grad_(students)
        self.heads.requires_grad_(students)
        self.teachers.requires_grad_(teachers)
        return self

    def forward(self, batch: Batch, distil: bool = True) -> Scores:
        """Return the scores that the loss of the batch needs.

        Products are taken in the dtype of the features; scores have at least single
        precision.

        Parameters
        ----------
        batch : Batch
            features of shape (n_rows, n_features).
        distil : bool
            Whether the loss has its third term.
        """
        changes = self._changes(batch.features)
        adjusted = self._adjusted(batch.features, changes)
        joint = self._teacher_input(batch.features, adjusted)
        targets = None
        if distil and self.wiring.target_dropout and not self.wiring.fixed_targets:
            teachers, targets = self._under_shared_masks(joint, batch)
        else:
            teachers = self._of_own_rows(joint, batch)
            if distil:
                targets = self._clean_targets(batch.features, changes)
        students = [
            head(
                adjusted[expert]
                if distil
                else batch.labelled_parts(adjusted[expert])[i]
            )
            for head, expert, i in zip(
                self.heads, self.experts, self.datasets, strict=True
            )
        ]
        return Scores(
            _for_losses(students),
            _for_losses(teachers),
            None if targets is None else _for_losses(targets),
        )

    def _changes(self, features: Tensor) -> list[Tensor]:
        """Return what the adjustments add, before dropout."""
        bases = features.split(self.widths, dim=1)
        return [net(base) for net, base in zip(self.adjustments, bases, strict=True)]

    def _adjusted(self, features: Tensor, changes: list[Tensor]) -> list[Tensor]:
        """Return the embeddings with what dropout leaves of the changes."""
        bases = features.split(self.widths, dim=1)
        rate = self.dropout.adjustment
        if not self.training or rate == 0.0:
            return [a + b for a, b in zip(bases, changes, strict=True)]
        drawn = draw(features, self.dropout.generator).split(self.widths, dim=1)
        return [
            torch.addcmul(base, change, mask_of(numbers, rate, base.dtype))
            for base, change, numbers in zip(bases, changes, drawn, strict=True)
        ]

    def _teacher_input(self, features: Tensor, adjusted: list[Tensor]) -> Tensor:
        """Return what every teacher sees, of shape (n_rows, n_inputs)."""
        parts = [features] if self.wiring.base else []
        if self.wiring.adjusted:
            parts = adjusted
        if self.wiring.predictions:
            parts = parts + [
                head(adjusted[expert])
                for head, expert in zip(self.heads, self.experts, strict=True)
            ]
        return torch.cat(parts, dim=1)

    def _of_own_rows(self, joint: Tensor, batch: Batch) -> list[Tensor]:
        """Return what the teachers say of their labelled rows, under dropout."""
        own = batch.labelled_parts(joint)
        return [
            teacher(self._drop(own[i], rate))
            for teacher, i, rate in zip(
                self.teachers, self.datasets, self.teacher_dropout, strict=True
            )
        ]

    def _under_shared_masks(
        self, joint: Tensor, batch: Batch
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return what the teachers say of their own and of all rows, under dropout.

        The masks of all teachers come of one draw: each term of the loss sees those of
        one teacher. A teacher gets a gradient from the other rows only if the wiring
        wants it.
        """
        drawn = draw(joint, self.dropout.generator)
        own = batch.labelled_parts(joint)
        teachers, targets = [], []
        for teacher, i, rate in zip(
            self.teachers, self.datasets, self.teacher_dropout, strict=True
        ):
            labelled = batch.labelled[i]
            if self.wiring.target_gradient:
                target = teacher(self._drop(joint, rate, drawn))
                scores = target[labelled]
            else:
                scores = teacher(self._drop(own[i], rate, drawn[labelled]))
                with torch.no_grad():
                    before, after = (
                        teacher(self._drop(joint[others], rate, drawn[others]))
                        for others in (
                            slice(labelled.start),
                            slice(labelled.stop, None),
                        )
                    )
                target = torch.cat([before, scores.detach(), after])
            teachers.append(scores)
            targets.append(target)
        return teachers, targets

    def _clean_targets(self, features: Tensor, changes: list[Tensor]) -> list[Tensor]:
        """Return what the teachers say of all rows, for the students to learn."""
        if self.wiring.fixed_targets:
            return self.first.targets(features)
        moves = self.wiring.target_gradient and torch.is_grad_enabled()
        with torch.set_grad_enabled(moves):
            return self._clean_scores(features, changes)

    @torch.no_grad()
    def targets(self, features: Tensor) -> list[Tensor]:
        """Return the teachers' scores of all rows, without dropout."""
        return _for_losses(self._clean_scores(features, self._changes(features)))

    def _clean_scores(self, features: Tensor, changes: list[Tensor]) -> list[Tensor]:
        # Without dropout: Eq. (4) keeps so few inputs that a target taken under
        # it would be mostly noise.
        bases = features.split(self.widths, dim=1)
        clean = [a + b for a, b in zip(bases, changes, strict=True)]
        joint = self._teacher_input(features, clean)
        # One product for all: some have so few classes that theirs would be slow.
        weight = torch.cat([teacher.weight for teacher in self.teachers])
        bias = torch.cat([teacher.bias for teacher in self.teachers])
        scores = F.linear(joint, weight.to(joint.dtype), bias.to(joint.dtype))
        return list(scores.split([len(t.bias) for t in self.teachers], dim=1))

    def _drop(self, x: Tensor, rate: float, drawn: Tensor | None = None) -> Tensor:
        if not self.training or rate == 0.0:
            return x
        if drawn is None:
            drawn = draw(x, self.dropout.generator)
        return x * mask_of(drawn, rate, x.dtype)


def _for_losses(scores: list[Tensor]) -> list[Tensor]:
    """Return scores in single precision where they have less."""
    return [s.to(torch.promote_types(s.dtype, torch.float32)) for s in scores]


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
    heads: Sequence[Linear],
    tasks: Sequence[Task],
    widths: Sequence[int],
    wiring: Wiring,
) -> list[Linear]:
    """Return teachers that agree with their experts.

    Where teachers see embeddings, the head's weights stand in the columns of its
    expert; where they see predictions alone, a 1 in that of each own class. All else
    is zero.

    Parameters
    ----------
    heads : sequence of Linear
        Of the tasks' experts.
    tasks : sequence of Task
    widths : sequence of int
        Width of each expert's embedding.
    wiring : Wiring
    """
    sizes = _input_sizes(heads, widths, wiring)
    starts = np.cumsum([0, *sizes])
    sees_embeddings = wiring.base or wiring.adjusted
    teachers = []
    for number, (head, task) in enumerate(zip(heads, tasks, strict=True)):
        n_classes = len(head.coef)
        own = Linear(np.eye(n_classes), np.zeros(n_classes))
        part = number
        if sees_embeddings:
            own, part = head, task.expert
        coef = np.zeros((n_classes, starts[-1]), dtype=np.float32)
        coef[:, starts[part] : starts[part + 1]] = own.coef
        teachers.append(Linear(coef, own.intercept.astype(np.float32)))
    return teachers


def random_teachers(
    heads: Sequence[Linear], widths: Sequence[int], wiring: Wiring, seed: int
) -> list[Linear]:
    """Return teachers that know nothing, as :class:`torch.nn.Linear` starts.

    Parameters
    ----------
    heads : sequence of Linear
        Of the tasks' experts, for the numbers of classes.
    widths : sequence of int
    wiring : Wiring
    seed : int
        Of the weights and intercepts, uniform with variance 1 / (3 * n_inputs).
    """
    random = np.random.RandomState(seed)
    n_inputs = sum(_input_sizes(heads, widths, wiring))
    bound = 1.0 / np.sqrt(n_inputs)
    teachers = []
    for head in heads:
        weights = random.uniform(-bound, bound, (len(head.coef), n_inputs + 1))
        weights = weights.astype(np.float32)
        teachers.append(Linear(weights[:, :-1].copy(), weights[:, -1].copy()))
    return teachers


def _input_sizes(
    heads: Sequence[Linear], widths: Sequence[int], wiring: Wiring
) -> list[int]:
    """Return the widths of the parts of a teacher's input."""
    embeddings = list(widths) if wiring.base or wiring.adjusted else []
    return embeddings + [len(h.coef) for h in heads] * wiring.predictions


def on_embeddings(
    weights: Weights, tasks: Sequence[Task], wiring: Wiring
) -> list[Linear]:
    """Return the teachers as linear maps of the embeddings that they see.

    A prediction is a linear function of adjusted embeddings, so that a teacher of
    predictions is one of adjusted embeddings.

    Parameters
    ----------
    weights : Weights
    tasks : sequence of Task
    wiring : Wiring
    """
    if not wiring.predictions:
        return weights.teachers
    starts = np.cumsum([0, *(len(a.up.intercept) for a in weights.adjustments)])
    n_classes = [len(head.coef) for head in weights.heads]
    heads = np.zeros((sum(n_classes), starts[-1]))
    first = 0
    for task, head in zip(tasks, weights.heads, strict=True):
        columns = slice(starts[task.expert], starts[task.expert + 1])
        heads[first : first + len(head.coef), columns] = head.coef
        first += len(head.coef)
    intercepts = np.concatenate([head.intercept for head in weights.heads])
    folded = []
    for teacher in weights.teachers:
        seen = teacher.coef[:, -len(heads) :].astype(np.float64)
        coef = seen @ heads
        if wiring.adjusted:
            coef += teacher.coef[:, : -len(heads)]
        intercept = teacher.intercept + seen @ intercepts
        folded.append(Linear(coef.astype(np.float32), intercept.astype(np.float32)))
    return folded


def to_numpy(network: JointNetwork) -> Weights:
    """Return copies of the weights."""
    return Weights(
        [_adjustment_to_numpy(net) for net in network.adjustments],
        [_to_numpy(head) for head in network.heads],
        [_to_numpy(teacher) for teacher in network.teachers],
    )


def _adjustment_to_numpy(net: Any) -> Adjustment:
    return Adjustment(_to_numpy(net.down), _to_numpy(net.up))


def _from_numpy(weights: Linear) -> LinearLayer:
    n_outputs, n_inputs = weights.coef.shape
    # nn.Linear's own initialisation would draw from the global random state.
    layer = nn.utils.skip_init(LinearLayer, n_inputs, n_outputs, dtype=torch.float32)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights.coef))
        layer.bias.copy_(torch.tensor(weights.intercept))
    return layer


def _to_numpy(layer: Any) -> Linear:
    return Linear(
        layer.weight.detach().cpu().numpy().copy(),
        layer.bias.detach().cpu().numpy().copy(),
    )
