"""Accuracies of students and teachers on rows that are not trained on."""

from __future__ import annotations

from typing import Any

import torch
from skorch.callbacks import Callback

from .batches import Batches, TrainingRows


class ScoreRows(Callback):
    """After every epoch writes accuracies on given rows into the history.

    The keys are ``val_expert_accuracy`` (that of the students before the first
    step), ``val_student_accuracy`` and ``val_teacher_accuracy``, each a list with
    one number a student, NaN where its dataset has no row here.

    Parameters
    ----------
    rows : TrainingRows
        Only the labelled ones are looked at.
    """

    def __init__(self, rows: TrainingRows) -> None:
        self.rows = rows

    def on_train_begin(self, net: Any, **_: Any) -> None:
        n_rows = len(self.rows.features)
        batches = Batches(self.rows, n_rows, torch.Generator(), net.device)
        self.batch_ = batches.batch(torch.arange(n_rows))
        if not hasattr(self, "expert_accuracy_"):  # in the first phase
            self.expert_accuracy_ = self.accuracies(net)[0]

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        student, teacher = self.accuracies(net)
        net.history.record("val_expert_accuracy", self.expert_accuracy_)
        net.history.record("val_student_accuracy", student)
        net.history.record("val_teacher_accuracy", teacher)

    def no_better(self, net: Any) -> list[bool]:
        """Say of each student whether its expert is at least as good."""
        students, _ = self.accuracies(net)
        return [
            expert >= student
            for expert, student in zip(self.expert_accuracy_, students, strict=True)
        ]

    @torch.no_grad()
    def accuracies(self, net: Any) -> list[list[float]]:
        """Return those of the students and those of the teachers."""
        network = net.module_.eval()
        given = network(self.batch_, distil=False)
        labels = [self.batch_.labels[i] for i in network.datasets]
        return [
            [
                (scores.argmax(dim=1) == y).double().mean().item()
                for scores, y in zip(group, labels, strict=True)
            ]
            for group in (given.students, given.teachers)
        ]
