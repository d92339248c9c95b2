"""Sets of accepted parameter values, each with the words a message has for it."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

# What enters the loss has to have a square in float32, and numbers of rows, units and
# epochs are counted in int64.
LARGEST, MANY = 1e18, 2**31


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


def number(low: float, high: float = LARGEST, *, open_low: bool = False) -> Accepted:
    """Accept numbers from `low`, which may be left out itself, to below `high`."""
    bracket = "(" if open_low else "["

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        as_it_is: Any = value  # not all fit into a float
        return bool(low <= as_it_is < high and not (open_low and value == low))

    return Accepted(holds, f"numbers in {bracket}{low:g}, {high:g})")


def integer(low: int, high: int = MANY) -> Accepted:
    """Accept whole numbers from `low` to below `high`."""

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral):
            return False
        return low <= int(value) < high

    return Accepted(holds, f"integers of {low} or more, below {high}")


def or_callable(names: Accepted) -> Accepted:
    """Accept some names, and callables."""
    return Accepted(
        lambda value: callable(value) or names.holds(value),
        f"{names.text}, and callables",
    )
