"""Figure 3 of the paper, and Table 2 as a figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from jedi_sklearn.inspection import EvaluationDisplay, TrainingCurvesDisplay

from . import store
from .contestants import fit_jedi
from .data import Data
from .problem import make_problem
from .scores import MEASURES
from .study import Plan
from .variants import MAIN, variants


def draw(folder: Path, plan: Plan, data: Data, out: Path) -> None:
    """Draw both figures of every regime that has results."""
    out.mkdir(parents=True, exist_ok=True)
    frame = store.as_frame(plan.finished(folder))
    for regime in plan.regimes:
        tables = main_tables(frame, regime)
        if not tables:
            continue
        display = EvaluationDisplay.from_tables(tables)
        save(display.figure_, out / f"evidence-{regime}.png")
        curves = training_curves(data, regime, plan)
        save(curves.figure_, out / f"evidence-{regime}-epochs.png")


def main_tables(frame: pd.DataFrame, regime: str) -> list[pd.DataFrame]:
    """Return JEDI's results as `evaluate` gives them, one table a seed."""
    rows = frame[(frame["regime"] == regime) & (frame["contestant"] == MAIN)]
    return [
        table.set_index(["dataset", "model"])[list(MEASURES)]
        for _, table in rows.groupby("seed")
    ]


def training_curves(data: Data, regime: str, plan: Plan) -> TrainingCurvesDisplay:
    """Fit JEDI once more with the first seed and draw test accuracy over the epochs.

    The test rows are given to fit for these curves alone: it chooses nothing by them.
    """
    seed = plan.seeds[0]
    problem = make_problem(data, regime, seed, plan.extra)
    y_test = {name: data.y_test[name] for name in problem.X_test}
    params = variants(plan.extra)[MAIN] | plan.shortened
    clf = fit_jedi(problem, seed, params, X_val=problem.X_test, y_val=y_test)
    return TrainingCurvesDisplay.from_estimator(clf)


def save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, dpi=120)
    plt.close(figure)
