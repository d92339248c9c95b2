"""The paper's own settings."""

from __future__ import annotations

from typing import Any

#: Parameters of `JEDIClassifier` as in section 4.4 of the paper, for use as
#: ``JEDIClassifier(experts, **PAPER_PARAMS)``. The batch size, of which the paper
#: says nothing, stays the default.
PAPER_PARAMS: dict[str, Any] = {
    "alpha": 1.0,
    "beta": 1.0,
    "gamma": 0.4,
    "teacher_input": "adjusted",
    "distill_from": "all",
    "student_loss": "cross_entropy",
    "teacher_loss": "hinge",
    "distillation_loss": "cross_entropy",
    "temperature": 1.0,
    "adjustment_units": 256,
    "adjustment_dropout": 0.75,
    "units_per_class": 10,
    "standardize": False,
    "schedule": "joint",
    "warmup_epochs": 25,
    "max_epochs": 500,
    "learning_rate": 1e-5,
    "learning_rate_decay": "constant",
    "weight_decay": 3e-3,
}
