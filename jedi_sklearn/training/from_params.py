"""Parameters of the estimator as objective, configuration and first weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..models.weights import Linear, Weights
from .config import TrainingConfig
from .losses import (
    Objective,
    classification_loss,
    distillation_loss,
    distillation_sources,
    distillation_weights,
)
from .network.weights import Task, TeacherInput, first_teachers
from .schedules import alternating, joint


def tasks_of(
    experts: Sequence[str], labelled: Sequence[str], datasets: Sequence[str]
) -> list[Task]:
    """Return a student and a teacher for each labelled dataset; all are names."""
    return [
        Task(name, list(datasets).index(name), list(experts).index(name))
        for name in labelled
    ]


def first_weights(
    params: Mapping[str, Any],
    heads: Sequence[Linear],
    tasks: Sequence[Task],
    widths: Sequence[int],
) -> Weights:
    """Return the weights from which a training that is no continuation starts.

    Parameters
    ----------
    params : mapping of str to object
        Of `JEDIClassifier`.
    heads : sequence of Linear
        Of the experts, one a task.
    tasks : sequence of Task
    widths : sequence of int
        Width of each expert's embedding.
    """
    teachers = []
    if params["teacher_start"] == "expert":
        teachers = first_teachers(heads, tasks, widths, teacher_input_of(params))
    return Weights([], list(heads), teachers)


def teacher_input_of(params: Mapping[str, Any]) -> TeacherInput:
    """Return what teachers see, and what students see of them."""
    return TeacherInput.of(
        params["teacher_input"],
        target_dropout=params["target_dropout"],
        target_gradient=params["target_gradient"],
    )


def objective_of(
    params: Mapping[str, Any], datasets: Sequence[str], sizes: Sequence[float]
) -> Objective:
    """Return Eq. (1) for datasets of these sizes."""
    sources = distillation_sources(params["distill_from"], datasets)
    temperature = params["temperature"]
    of_targets = params["target_temperature"]
    return Objective(
        alpha=params["alpha"],
        beta=params["beta"],
        gamma=params["gamma"],
        temperature=temperature,
        sharpening=1.0 if of_targets is None else temperature / of_targets,
        weights=distillation_weights(sizes) * sources,
        **losses_of(params),
    )


def losses_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the three losses by their parameters' names.

    Raises
    ------
    ValueError
        If one that is a user's own does not give one value a row.
    """
    return {
        name: read(name, params[name])
        for name, read in (
            ("student_loss", classification_loss),
            ("teacher_loss", classification_loss),
            ("distillation_loss", distillation_loss),
        )
    }


def config_of(params: Mapping[str, Any], seed: int) -> TrainingConfig:
    """Return how the objective is minimised."""
    max_epochs = params["max_epochs"]
    if params["schedule"] == "joint":
        phases = joint(max_epochs, params["warmup_epochs"])
    else:
        phases = alternating(
            max_epochs, params["n_rounds"], restart=params["restart_rounds"]
        )
    return TrainingConfig(
        phases=phases,
        teacher_input=teacher_input_of(params),
        batch_size=params["batch_size"],
        labelled_share=params["labelled_share"],
        learning_rate=params["learning_rate"],
        weight_decay=params["weight_decay"],
        decay=params["learning_rate_decay"],
        adjustment_units=params["adjustment_units"],
        adjustment_dropout=params["adjustment_dropout"],
        units_per_class=params["units_per_class"],
        standardize=params["standardize"],
        patience=params["n_iter_no_change"] if params["early_stopping"] else None,
        seed=seed,
        device=params["device"],
        precision=params["precision"],
    )
