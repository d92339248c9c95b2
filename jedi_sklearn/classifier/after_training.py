"""What happens after training: students, teachers and the other fitted attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..inputs.read_y import Targets
from ..models.distilled_classifier import DistilledClassifier
from ..models.weights import Branch, linear_weights, unadjusted
from ..training.from_params import tasks_of
from ..training.network.weights import Wiring, on_embeddings
from .fit_state import FitState

Models = dict[str, DistilledClassifier]


def fitted_attributes(state: FitState, targets: Targets) -> dict[str, Any]:
    """Return the fitted attributes of a `JEDIClassifier`.

    Parameters
    ----------
    state : FitState
    targets : Targets
        The labels that the fit was given, which say how a label is reported.
    """
    heads = {expert.name: expert.head for expert in state.experts}
    reported = {
        name: targets.reported(name, heads[name].classes_) for name in state.labelled
    }
    classes = np.unique(np.concatenate(list(reported.values())))
    columns = {name: np.searchsorted(classes, own) for name, own in reported.items()}
    return {
        "classes_": classes,
        # Of each student's classes, the columns of predict_proba.
        "_columns": columns,
        "datasets_": list(state.sizes),
        **model_attributes(state),
    }


def model_attributes(state: FitState) -> dict[str, Any]:
    """Return the fitted attributes that training on further rows changes."""
    students, teachers = distilled_classifiers(state)
    epochs = pd.RangeIndex(1, len(state.history) + 1, name="epoch")
    return {
        "_state": state,
        "experts_": {expert.name: expert.estimator for expert in state.experts},
        "kept_experts_": state.kept_experts,
        "students_": students,
        "teachers_": teachers,
        "history_": state.history.set_index(epochs),
        "n_iter_": len(state.history),
    }


def distilled_classifiers(state: FitState) -> tuple[Models, Models]:
    """Return students and teachers as classifiers that stand alone.

    A student has its expert's branch: the encoder and its trained adjustment. A
    teacher has the branches of all experts, adjusted or not as it has seen them.
    """
    heads = {expert.name: expert.head for expert in state.experts}
    adjusted = {
        expert.name: Branch(expert.name, expert.encoder, adjustment)
        for expert, adjustment in zip(
            state.experts, state.weights.adjustments, strict=True
        )
    }
    plain = {
        name: branch._replace(adjustment=unadjusted(branch.width))
        for name, branch in adjusted.items()
    }
    wiring = Wiring.of(state.teacher_input)
    seen = list((plain if wiring.base else adjusted).values())
    tasks = tasks_of(list(adjusted), state.labelled, state.labelled)
    students, teachers = {}, {}
    for name, head, teacher in zip(
        state.labelled,
        state.weights.heads,
        on_embeddings(state.weights, tasks, wiring),
        strict=True,
    ):
        branch = adjusted[name]
        if name in state.kept_experts:
            branch, head = plain[name], linear_weights(heads[name])
        classes = heads[name].classes_
        students[name] = DistilledClassifier([branch], head, classes)
        teachers[name] = DistilledClassifier(seen, teacher, classes)
    return students, teachers
