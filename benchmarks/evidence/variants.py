"""JEDI's variants: Table 3, the schedules, and each departure from the paper undone."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import Any

from jedi_sklearn import PAPER_PARAMS, JEDIClassifier

from .contestants import BASELINES, DatasetScores, jedi
from .problem import Problem

Params = dict[str, Any]

# Half of the default's epochs, so that the study takes an hour.
SHARED: Params = {"max_epochs": 50}
# 500 epochs take as long as all other variants together, so that few seeds must do.
N_LONG_SEEDS = 3

MAIN = "JEDI"
NO_DISTILLATION = "no distillation"
WITHOUT_EXTRA = "without the extra dataset"
TWO_STAGES = "two stages"
PAPER = "paper"

TEACHER_INPUTS: dict[str, Params] = {
    "predictions": {"teacher_input": "predictions"},
    "base": {"teacher_input": "base"},
    MAIN: {},
    "adjusted+predictions": {"teacher_input": "adjusted+predictions"},
}

SCHEDULES: dict[str, Params] = {
    MAIN: {},
    "alternating": {"schedule": "alternating", "n_rounds": 5},
    TWO_STAGES: {"schedule": "alternating", "n_rounds": 1},
}

# What the plainest code of the paper's equations would do where the paper is silent.
UNSAID: Params = {"target_dropout": True, "target_gradient": True}


def sources(extra: str) -> dict[str, Params]:
    """Return the rows that students learn from teachers on (section 5.2)."""
    return {
        NO_DISTILLATION: {"distill_from": None},
        "own dataset": {"distill_from": "own"},
        "one other dataset": {"distill_from": [extra]},
        MAIN: {},
    }


def deviations() -> dict[str, Params]:
    """Return each default that is not the paper's, put back by itself."""
    defaults = {
        name: parameter.default
        for name, parameter in signature(JEDIClassifier).parameters.items()
    }
    return {
        f"{name}={value!r}": {name: value}
        for name, value in (UNSAID | PAPER_PARAMS).items()
        if value != defaults[name]
    }


def variants(extra: str) -> dict[str, Params]:
    """Return the parameters of every variant of JEDI by its name."""
    own = {
        **TEACHER_INPUTS,
        **sources(extra),
        **SCHEDULES,
        **deviations(),
        PAPER: PAPER_PARAMS,
        WITHOUT_EXTRA: {},
    }
    return {name: SHARED | params for name, params in own.items()}


def contestants_of(regime: str, seed: int, extra: str) -> list[str]:
    """Return the names of what runs in a regime with a seed."""
    if regime == "tenth":
        names = [*BASELINES, *variants(extra)]
        names = [name for name in names if name != WITHOUT_EXTRA]
        return [n for n in names if seed < N_LONG_SEEDS or not is_long(n, extra)]
    names = [*BASELINES, MAIN, NO_DISTILLATION]
    if regime == "all":
        # Nothing is left for them to label.
        return [n for n in names if n not in ("self-training", "label spreading")]
    return [*names, WITHOUT_EXTRA]


def is_long(name: str, extra: str) -> bool:
    """Say whether a contestant trains for the paper's number of epochs."""
    params = variants(extra).get(name, {})
    return params.get("max_epochs") == PAPER_PARAMS["max_epochs"]


def run_contestant(
    name: str, problem: Problem, seed: int, shortened: Params
) -> DatasetScores:
    """Return the class scores of a contestant on the test rows.

    Parameters
    ----------
    name : str
    problem : Problem
    seed : int
    shortened : dict
        Parameters that every variant of JEDI is given last, such as fewer epochs.
    """
    if name in BASELINES:
        return BASELINES[name](problem, seed)
    if name == WITHOUT_EXTRA:
        rows = {n: X for n, X in problem.X_train.items() if n != problem.extra}
        problem = replace(problem, X_train=rows)
    return jedi(problem, seed, variants(problem.extra)[name] | shortened)


def settings_of(name: str, extra: str, shortened: Params) -> Params:
    """Return all that a contestant's result depends on beside the problem."""
    if name in BASELINES:
        return {}
    params = variants(extra)[name] | shortened
    settings = JEDIClassifier(**params).get_params(deep=False)
    # The precision says how fast, and of features as few as the study's nothing; what
    # is written down on the way changes no result.
    return {
        key: value
        for key, value in settings.items()
        if key not in ("experts", "precision") and not key.startswith("checkpoint")
    }
