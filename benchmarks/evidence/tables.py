"""The results as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from .contestants import BASELINES
from .intervals import MEAN, by_seed, difference
from .scores import MEASURES
from .variants import MAIN

MODELS = ("expert", "student", "teacher")
SHORT = dict(zip(MEASURES, ("acc@1", "acc@5", "mAP"), strict=True))
Names = Sequence[str]


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    header = list(header)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(value: float) -> str:
    """Return a share as a percentage."""
    return "" if np.isnan(value) else f"{100 * value:.1f}"


def datasets_of(wide: pd.DataFrame, key: tuple[str, str]) -> list[str]:
    """Return the names of the datasets that a model has scores of, the mean last."""
    names = [str(name) for name in wide[key].columns if name != MEAN]
    return [*sorted(names), MEAN]


def table_2(frame: pd.DataFrame, regime: str) -> str:
    """Return Table 2: expert, student and teacher by three measures."""
    wides = {m: by_seed(frame, regime, m) for m in MEASURES}
    datasets = datasets_of(wides[MEASURES[0]], (MAIN, "student"))
    header = ["", *[f"{d} {SHORT[m]}" for d in datasets for m in MEASURES]]
    rows = [
        [model]
        + [percent(wides[m][MAIN, model, d].mean()) for d in datasets for m in MEASURES]
        for model in MODELS
    ]
    return markdown(header, rows)


def gains(frame: pd.DataFrame, regime: str) -> str:
    """Return what students and teachers gain over the experts, with intervals."""
    pairs = (("student", "expert"), ("teacher", "expert"), ("teacher", "student"))
    parts = []
    for measure in MEASURES:
        wide = by_seed(frame, regime, measure)
        datasets = datasets_of(wide, (MAIN, "student"))
        for first, second in pairs:
            found = difference(wide, (MAIN, first), (MAIN, second))
            name = f"{first} - {second}, {SHORT[measure]}"
            parts.append([name, *[found[d].points() for d in datasets]])
    return markdown(["", *datasets], parts)


def baselines(frame: pd.DataFrame, regime: str) -> str:
    """Return the accuracy of every baseline and what students and teachers add."""
    wide = by_seed(frame, regime, "accuracy")
    present = wide.columns.get_level_values("contestant").unique()
    keys = {name: (name, "baseline") for name in BASELINES if name in present}
    keys |= {f"{MAIN} {model}": (MAIN, model) for model in ("student", "teacher")}
    datasets = datasets_of(wide, (MAIN, "student"))
    rows = []
    for name, key in keys.items():
        row = [name, *[percent(wide[(*key, d)].mean()) for d in datasets]]
        for model in ("student", "teacher"):
            found = difference(wide, (MAIN, model), key)
            same = key == (MAIN, model)
            row.append("" if same or not found else found[MEAN].points())
        rows.append(row)
    return markdown(["", *datasets, "student - it", "teacher - it"], rows)


def variant_table(
    frame: pd.DataFrame, regime: str, names: Names, left_out: str | None = None
) -> str:
    """Return teachers' and students' accuracies of some of JEDI's variants.

    Parameters
    ----------
    frame : DataFrame
    regime : str
    names : sequence of str
        Those without results are left out.
    left_out : str, optional
        A dataset without which the mean is given too.
    """
    wide = by_seed(frame, regime, "accuracy")
    present = set(wide.columns.get_level_values("contestant"))
    datasets = datasets_of(wide, (MAIN, "student"))
    models = ("teacher", "student")
    header = ["", *[f"{d} {model}" for d in datasets for model in models]]
    others = [d for d in datasets if d not in (left_out, MEAN)]
    if left_out is not None:
        header += [f"mean without {left_out} {model}" for model in models]
    header += [f"{model} - {MAIN}'s" for model in models] + ["seconds"]
    rows = []
    for name in [name for name in names if name in present]:
        row = [name]
        row += [percent(wide[name, m, d].mean()) for d in datasets for m in models]
        if left_out is not None:
            row += [percent(wide[name, m][others].to_numpy().mean()) for m in models]
        for model in models:
            found = difference(wide, (name, model), (MAIN, model))
            row.append(found[MEAN].points() if found and name != MAIN else "")
        chosen = (frame["regime"] == regime) & (frame["contestant"] == name)
        rows.append([*row, f"{frame.loc[chosen, 'seconds'].mean():.0f}"])
    return markdown(header, rows)
