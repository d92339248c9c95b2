"""What the parameters of `JEDIClassifier` may be."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state


class Accepted(NamedTuple):
    """A set of values and how a message calls it."""

    holds: Callable[[Any], bool]
    text: str


def one_of(*values: Any) -> Accepted:
    """Accept the values alone."""
    texts = ", ".join(repr(value) for value in values)

    def holds(value: Any) -> bool:
        # By type too: 1 is not True, and an array is compared with nothing.
        return any(isinstance(value, type(v)) and value == v for v in values)

    return Accepted(holds, f"one of {texts}")


def number(low: float, high: float = np.inf, *, open_low: bool = False) -> Accepted:
    """Accept numbers from `low`, which may be left out itself, to below `high`."""
    bracket = "(" if open_low else "["

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        return low <= float(value) < high and not (open_low and value == low)

    return Accepted(holds, f"numbers in {bracket}{low:g}, {high:g})")


def integer(low: int) -> Accepted:
    """Accept whole numbers from `low`."""

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral):
            return False
        return int(value) >= low

    return Accepted(holds, f"integers of {low} or more")


_ACCEPTED = {
    "alpha": number(0),
    "beta": number(0),
    "gamma": number(0),
    "teacher_input": one_of("adjusted"),
    "distill_from": one_of("all", None),
    "student_loss": one_of("cross_entropy", "hinge"),
    "teacher_loss": one_of("cross_entropy", "hinge"),
    "distillation_loss": one_of("cross_entropy", "kl", "mse"),
    "temperature": number(0, open_low=True),
    "adjustment_units": integer(1),
    "adjustment_dropout": number(0, 1),
    "units_per_class": number(0, open_low=True),
    "standardize": one_of(True, False),
    "schedule": one_of("joint"),
    "warmup_epochs": integer(0),
    "max_epochs": integer(0),
    "batch_size": integer(1),
    "learning_rate": number(0, open_low=True),
    "learning_rate_decay": one_of("cosine", "constant"),
    "weight_decay": number(0),
    "warm_start": one_of(True, False),
}


def check_parameters(parameters: dict[str, Any]) -> None:
    """Raise ValueError for the first parameter that is out of range."""
    for name, accepted in _ACCEPTED.items():
        value = parameters[name]
        if not accepted.holds(value):
            raise ValueError(
                f"Invalid parameter value: {name}={value!r}. Valid values are "
                f"{accepted.text}."
            )


def draw_seeds(random_state: Any) -> tuple[int, int]:
    """Return two seeds that depend on `random_state` alone.

    None draws from the operating system, not from NumPy's global random state.
    """
    if random_state is None:
        random_state = int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, Integral) and not 0 <= int(random_state) < 2**32:
        raise ValueError(
            f"Invalid parameter value: random_state={random_state!r}. Valid values are "
            "integers in [0, 2**32), RandomState instances and None."
        )
    first, second = check_random_state(random_state).randint(2**31 - 1, size=2)
    return int(first), int(second)
