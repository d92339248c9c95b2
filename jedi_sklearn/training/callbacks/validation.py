"""Accuracies of students and teachers on rows that are not trained on."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from skorch.callbacks import Callback

from ..data.batches import Batches
from ..data.rows import TrainingRows

# In so many at once validation rows are read and scored.
ROWS_AT_ONCE = 1024


class Validation(NamedTuple):
    """Rows that are not trained on.

    Attributes
    ----------
    rows : TrainingRows
        Only the labelled ones are looked at.
    expert_accuracy : list of float
        Accuracy of each student's expert on its rows here, NaN where there are none.
    """

    rows: TrainingRows
    expert_accuracy: list[float]


class ScoreRows(Callback):
    """Write accuracies on validation rows into the history after every epoch.

    The keys are ``val_expert_accuracy``, ``val_student_accuracy`` and
    ``val_teacher_accuracy``, each a list with one number a student, NaN where its
    dataset has no row here.

    Parameters
    ----------
    validation : Validation
    """

    keeps_state = False

    def __init__(self, validation: Validation) -> None:
        self.validation = validation

    def on_train_begin(self, net: Any, **_: Any) -> None:
        rows = self.validation.rows
        self.batches_ = Batches(rows, ROWS_AT_ONCE, torch.Generator(), net.device)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        student, teacher = self.accuracies(net)
        net.history.record("val_expert_accuracy", self.validation.expert_accuracy)
        net.history.record("val_student_accuracy", student)
        net.history.record("val_teacher_accuracy", teacher)

    def expert_is_better(self, net: Any) -> list[bool]:
        """Return for each student whether its expert is at least as good."""
        students, _ = self.accuracies(net)
        experts = self.validation.expert_accuracy
        return [e >= student for e, student in zip(experts, students, strict=True)]

    @torch.no_grad()
    def accuracies(self, net: Any) -> list[list[float]]:
        """Return those of the students and those of the teachers."""
        network = net.module_.eval()
        n_right = torch.zeros(2, len(network.datasets), dtype=torch.int64)
        for chosen in torch.arange(self.batches_.n_rows).split(ROWS_AT_ONCE):
            batch = self.batches_.batch(chosen)
            given = network(batch, distil=False)
            right = [
                [
                    (scores.argmax(dim=1) == batch.labels[i]).sum()
                    for scores, i in zip(group, network.datasets, strict=True)
                ]
                for group in (given.students, given.teachers)
            ]
            n_right += torch.tensor(right)
        n_rows = [len(self.validation.rows.labels[i]) for i in network.datasets]
        return (n_right.double() / torch.tensor(n_rows)).tolist()
