"""Accepted values of parameters, and the error for any other value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

# Parameters enter the loss as float32, and so do their squares.
BELOW = 1e18
# Numbers of rows, units and epochs are multiplied with one another in int64.
BELOW_COUNT = 2**31


@dataclass(frozen=True)
class Accepted:
    """A set of values, with the words that a message has for it."""

    holds: Callable[[Any], bool]
    text: str


def invalid(name: str, value: Any, accepted: str) -> ValueError:
    """Return the error for a value that a parameter never accepts."""
    return unsuitable(name, value, f"Valid values are {accepted}.")


def unsuitable(name: str, value: Any, why: str) -> ValueError:
    """Return the error for a value that does not go with the data or the rest."""
    return ValueError(f"Invalid parameter value: {name}={value!r}. {why}")


def check_accepted(name: str, value: Any, accepted: Accepted) -> None:
    """Raise ValueError for a value that is not accepted."""
    if not accepted.holds(value):
        raise invalid(name, value, accepted.text)


def one_of(*values: Any) -> Accepted:
    """Accept the values alone."""
    texts = ", ".join(repr(value) for value in values)

    def holds(value: Any) -> bool:
        # By type too: 1 is not True, and an array is compared with nothing.
        return any(isinstance(value, type(v)) and value == v for v in values)

    return Accepted(holds, f"one of {texts}")


def number(low: float, high: float = BELOW, *, open_low: bool = False) -> Accepted:
    """Accept numbers from `low`, which may be left out itself, to below `high`."""
    bracket = "(" if open_low else "["

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        as_it_is: Any = value  # not all fit into a float
        return bool(low <= as_it_is < high and not (open_low and value == low))

    return Accepted(holds, f"numbers in {bracket}{low:g}, {high:g})")


def integer(low: int, high: float = BELOW_COUNT) -> Accepted:
    """Accept whole numbers from `low` to below `high`."""
    below = "" if high == math.inf else f", below {high}"

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral):
            return False
        return low <= int(value) < high

    return Accepted(holds, f"integers of {low} or more{below}")


def or_callable(names: Accepted) -> Accepted:
    """Accept some names, and callables."""
    return Accepted(
        lambda value: callable(value) or names.holds(value),
        f"{names.text}, and callables",
    )
