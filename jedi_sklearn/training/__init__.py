"""Joint training of students and teachers; the only room that needs torch."""

from .layout import TrainingRows, stack_rows
from .losses import (
    Objective,
    classification_loss,
    distillation_loss,
    distillation_sources,
    distillation_weights,
)
from .networks import Task, Weights, Wiring, first_teachers, on_embeddings
from .schedules import alternating, joint
from .scoring import Validation
from .train import (
    Optimisation,
    Trained,
    train,
)

__all__ = [
    "Objective",
    "Optimisation",
    "Task",
    "Trained",
    "TrainingRows",
    "Validation",
    "Weights",
    "Wiring",
    "alternating",
    "classification_loss",
    "distillation_loss",
    "distillation_sources",
    "distillation_weights",
    "first_teachers",
    "joint",
    "on_embeddings",
    "stack_rows",
    "train",
]
