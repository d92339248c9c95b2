"""Stop a training that no longer improves on rows that are not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from skorch.callbacks import Callback

from .divergence import copy_of_weights
from .stop_training import NoImprovement


class KeepBest(Callback):
    """Stop a phase after some epochs without improvement; keep the best weights.

    Better is a higher mean accuracy over the datasets, of the students where they are
    trained, else of the teachers. Of equal epochs the later one is kept.

    Parameters
    ----------
    accuracies : callable
        Takes the net and returns the accuracies on validation rows of its students and
        of its teachers, as they are in the history after every epoch.
    of_students : bool
    patience : int
    """

    def __init__(
        self,
        accuracies: Callable[[Any], list[list[float]]],
        of_students: bool,
        patience: int,
    ) -> None:
        self.accuracies = accuracies
        self.of_students = of_students
        self.patience = patience

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.since_ = 0
        students, teachers = self.accuracies(net)
        self._keep(net, _mean(students if self.of_students else teachers))

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        model = "student" if self.of_students else "teacher"
        score = _mean(net.history[-1, f"val_{model}_accuracy"])
        self.since_ = 0 if score > self.best_score_ else self.since_ + 1
        if score >= self.best_score_:
            self._keep(net, score)
        if self.since_ >= self.patience:
            raise NoImprovement

    def on_train_end(self, net: Any, **_: Any) -> None:
        net.module_.load_state_dict(self.best_)

    def _keep(self, net: Any, score: float) -> None:
        self.best_score_ = score
        self.best_ = copy_of_weights(net)


def _mean(accuracies: list[float]) -> float:
    """Return the mean over the datasets that have rows to be scored."""
    return float(np.nanmean(accuracies))
