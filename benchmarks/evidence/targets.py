"""What was to be shown, written down before the study ran, and whether it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from .intervals import MEAN, Interval, by_seed, difference
from .tables import markdown
from .variants import MAIN, NO_DISTILLATION, TWO_STAGES

REGIME = "tenth"
ON_ALL = (
    "logistic regression",
    "linear SVC",
    "stacking",
    "self-training",
    "label spreading",
)
STUDENT, TEACHER = (MAIN, "student"), (MAIN, "teacher")


class Verdict(NamedTuple):
    """A target, the difference that speaks to it and whether it is met."""

    target: str
    found: Interval
    met: bool


def above_zero(found: Interval) -> bool:
    """Say whether the whole interval is above zero; never of one seed."""
    return found.low > 0


def positive(found: Interval) -> bool:
    """Say whether the mean is above zero."""
    return found.mean > 0


def not_negative(found: Interval) -> bool:
    """Say whether the mean is at least zero."""
    return found.mean >= 0


class Target(NamedTuple):
    """A difference of two models, and what has to hold of its mean over datasets."""

    text: str
    first: tuple[str, str]
    second: tuple[str, str]
    holds: Callable[[Interval], bool]


def verdicts(frame: pd.DataFrame) -> list[Verdict]:
    """Return the verdict on every target whose models have results."""
    wide = by_seed(frame, REGIME, "accuracy")
    if wide.empty:
        return []
    found = difference(wide, STUDENT, (MAIN, "expert")) if has(wide, STUDENT) else {}
    result = [
        Verdict(f"{dataset}: student - expert > 0", gain, positive(gain))
        for dataset, gain in sorted(found.items())
        if dataset != MEAN
    ]
    for target in targets(wide):
        if has(wide, target.first) and has(wide, target.second):
            gain = difference(wide, target.first, target.second).get(MEAN)
            if gain is not None:
                result.append(Verdict(target.text, gain, target.holds(gain)))
    return result


def targets(wide: pd.DataFrame) -> list[Target]:
    """Return the targets that are about the mean over the datasets."""
    best = best_on_all(wide)
    above = "> 0, interval too"
    return [
        Target(
            f"mean: student - refitted head {above}",
            STUDENT,
            ("refitted head", "baseline"),
            above_zero,
        ),
        Target(
            f"mean: teacher - best baseline on all embeddings ({best}) >= 0",
            TEACHER,
            (best, "baseline"),
            not_negative,
        ),
        Target(
            f"mean: student - student without distillation {above}",
            STUDENT,
            (NO_DISTILLATION, "student"),
            above_zero,
        ),
        Target(
            f"mean: student - student of two stages {above}",
            STUDENT,
            (TWO_STAGES, "student"),
            above_zero,
        ),
        Target(
            f"mean: teacher - teacher of two stages {above}",
            TEACHER,
            (TWO_STAGES, "teacher"),
            above_zero,
        ),
    ]


def best_on_all(wide: pd.DataFrame) -> str:
    """Return the best baseline on the test rows, which favours the baselines."""
    means = {
        name: wide[name, "baseline", MEAN].mean()
        for name in ON_ALL
        if has(wide, (name, "baseline"))
    }
    return max(means, key=lambda name: means[name], default="none")


def has(wide: pd.DataFrame, key: tuple[str, str]) -> bool:
    """Say whether a model of a contestant has results."""
    return (*key, MEAN) in wide.columns


def target_table(frame: pd.DataFrame) -> str:
    """Return the targets with the differences in points of accuracy."""
    rows = [
        [v.target, v.found.points(), "met" if v.met else "not met"]
        for v in verdicts(frame)
    ]
    return markdown(["target", "difference", "verdict"], rows)
