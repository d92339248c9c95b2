"""How many cases are made, in one place; a driver is a test of its share of them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

# The nightly form makes 20 times as many, others each time, and keeps those that fail
# for the next time in .hypothesis; every test run makes the same ones.
N_CASES = {"ci": 500, "fuzz": 10_000}
PROFILE = os.environ.get("JEDI_FUZZ", "ci")

# Of the cases; a test holds the sum.
SHARES = {
    "fit": 0.38,
    "fitted": 0.15,
    "parameters": 0.12,
    "one_dataset": 0.08,
    "same_result": 0.04,
    "stack_datasets": 0.11,
    "tools": 0.06,
    "store": 0.06,
}

# Hypothesis has no part in a case that takes long: `outcomes.limited` ends it.
_COMMON = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
settings.register_profile("ci", _COMMON, derandomize=True, database=None)
settings.register_profile("fuzz", _COMMON, derandomize=False, print_blob=True)


def driver(name: str, /, **strategies: Any) -> Callable[..., Any]:
    """Make a test of a function that is run on a share of the cases.

    The test fails where hypothesis has made fewer than it was asked for, and says how
    many it made in the property ``cases`` of its report.
    """
    wanted = math.ceil(SHARES[name] * N_CASES[PROFILE])

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        made = []

        @settings(settings.get_profile(PROFILE), max_examples=wanted)
        @given(**strategies)
        def cases(**case: Any) -> None:
            check(**case)
            made.append(1)

        @pytest.mark.usefixtures("global_random_states_stay")
        def test(record_property: Callable[[str, Any], None]) -> None:
            made.clear()
            try:
                cases()
            finally:
                record_property("cases", len(made))
            assert len(made) >= wanted

        test.__doc__ = check.__doc__
        test.__name__ = check.__name__
        return test

    return decorate
