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
from .phases import Optimisation
from .processes import n_processes
from .saving import Saving
from .scaling import Scaling
from .schedules import alternating, joint
from .scoring import Validation
from .train import Trained, Watchers, train

__all__ = [
    "Objective",
    "Optimisation",
    "Saving",
    "Scaling",
    "Task",
    "Trained",
    "TrainingRows",
    "Validation",
    "Watchers",
    "Weights",
    "Wiring",
    "alternating",
    "classification_loss",
    "distillation_loss",
    "distillation_sources",
    "distillation_weights",
    "first_teachers",
    "joint",
    "n_processes",
    "on_embeddings",
    "stack_rows",
    "train",
]
