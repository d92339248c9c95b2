"""The paper's own settings."""

from __future__ import annotations

from typing import Any

#: Parameters of `JEDIClassifier` as in sections 3 and 4.4 of the paper, for use as
#: ``JEDIClassifier(experts, **PAPER_PARAMS)``. What the paper says nothing of stays the
#: default: the batch size, and that targets are taken without dropout and gradient.
#: That teachers start at random it says by its warm-up and by its Figure 3.
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
