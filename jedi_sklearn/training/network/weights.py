"""Weights of the joint network, and where they start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from ...models.weights import Adjustment, Linear


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


class TeacherInput(NamedTuple):
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
        """Return the teacher_input for a ``teacher_input`` of `JEDIClassifier`."""
        seen = teacher_input.split("+")
        return cls("base" in seen, "adjusted" in seen, "predictions" in seen, **targets)


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
    teacher_input: TeacherInput,
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
    teacher_input : TeacherInput
    """
    sizes = _input_sizes(heads, widths, teacher_input)
    starts = np.cumsum([0, *sizes])
    sees_embeddings = teacher_input.base or teacher_input.adjusted
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
    heads: Sequence[Linear],
    widths: Sequence[int],
    teacher_input: TeacherInput,
    seed: int,
) -> list[Linear]:
    """Return teachers that know nothing, as :class:`torch.nn.Linear` starts.

    Parameters
    ----------
    heads : sequence of Linear
        Of the tasks' experts, for the numbers of classes.
    widths : sequence of int
    teacher_input : TeacherInput
    seed : int
        Of the weights and intercepts, uniform with variance 1 / (3 * n_inputs).
    """
    random = np.random.RandomState(seed)
    n_inputs = sum(_input_sizes(heads, widths, teacher_input))
    bound = 1.0 / np.sqrt(n_inputs)
    teachers = []
    for head in heads:
        weights = random.uniform(-bound, bound, (len(head.coef), n_inputs + 1))
        weights = weights.astype(np.float32)
        teachers.append(Linear(weights[:, :-1].copy(), weights[:, -1].copy()))
    return teachers


def _input_sizes(
    heads: Sequence[Linear], widths: Sequence[int], teacher_input: TeacherInput
) -> list[int]:
    """Return the widths of the parts of a teacher's input."""
    embeddings = list(widths) if teacher_input.base or teacher_input.adjusted else []
    return embeddings + [len(h.coef) for h in heads] * teacher_input.predictions


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
        if teacher_input.adjusted:
            coef += teacher.coef[:, : -len(heads)]
        intercept = teacher.intercept + seen @ intercepts
        folded.append(Linear(coef.astype(np.float32), intercept.astype(np.float32)))
    return folded
