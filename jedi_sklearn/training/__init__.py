"""Joint training of students and teachers; the only room that needs torch."""

from .batches import TrainingRows, stack_rows
from .losses import (
    CLASSIFICATION_LOSSES,
    DISTILLATION_LOSSES,
    Objective,
    distillation_weights,
)
from .networks import Weights, make_tasks
from .schedules import joint, never
from .train import (
    Architecture,
    Optimisation,
    Trained,
    available_device,
    train,
)

__all__ = [
    "CLASSIFICATION_LOSSES",
    "DISTILLATION_LOSSES",
    "Architecture",
    "Objective",
    "Optimisation",
    "Trained",
    "TrainingRows",
    "Weights",
    "available_device",
    "distillation_weights",
    "joint",
    "make_tasks",
    "never",
    "stack_rows",
    "train",
]
