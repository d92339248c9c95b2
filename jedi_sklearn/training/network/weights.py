"""Weights of the joint network and how they are initialised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from ...models.weights import Adjustment, FloatArray, Linear, Weights


@dataclass(frozen=True)
class Task:
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


class TeacherInput(NamedTuple):
    """Input of the teachers, and how their scores become the students' targets.

    Attributes
    ----------
    base, adjusted, predictions : bool
        Whether a teacher sees the embeddings before or after their adjustment, and
        the scores of all students (section 5.1). Base and adjusted exclude each
        other.
    target_dropout : bool
        Whether targets are taken under dropout.
    target_gradient : bool
        Whether the distillation also moves the teachers towards the students.
    fixed_targets : bool
        Whether targets are those of the initial weights, without dropout and gradient:
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
        """Return the input that a ``teacher_input`` of `JEDIClassifier` names."""
        seen = teacher_input.split("+")
        return cls("base" in seen, "adjusted" in seen, "predictions" in seen, **targets)

    @property
    def sees_embeddings(self) -> bool:
        """Whether the first inputs of a teacher are embeddings, adjusted or not."""
        return self.base or self.adjusted

    @property
    def noisy_targets(self) -> bool:
        """Whether targets are taken under the dropout of the training."""
        return self.target_dropout and not self.fixed_targets

    def sizes(self, heads: Sequence[Linear], widths: Sequence[int]) -> list[int]:
        """Return the widths of the parts of a teacher's input, in order.

        Parameters
        ----------
        heads : sequence of Linear
            One a task, for the numbers of classes.
        widths : sequence of int
            Width of each expert's embedding.
        """
        embeddings = list(widths) if self.sees_embeddings else []
        return embeddings + [len(head.coef) for head in heads] * self.predictions


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
        Seed of the first layers, which are uniform with variance 1 / (3 * width).
    """
    random = np.random.RandomState(seed)
    adjustments = []
    for width in widths:
        # Not zero: the second layer would have no gradient, and nothing would move.
        coef = random.uniform(-1.0, 1.0, (n_units, width)) / np.sqrt(width)
        down = linear_float32(coef, np.zeros(n_units))
        up = linear_float32(np.zeros((width, n_units)), np.zeros(width))
        adjustments.append(Adjustment(down, up))
    return adjustments


def first_teachers(
    heads: Sequence[Linear],
    tasks: Sequence[Task],
    widths: Sequence[int],
    teacher_input: TeacherInput,
) -> list[Linear]:
    """Return teachers that agree with their experts.

    If teachers see embeddings, the columns of a teacher's own expert hold the weights
    of its head; if they see predictions alone, those of its own student hold the
    identity. All else is zero.

    Parameters
    ----------
    heads : sequence of Linear
        Heads of the tasks' experts.
    tasks : sequence of Task
    widths : sequence of int
        Width of each expert's embedding.
    teacher_input : TeacherInput
    """
    starts = np.cumsum([0, *teacher_input.sizes(heads, widths)])
    teachers = []
    for number, (head, task) in enumerate(zip(heads, tasks, strict=True)):
        n_classes = len(head.coef)
        own, part = Linear(np.eye(n_classes), np.zeros(n_classes)), number
        if teacher_input.sees_embeddings:
            own, part = head, task.expert
        coef = np.zeros((n_classes, starts[-1]))
        coef[:, starts[part] : starts[part + 1]] = own.coef
        teachers.append(linear_float32(coef, own.intercept))
    return teachers


def random_teachers(
    heads: Sequence[Linear],
    widths: Sequence[int],
    teacher_input: TeacherInput,
    seed: int,
) -> list[Linear]:
    """Return untrained teachers, initialised like :class:`torch.nn.Linear`.

    Parameters
    ----------
    heads : sequence of Linear
        Heads of the tasks' experts, for the numbers of classes.
    widths : sequence of int
        Width of each expert's embedding.
    teacher_input : TeacherInput
    seed : int
        Seed of weights and intercepts, uniform with variance 1 / (3 * n_inputs).
    """
    random = np.random.RandomState(seed)
    n_inputs = sum(teacher_input.sizes(heads, widths))
    bound = 1.0 / np.sqrt(n_inputs)
    teachers = []
    for head in heads:
        weights = random.uniform(-bound, bound, (len(head.coef), n_inputs + 1))
        weights = weights.astype(np.float32)
        teachers.append(Linear(weights[:, :-1].copy(), weights[:, -1].copy()))
    return teachers


def on_embeddings(
    weights: Weights, tasks: Sequence[Task], teacher_input: TeacherInput
) -> list[Linear]:
    """Return the teachers as linear maps of the embeddings that they see.

    A prediction is a linear function of adjusted embeddings, so that a teacher of
    predictions is one of adjusted embeddings.

    Parameters
    ----------
    weights : Weights
    tasks : sequence of Task
    teacher_input : TeacherInput
    """
    if not teacher_input.predictions:
        return weights.teachers
    # All heads as one map, from the embeddings side by side to all predictions.
    starts = np.cumsum([0, *weights.widths])
    heads = np.zeros((sum(len(head.coef) for head in weights.heads), starts[-1]))
    first = 0
    for task, head in zip(tasks, weights.heads, strict=True):
        columns = slice(starts[task.expert], starts[task.expert + 1])
        heads[first : first + len(head.coef), columns] = head.coef
        first += len(head.coef)
    intercepts = np.concatenate([head.intercept for head in weights.heads])
    folded = []
    for teacher in weights.teachers:
        # Predictions are a teacher's last inputs. With A of (n_classes,
        # n_predictions): A (H e + h) + a = (A H) e + (A h + a).
        of_predictions = teacher.coef[:, -len(heads) :].astype(np.float64)
        coef = of_predictions @ heads
        if teacher_input.adjusted:
            coef += teacher.coef[:, : -len(heads)]
        intercept = teacher.intercept + of_predictions @ intercepts
        folded.append(linear_float32(coef, intercept))
    return folded


def linear_float32(coef: FloatArray, intercept: FloatArray) -> Linear:
    """Return a linear map with copies of weights, in single precision."""
    return Linear(coef.astype(np.float32), intercept.astype(np.float32))
