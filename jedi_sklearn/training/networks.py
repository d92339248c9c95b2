"""The joint network: adjustments, students and teachers of all datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from ..models.weights import Adjustment, Linear
from .batches import Batch, Scores
from .dropout import Dropout, draw, mask_of, teacher_dropout
from .layers import AdjustmentNet, LinearLayer, Part, of_parts


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
        starts = np.cumsum([0, *self.widths]).tolist()
        self.columns = list(map(slice, starts, starts[1:]))
        self.datasets = [task.dataset for task in tasks]
        self.experts = [task.expert for task in tasks]
        self.wiring = wiring or Wiring()
        self.dropout = dropout
        self.teacher_dropout = [
            teacher_dropout(len(t.coef), t.coef.shape[1], dropout.units_per_class)
            for t in weights.teachers
        ]
        self.adjustments = nn.ModuleList(map(AdjustmentNet, weights.adjustments))
        self.heads = nn.ModuleList(map(LinearLayer, weights.heads))
        self.teachers = nn.ModuleList(map(LinearLayer, weights.teachers))
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

        Products are taken in the dtype of the features; scores have single precision or
        more.

        Parameters
        ----------
        batch : Batch
            features of shape (n_rows, n_features).
        distil : bool
            Whether the loss has its third term.
        """
        change = self._change(batch.features)
        adjusted = batch.features + self._drop(change, self.dropout.adjustment)
        joint = self._teacher_input(batch.features, adjusted)
        own = [batch.labelled[dataset] for dataset in self.datasets]
        everything = [slice(0, len(joint))] * len(own)
        of_students = self._student_parts(everything if distil else own)
        if distil and self._takes_targets_under_dropout():
            return self._under_shared_masks(adjusted, of_students, joint, own)
        n_rows = [rows.stop - rows.start for rows in own]
        drawn = self._draw(sum(n_rows), joint).split(n_rows)
        students, teachers = self._of_parts(
            adjusted, of_students, joint, self._teacher_parts(joint, own, drawn)
        )
        targets = None
        if distil:
            targets = self._clean_targets(batch.features, change)
        return Scores(students, teachers, targets)

    def _takes_targets_under_dropout(self) -> bool:
        wanted = self.wiring.target_dropout and not self.wiring.fixed_targets
        return wanted and self.training

    def _under_shared_masks(
        self,
        adjusted: Tensor,
        of_students: list[Part],
        joint: Tensor,
        own: Sequence[slice],
    ) -> Scores:
        """Return the scores where targets are taken under dropout.

        The masks of all teachers come of one draw: each term of the loss sees those of
        one teacher alone. A teacher sees its labelled rows once, for both of its terms.
        """
        drawn = self._draw(len(joint), joint)

        def parts(rows: Sequence[slice]) -> list[Part]:
            return self._teacher_parts(joint, rows, [drawn[r] for r in rows])

        if self.wiring.target_gradient:
            everything = parts([slice(0, len(joint))] * len(own))
            students, targets = self._of_parts(adjusted, of_students, joint, everything)
            teachers = [target[rows] for target, rows in zip(targets, own, strict=True)]
            return Scores(students, teachers, targets)
        students, teachers = self._of_parts(adjusted, of_students, joint, parts(own))
        with torch.no_grad():
            before, after = (
                of_parts(joint, parts(rows), self.teachers)
                for rows in (
                    [slice(0, rows.start) for rows in own],
                    [slice(rows.stop, len(joint)) for rows in own],
                )
            )
            targets = list(map(torch.cat, zip(before, teachers, after, strict=True)))
        return Scores(students, teachers, targets)

    def _change(self, features: Tensor) -> Tensor:
        """Return what the adjustments add, before dropout, (n_rows, n_features)."""
        bases = features.split(self.widths, dim=1)
        changes = [net(base) for net, base in zip(self.adjustments, bases, strict=True)]
        return torch.cat(changes, dim=1)

    def _teacher_input(self, features: Tensor, adjusted: Tensor) -> Tensor:
        """Return what every teacher sees, of shape (n_rows, n_inputs)."""
        seen = features if self.wiring.base else adjusted
        if not self.wiring.predictions:
            return seen
        everything = self._student_parts([slice(None)] * len(self.heads))
        predictions = of_parts(adjusted, everything, self.heads)
        kept = [seen] if self.wiring.base or self.wiring.adjusted else []
        return torch.cat([*kept, *predictions], dim=1)

    def _student_parts(self, rows: Sequence[slice]) -> list[Part]:
        """Return what of the adjusted embeddings each head sees."""
        return [
            Part(of_head, self.columns[expert])
            for of_head, expert in zip(rows, self.experts, strict=True)
        ]

    def _teacher_parts(
        self, joint: Tensor, rows: Sequence[slice], drawn: Sequence[Tensor]
    ) -> list[Part]:
        """Return what of their input the teachers see, under dropout.

        Parameters
        ----------
        joint : Tensor of shape (n_rows, n_inputs)
        rows : sequence of slice
            Of each teacher.
        drawn : sequence of Tensor
            For each teacher numbers for the masks of its rows.
        """
        return [
            Part(of_teacher, slice(None), self._mask(numbers, rate, joint.dtype))
            for of_teacher, numbers, rate in zip(
                rows, drawn, self.teacher_dropout, strict=True
            )
        ]

    def _of_parts(
        self,
        adjusted: Tensor,
        of_students: list[Part],
        joint: Tensor,
        of_teachers: list[Part],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return what students and teachers say of what they see."""
        if joint is not adjusted:
            students = of_parts(adjusted, of_students, self.heads)
            return students, of_parts(joint, of_teachers, self.teachers)
        scores = of_parts(
            adjusted, of_students + of_teachers, [*self.heads, *self.teachers]
        )
        return scores[: len(of_students)], scores[len(of_students) :]

    def _clean_targets(self, features: Tensor, change: Tensor) -> list[Tensor]:
        """Return what the teachers say of all rows, for the students to learn."""
        if self.wiring.fixed_targets:
            return self.first.targets(features)
        moves = self.wiring.target_gradient and torch.is_grad_enabled()
        with torch.set_grad_enabled(moves):
            return self._clean_scores(features, change)

    @torch.no_grad()
    def targets(self, features: Tensor) -> list[Tensor]:
        """Return the teachers' scores of all rows, without dropout."""
        return self._clean_scores(features, self._change(features))

    def _clean_scores(self, features: Tensor, change: Tensor) -> list[Tensor]:
        # Without dropout: Eq. (4) keeps so few inputs that a target taken under
        # it would be mostly noise.
        joint = self._teacher_input(features, features + change)
        everything = Part(slice(None), slice(None))
        return of_parts(joint, [everything] * len(self.teachers), self.teachers)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        if not self.training or rate == 0.0:
            return x
        return x * mask_of(draw(x.shape, self.dropout.generator), rate, x.dtype)

    def _mask(self, drawn: Tensor, rate: float, dtype: torch.dtype) -> Tensor | None:
        if not self.training or rate == 0.0:
            return None
        return mask_of(drawn, rate, dtype)

    def _draw(self, n_rows: int, joint: Tensor) -> Tensor:
        """Return numbers for the masks of the teachers' inputs, if there are any."""
        shape = (n_rows, joint.shape[1])
        if not self.training or not any(self.teacher_dropout):
            return joint.new_empty(shape)  # nobody looks
        return draw(shape, self.dropout.generator)


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


def to_numpy(network: Any) -> Weights:
    """Return copies of a joint network's weights."""
    return Weights(
        *(
            [layer.to_numpy() for layer in layers]
            for layers in (network.adjustments, network.heads, network.teachers)
        )
    )
