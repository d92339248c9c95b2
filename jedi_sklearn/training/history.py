"""The history of a training as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

TERMS = (
    "student_loss",
    "teacher_loss",
    "distillation_loss",
    "student_accuracy",
    "teacher_accuracy",
)
VALIDATION = ("val_expert_accuracy", "val_student_accuracy", "val_teacher_accuracy")


def history_frame(
    epochs: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> pd.DataFrame:
    """Return one row an epoch, one column for each quantity and dataset.

    Parameters
    ----------
    epochs : sequence of mapping
        Records of the net: ``train_loss``, ``terms`` (means over the rows, one row for
        each of `TERMS`) and possibly those of `VALIDATION`. Interrupted epochs
        are left out.
    names : sequence of str
        Names of the students' datasets.

    Returns
    -------
    history : DataFrame
        Index ``epoch``, from 1; columns (quantity, dataset). Losses and accuracies
        are means over the labelled rows, by their weights, the distillation loss,
        with the weights of Eq. (2), over all rows.
    """
    scored = any(VALIDATION[0] in epoch for epoch in epochs)
    recorded = {"train_loss", "terms", *(VALIDATION if scored else ())}
    # An interrupted epoch has no means yet.
    epochs = [epoch for epoch in epochs if recorded <= epoch.keys()]
    columns: dict[tuple[str, str], list[float]] = {
        ("loss", "all"): [epoch["train_loss"] for epoch in epochs]
    }
    for i, quantity in enumerate(TERMS):
        for k, name in enumerate(names):
            columns[quantity, name] = [epoch["terms"][i][k] for epoch in epochs]
    for quantity in VALIDATION if scored else ():
        for k, name in enumerate(names):
            columns[quantity, name] = [epoch[quantity][k] for epoch in epochs]
    frame = pd.DataFrame(
        columns, index=pd.RangeIndex(1, len(epochs) + 1, name="epoch"), dtype=float
    )
    frame.columns = pd.MultiIndex.from_tuples(columns, names=["quantity", "dataset"])
    return frame
