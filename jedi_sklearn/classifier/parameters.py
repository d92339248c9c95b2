"""Parameters of `JEDIClassifier`: accepted values, their role, and the paper's values.

Defaults stand in the signature of the constructor.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ..utils.accepted import (
    Accepted,
    check_accepted,
    integer,
    number,
    one_of,
    or_callable,
    unsuitable,
)


def _are_names(value: Any) -> bool:
    if not isinstance(value, list | tuple):
        return value is None
    return len(value) > 0 and all(isinstance(name, str) for name in value)


def _are_callbacks(value: Any) -> bool:
    if not isinstance(value, list | tuple):
        return value is None
    callbacks = [c[-1] if isinstance(c, tuple) and c else c for c in value]
    return all(hasattr(callback, "on_epoch_end") for callback in callbacks)


_CLASSIFICATION = one_of("cross_entropy", "hinge", "one_vs_rest_hinge", "squared_hinge")
_POSITIVE = number(0, open_low=True)
ACCEPTED = {
    "alpha": number(0),
    "beta": number(0),
    "gamma": number(0),
    "teacher_input": one_of("adjusted", "base", "predictions", "adjusted+predictions"),
    "teacher_start": one_of("expert", "random"),
    "distill_from": Accepted(
        lambda v: v in ("all", "own") if isinstance(v, str) else _are_names(v),
        "'all', 'own', lists of names of datasets, and None",
    ),
    "student_loss": or_callable(_CLASSIFICATION),
    "teacher_loss": or_callable(_CLASSIFICATION),
    "distillation_loss": or_callable(one_of("cross_entropy", "kl", "mse")),
    "temperature": _POSITIVE,
    "target_temperature": Accepted(
        lambda v: v is None or _POSITIVE.holds(v),
        f"{_POSITIVE.text}, and None",
    ),
    "target_dropout": one_of(True, False),
    "target_gradient": one_of(True, False),
    "class_weight": Accepted(
        lambda v: v is None or isinstance(v, Mapping) or v == "balanced",
        "None, 'balanced' and mappings",
    ),
    "adjustment_units": integer(1),
    "adjustment_dropout": number(0, 1),
    "units_per_class": number(0, open_low=True),
    "standardize": one_of(True, False),
    "schedule": one_of("joint", "alternating"),
    "n_rounds": integer(1),
    "restart_rounds": one_of(True, False),
    "warmup_epochs": integer(0),
    "max_epochs": integer(0),
    "batch_size": integer(1),
    "labelled_share": number(0, 1),
    "learning_rate": Accepted(
        lambda v: v == "auto" if isinstance(v, str) else _POSITIVE.holds(v),
        f"{_POSITIVE.text}, and 'auto'",
    ),
    "learning_rate_decay": one_of("cosine", "constant"),
    "precision": one_of("auto", "float32", "bfloat16"),
    "weight_decay": number(0),
    "early_stopping": one_of(True, False),
    "n_iter_no_change": integer(1),
    "keep_expert": one_of(True, False),
    "validation_fraction": number(0, 1, open_low=True),
    "checkpoint": Accepted(
        lambda v: v is None or (isinstance(v, str | os.PathLike) and str(v) != ""),
        "paths of directories, and None",
    ),
    "checkpoint_epochs": Accepted(
        lambda v: v is None or integer(1).holds(v), "integers of 1 or more, and None"
    ),
    "checkpoint_minutes": number(0),
    "n_jobs": Accepted(
        lambda v: v is None or (integer(-(2**31)).holds(v) and v != 0),
        "integers but 0, and None",
    ),
    "random_state": Accepted(
        lambda v: (
            v is None
            or isinstance(v, np.random.RandomState)
            or integer(0, 2**32).holds(v)
        ),
        "integers in [0, 2**32), RandomState instances and None",
    ),
    "warm_start": one_of(True, False),
    "verbose": Accepted(
        lambda v: isinstance(v, Integral) and int(v) >= 0, "integers of 0 or more"
    ),
    "callbacks": Accepted(_are_callbacks, "lists of skorch callbacks, and None"),
}

# Parameters that say where something is kept or shown, or by how many workers it is
# done. No result depends on them.
WITHOUT_INFLUENCE = {
    "checkpoint",
    "checkpoint_epochs",
    "checkpoint_minutes",
    "memory",
    "n_jobs",
    "verbose",
}


def check_parameters(parameters: dict[str, Any]) -> None:
    """Raise ValueError for the first parameter that is out of range."""
    for name, accepted in ACCEPTED.items():
        check_accepted(name, parameters[name], accepted)


def check_sources(distill_from: Any, datasets: list[str]) -> None:
    """Raise ValueError where distill_from names a dataset that there is not."""
    if isinstance(distill_from, list | tuple):
        for name in distill_from:
            if name not in datasets:
                why = f"There is no dataset {name!r} in X; it has {datasets}."
                raise unsuitable("distill_from", distill_from, why)


def draw_seeds(random_state: Any) -> tuple[int, int]:
    """Return two seeds that depend on `random_state` alone.

    None draws from the operating system, not from NumPy's global random state.
    """
    if random_state is None:
        random_state = int(np.random.SeedSequence().generate_state(1)[0])
    first, second = check_random_state(random_state).randint(2**31 - 1, size=2)
    return int(first), int(second)


#: Parameters of `JEDIClassifier` as in sections 3 and 4.4 of the paper, for use as
#: ``JEDIClassifier(experts, **PAPER_PARAMS)``. What the paper does not mention stays
#: the default: the batch size, and targets without dropout and gradient. Its warm-up
#: and its Figure 3 imply that teachers start at random.
PAPER_PARAMS: dict[str, Any] = {
    "alpha": 1.0,
    "beta": 1.0,
    "gamma": 0.4,
    "teacher_input": "adjusted",
    "teacher_start": "random",
    "distill_from": "all",
    "student_loss": "cross_entropy",
    "teacher_loss": "hinge",
    "distillation_loss": "cross_entropy",
    "temperature": 1.0,
    "target_temperature": None,
    "adjustment_units": 256,
    "adjustment_dropout": 0.75,
    "units_per_class": 10,
    "standardize": False,
    "schedule": "joint",
    "labelled_share": 0.0,
    "warmup_epochs": 25,
    "max_epochs": 500,
    "learning_rate": 1e-5,
    "learning_rate_decay": "constant",
    "weight_decay": 3e-3,
    "early_stopping": False,
    "keep_expert": False,
}
