"""Joint training of students and teachers, in torch."""

from .callbacks.resume import Saving
from .callbacks.validation import Validation
from .config import Optimisation
from .data.rows import TrainingRows, stack_rows
from .distributed import n_processes
from .from_params import (
    first_weights,
    losses_of,
    objective_of,
    optimisation_of,
    tasks_of,
)
from .losses import Objective
from .network.scaling import Scaling
from .network.weights import Task, Weights
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
    "first_weights",
    "losses_of",
    "n_processes",
    "objective_of",
    "optimisation_of",
    "stack_rows",
    "tasks_of",
    "train",
]
