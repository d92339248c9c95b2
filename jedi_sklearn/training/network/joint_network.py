"""The joint network: adjustments, students and teachers of all datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ..data.batch import Batch, Scores
from .dropout import Dropout, draw, mask_of, teacher_dropout
from .layers import AdjustmentNet, LinearLayer, Part, linear_on_parts
from .weights import Task, TeacherInput, Weights


class JointNetwork(nn.Module):
    """Students and teachers on the embeddings of all experts, Fig. 1.

    Parameters
    ----------
    weights : Weights
        Where training starts; the widths of the adjustments add up to n_features.
    tasks : sequence of Task
        In the order of the heads and teachers of the weights.
    dropout : Dropout
    teacher_input : TeacherInput, optional
        By default teachers see the adjusted embeddings.
    """

    def __init__(
        self,
        weights: Weights,
        tasks: Sequence[Task],
        dropout: Dropout,
        teacher_input: TeacherInput | None = None,
    ) -> None:
        super().__init__()
        self.widths = [len(weights_.up.intercept) for weights_ in weights.adjustments]
        starts = np.cumsum([0, *self.widths]).tolist()
        self.columns = list(map(slice, starts, starts[1:]))
        self.datasets = [task.dataset for task in tasks]
        self.experts = [task.expert for task in tasks]
        self.teacher_input = teacher_input or TeacherInput()
        self.dropout = dropout
        self.teacher_dropout = [
            teacher_dropout(len(t.coef), t.coef.shape[1], dropout.units_per_class)
            for t in weights.teachers
        ]
        self.adjustments = nn.ModuleList(map(AdjustmentNet, weights.adjustments))
        self.heads = nn.ModuleList(map(LinearLayer, weights.heads))
        self.teachers = nn.ModuleList(map(LinearLayer, weights.teachers))
        if self.teacher_input.fixed_targets:
            moving = self.teacher_input._replace(fixed_targets=False)
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
        wanted = (
            self.teacher_input.target_dropout and not self.teacher_input.fixed_targets
        )
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

        if self.teacher_input.target_gradient:
            everything = parts([slice(0, len(joint))] * len(own))
            students, targets = self._of_parts(adjusted, of_students, joint, everything)
            teachers = [target[rows] for target, rows in zip(targets, own, strict=True)]
            return Scores(students, teachers, targets)
        students, teachers = self._of_parts(adjusted, of_students, joint, parts(own))
        with torch.no_grad():
            before, after = (
                linear_on_parts(joint, parts(rows), self.teachers)
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
        seen = features if self.teacher_input.base else adjusted
        if not self.teacher_input.predictions:
            return seen
        everything = self._student_parts([slice(None)] * len(self.heads))
        predictions = linear_on_parts(adjusted, everything, self.heads)
        kept = [seen] if self.teacher_input.base or self.teacher_input.adjusted else []
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
            students = linear_on_parts(adjusted, of_students, self.heads)
            return students, linear_on_parts(joint, of_teachers, self.teachers)
        scores = linear_on_parts(
            adjusted, of_students + of_teachers, [*self.heads, *self.teachers]
        )
        return scores[: len(of_students)], scores[len(of_students) :]

    def _clean_targets(self, features: Tensor, change: Tensor) -> list[Tensor]:
        """Return what the teachers say of all rows, for the students to learn."""
        if self.teacher_input.fixed_targets:
            return self.first.targets(features)
        moves = self.teacher_input.target_gradient and torch.is_grad_enabled()
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
        return linear_on_parts(joint, [everything] * len(self.teachers), self.teachers)

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


def to_numpy(network: Any) -> Weights:
    """Return copies of a joint network's weights."""
    return Weights(
        *(
            [layer.to_numpy() for layer in layers]
            for layers in (network.adjustments, network.heads, network.teachers)
        )
    )
