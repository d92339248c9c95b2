"""Sizes, distances and seed of generated embeddings, checked against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from ..utils.accepted import Accepted, check_accepted, integer, invalid, number

# Number of datasets where neither n_datasets nor a sequence tells it.
DEFAULT_N_DATASETS = 3

Seed = int | np.random.RandomState | None

AT_LEAST_0 = number(0, math.inf)


@dataclass(frozen=True)
class Problem:
    """The parameters, one value per dataset, and the seed of all random streams."""

    n_samples: tuple[int, ...]
    n_classes: tuple[int, ...]
    n_features: tuple[int, ...]
    class_sep: float
    own_share: float
    seed: int


def check_problem(
    n_samples: int | Sequence[int],
    n_classes: int | Sequence[int],
    n_features: int | Sequence[int],
    n_datasets: int | None,
    class_sep: float,
    own_share: float,
    random_state: Seed,
) -> Problem:
    """Check all parameters against their ranges and each other."""
    if n_datasets is not None:
        check_accepted("n_datasets", n_datasets, integers_from(1))
    n_found = n_datasets
    values: tuple[Any, ...] = (n_samples, n_classes, n_features)
    for value in values:
        if n_found is None and np.ndim(value) == 1:
            n_found = len(value)
    n = n_found if n_found is not None else DEFAULT_N_DATASETS
    classes = _per_dataset("n_classes", n_classes, n, 2)
    samples = _per_dataset("n_samples", n_samples, n, 1)
    features = _per_dataset("n_features", n_features, n, 1)
    for i in range(n):
        if samples[i] < classes[i]:
            accepted = f"at least n_classes, which is {classes[i]} for dataset_{i}"
            raise invalid("n_samples", n_samples, accepted)
    if min(features) < max(classes):
        accepted = f"at least the largest of n_classes, which is {max(classes)}"
        raise invalid("n_features", n_features, accepted)
    check_accepted(
        "class_sep", class_sep, Accepted(AT_LEAST_0.holds, "finite numbers >= 0")
    )
    share = Accepted(
        lambda v: AT_LEAST_0.holds(v) and v <= 1, "finite numbers >= 0 and <= 1"
    )
    check_accepted("own_share", own_share, share)
    seed = _draw_seed(random_state)
    return Problem(samples, classes, features, float(class_sep), float(own_share), seed)


def _per_dataset(name: str, value: Any, n_datasets: int, low: int) -> tuple[int, ...]:
    """Return one whole number per dataset."""
    accepted = integers_from(low)
    if isinstance(value, Integral):
        check_accepted(name, value, accepted)
        return (int(value),) * n_datasets
    right_length = np.ndim(value) == 1 and 0 < len(value) == n_datasets
    if not right_length or not all(
        isinstance(v, Integral) and int(v) >= low for v in value
    ):
        raise invalid(
            name,
            value,
            f"{accepted.text}, and sequences of them with one for each dataset, here "
            f"{max(n_datasets, 1)}",
        )
    return tuple(int(element) for element in value)


def integers_from(low: int) -> Accepted:
    """Accept whole numbers from `low` up, whatever their size."""
    return Accepted(integer(low, math.inf).holds, f"integers >= {low}")


def _draw_seed(random_state: Any) -> int:
    """Return the seed of all streams, without touching NumPy's global state."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint64))
    if isinstance(random_state, Integral) and int(random_state) >= 0:
        return int(random_state)
    accepted = "None, integers >= 0 and instances of numpy.random.RandomState"
    raise invalid("random_state", random_state, accepted)
