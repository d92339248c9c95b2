"""Joint training of students and teachers; the only room that needs torch."""

from .batches import TrainingRows, stack_rows
from .losses import (
    CLASSIFICATION_LOSSES,
    DISTILLATION_LOSSES,
    Objective,
    distillation_sources,
    distillation_weights,
)
from .networks import Task, Weights, first_teachers
from .schedules import joint, never
from .train import (
    Optimisation,
    Trained,
    available_device,
    train,
)

__all__ = [
    "CLASSIFICATION_LOSSES",
    "DISTILLATION_LOSSES",
    "Objective",
    "Optimisation",
    "Task",
    "Trained",
    "TrainingRows",
    "Weights",
    "available_device",
    "distillation_sources",
    "distillation_weights",
    "first_teachers",
    "joint",
    "never",
    "stack_rows",
    "train",
]
