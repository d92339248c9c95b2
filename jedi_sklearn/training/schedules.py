"""Schedules of the training: phases, warm-up and learning rate (section 3.1)."""

from __future__ import annotations

from typing import NamedTuple


class Phase(NamedTuple):
    """Consecutive epochs in which the same weights are trained.

    Attributes
    ----------
    n_epochs : int
    students, teachers : bool
        Whether these are trained; the adjustments belong to the students.
    warmup_epochs : int
        Number of epochs before students learn from teachers.
    restart : bool
        Whether the weights that it trains start from the initial ones again.
    """

    n_epochs: int
    students: bool
    teachers: bool
    warmup_epochs: int = 0
    restart: bool = False

    def distils(self, epoch: int) -> bool:
        """Tell whether students learn from teachers in an epoch, counted from 1."""
        return self.students and epoch > self.warmup_epochs


def learning_rate_for(n_features: int) -> float:
    """Return the learning rate of "auto" for a number of features of all experts.

    A step of Adam moves every weight by about the rate, and so a layer's output by
    about the rate times its number of inputs: wide layers need a smaller one. With
    few features it is the rate that was best on `load_glyphs`, at the paper's width
    about the paper's; in between it falls with the square of the width.

    Examples
    --------
    >>> learning_rate_for(256)
    0.004
    >>> round(learning_rate_for(7168), 7)
    1.95e-05
    """
    return 4e-3 * min(1.0, (500 / n_features) ** 2)


def joint(max_epochs: int, warmup_epochs: int) -> list[Phase]:
    """Return the paper's schedule: everything is trained in every epoch.

    The distillation waits until the teachers have had `warmup_epochs`.

    Examples
    --------
    >>> (phase,) = joint(max_epochs=3, warmup_epochs=2)
    >>> [phase.distils(epoch) for epoch in (1, 2, 3)]
    [False, False, True]
    """
    return [
        Phase(max_epochs, students=True, teachers=True, warmup_epochs=warmup_epochs)
    ]


def alternating(max_epochs: int, n_rounds: int, *, restart: bool) -> list[Phase]:
    """Return rounds of teachers, then students, each with the others' weights fixed.

    Parameters
    ----------
    max_epochs : int
        Number of epochs of all phases, shared out as evenly as whole numbers allow.
    n_rounds : int
        Number of pairs of phases.
    restart : bool
        Whether each phase trains from the initial weights again.

    Examples
    --------
    >>> for phase in alternating(max_epochs=5, n_rounds=2, restart=False):
    ...     print(phase.n_epochs, "teachers" if phase.teachers else "students")
    1 teachers
    1 students
    1 teachers
    2 students
    """
    n_phases = 2 * n_rounds
    ends = [max_epochs * number // n_phases for number in range(n_phases + 1)]
    return [
        Phase(
            n_epochs=ends[number + 1] - ends[number],
            students=number % 2 == 1,
            teachers=number % 2 == 0,
            restart=restart,
        )
        for number in range(n_phases)
    ]
