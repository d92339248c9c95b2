"""The joint network: adjustments, students and teachers of all datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ...models.weights import Weights
from ..data.batch import Batch, Scores
from .dropout import Dropout, TeacherMasks, teacher_dropout
from .layers import AdjustmentNet, LinearLayer, Part, linear_on_parts
from .weights import Task, TeacherInput


class JointNetwork(nn.Module):
    """Students and teachers on the embeddings of all experts, Fig. 1.

    Parameters
    ----------
    weights : Weights
        Initial weights; the widths of the adjustments add up to n_features.
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
        self.widths = weights.widths
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
            # A copy of the whole network: teachers see the students' adjustments.
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
        features = batch.features
        # Eq. (3): e + M e, of which dropout takes the second summand only.
        change = self._change(features)  # (n_rows, n_features)
        adjusted = features + (self.dropout.drop(change) if self.training else change)
        joint = self._joint(features, adjusted)  # (n_rows, n_inputs)

        # The first two terms of Eq. (1) are over the labelled rows of a model's own
        # dataset, the third over all rows; no term needs other scores than these.
        own = [batch.labelled[dataset] for dataset in self.datasets]
        all_rows = [slice(0, len(features))] * len(own)
        noisy = distil and self.training and self.teacher_input.noisy_targets
        moving = self.teacher_input.target_gradient
        student_rows = all_rows if distil else own
        teacher_rows = all_rows if noisy and moving else own

        rates = self.teacher_dropout if self.training else [0.0] * len(own)
        masks = (
            self.dropout.shared_masks(rates, *joint.shape)
            if noisy
            else self.dropout.teacher_masks(rates, own, joint.shape[1])
        )
        students, teachers = self._scores(
            adjusted, student_rows, joint, teacher_rows, masks
        )

        targets: list[Tensor] | None
        if not distil:
            targets = None
        elif self.teacher_input.fixed_targets:
            targets = self.first.targets(features)
        elif not noisy:  # clean
            with torch.set_grad_enabled(moving and torch.is_grad_enabled()):
                targets = self._clean_scores(features, change)
        elif moving:  # under dropout: one product gave the scores of both terms
            targets = teachers
            teachers = [target[rows] for target, rows in zip(targets, own, strict=True)]
        else:  # under dropout, without gradient
            targets = self._with_other_rows(teachers, joint, own, masks)
        return Scores(students, teachers, targets)

    @torch.no_grad()
    def targets(self, features: Tensor) -> list[Tensor]:
        """Return the teachers' scores of all rows, without dropout."""
        return self._clean_scores(features, self._change(features))

    def _change(self, features: Tensor) -> Tensor:
        """Return M e of Eq. (3) for each expert's e, side by side as in `features`."""
        bases = features.split(self.widths, dim=1)
        changes = [net(base) for net, base in zip(self.adjustments, bases, strict=True)]
        return torch.cat(changes, dim=1)

    def _joint(self, features: Tensor, adjusted: Tensor) -> Tensor:
        """Return the input that all teachers share, of shape (n_rows, n_inputs)."""
        seen = features if self.teacher_input.base else adjusted
        if not self.teacher_input.predictions:
            return seen
        everything = self._student_parts([slice(None)] * len(self.heads))
        predictions = linear_on_parts(adjusted, everything, self.heads)
        embeddings = [seen] if self.teacher_input.sees_embeddings else []
        return torch.cat([*embeddings, *predictions], dim=1)

    def _student_parts(self, rows: Sequence[slice]) -> list[Part]:
        """Return each head's part of the adjusted embeddings: those of its expert."""
        return [
            Part(of_head, self.columns[expert])
            for of_head, expert in zip(rows, self.experts, strict=True)
        ]

    def _teacher_parts(
        self, rows: Sequence[slice], masks: TeacherMasks, dtype: torch.dtype
    ) -> list[Part]:
        """Return the part of the joint input that each teacher sees, under dropout."""
        return [
            Part(of_teacher, slice(None), masks.of(number, of_teacher, dtype))
            for number, of_teacher in enumerate(rows)
        ]

    def _scores(
        self,
        adjusted: Tensor,
        student_rows: Sequence[slice],
        joint: Tensor,
        teacher_rows: Sequence[slice],
        masks: TeacherMasks,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the scores of students and of teachers, each on its own rows.

        Where both see the same matrix they are computed together, so that its gradient
        is filled once instead of being added up from two of its size.
        """
        student_parts = self._student_parts(student_rows)
        teacher_parts = self._teacher_parts(teacher_rows, masks, joint.dtype)
        if joint is not adjusted:
            students = linear_on_parts(adjusted, student_parts, self.heads)
            return students, linear_on_parts(joint, teacher_parts, self.teachers)
        layers = [*self.heads, *self.teachers]
        scores = linear_on_parts(joint, student_parts + teacher_parts, layers)
        return scores[: len(self.heads)], scores[len(self.heads) :]

    def _clean_scores(self, features: Tensor, change: Tensor) -> list[Tensor]:
        """Return the teachers' scores of all rows, without any dropout.

        Eq. (4) keeps so few inputs that a target under dropout is mostly noise.
        """
        joint = self._joint(features, features + change)
        everything = Part(slice(None), slice(None))
        return linear_on_parts(joint, [everything] * len(self.teachers), self.teachers)

    @torch.no_grad()
    def _with_other_rows(
        self,
        teachers: Sequence[Tensor],
        joint: Tensor,
        own: Sequence[slice],
        masks: TeacherMasks,
    ) -> list[Tensor]:
        """Return targets under dropout, by way of the scores of the own rows.

        A teacher sees its labelled rows once, for both of its terms; the rows before
        and after them need no gradient.
        """
        before, after = (
            linear_on_parts(
                joint, self._teacher_parts(rows, masks, joint.dtype), self.teachers
            )
            for rows in (
                [slice(0, rows.start) for rows in own],
                [slice(rows.stop, len(joint)) for rows in own],
            )
        )
        return list(map(torch.cat, zip(before, teachers, after, strict=True)))


def to_numpy(network: Any) -> Weights:
    """Return copies of a joint network's weights."""
    return Weights(
        *(
            [layer.to_numpy() for layer in layers]
            for layers in (network.adjustments, network.heads, network.teachers)
        )
    )
