"""What the parameters of the generated embeddings may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

# Where neither n_datasets nor a sequence says how many.
DEFAULT_N_DATASETS = 3

Seed = int | np.random.RandomState | None


class Problem(NamedTuple):
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
        check_number("n_datasets", n_datasets, Integral, 1)
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
            raise _invalid(
                "n_samples",
                n_samples,
                f"at least n_classes, which is {classes[i]} for dataset_{i}",
            )
    if min(features) < max(classes):
        raise _invalid(
            "n_features",
            n_features,
            f"at least the largest of n_classes, which is {max(classes)}",
        )
    check_number("class_sep", class_sep, Real, 0)
    check_number("own_share", own_share, Real, 0, 1)
    seed = _draw_seed(random_state)
    return Problem(samples, classes, features, float(class_sep), float(own_share), seed)


def _per_dataset(name: str, value: Any, n_datasets: int, low: int) -> tuple[int, ...]:
    """Return one whole number per dataset."""
    if isinstance(value, Integral):
        check_number(name, value, Integral, low)
        return (int(value),) * n_datasets
    right_length = np.ndim(value) == 1 and 0 < len(value) == n_datasets
    if not right_length or not all(
        isinstance(v, Integral) and int(v) >= low for v in value
    ):
        raise _invalid(
            name,
            value,
            f"integers >= {low}, and sequences of them with one for each dataset, "
            f"here {max(n_datasets, 1)}",
        )
    return tuple(int(element) for element in value)


def check_number(
    name: str, value: Any, kind: type, low: float, high: float = math.inf
) -> None:
    """Raise ValueError unless the value is a finite number of the kind in the range."""
    number = isinstance(value, kind) and not isinstance(value, bool)
    if not (number and low <= value <= high and math.isfinite(value)):
        what = "integers" if kind is Integral else "finite numbers"
        upper = "" if high == math.inf else f" and <= {high}"
        raise _invalid(name, value, f"{what} >= {low}{upper}")


def _draw_seed(random_state: Any) -> int:
    """Return the seed of all streams, without touching NumPy's global state."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint64))
    if isinstance(random_state, Integral) and int(random_state) >= 0:
        return int(random_state)
    raise _invalid(
        "random_state",
        random_state,
        "None, integers >= 0 and instances of numpy.random.RandomState",
    )


def _invalid(name: str, value: Any, valid: str) -> ValueError:
    return ValueError(
        f"Invalid parameter value: {name}={value!r}. Valid values are {valid}."
    )
