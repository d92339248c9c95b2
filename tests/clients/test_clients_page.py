"""The user guide's page on other people's tools: its Python blocks run.

The one that needs MLflow runs in test_mlflow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from markdown_blocks import read_blocks, run_block
from sklearn.model_selection import cross_val_score

PAGE = Path(__file__).resolve().parents[2] / "docs/user_guide/clients.md"
BLOCKS = read_blocks(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the blocks set that need nothing but what CI has."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in BLOCKS:
        if block.slow is None:
            run_block(block, namespace)
    return namespace


def test_blocks__search_as_plain_scores_say(names):
    assert len(BLOCKS) == 7
    best = names["search"]
    scores = cross_val_score(
        best.best_estimator_, names["X_all"], names["y_all"], cv=names["folds"]
    )
    assert best.best_score_ == scores.mean()
    (trial,) = names["study"].trials
    assert len(trial.intermediate_values) == 2
    assert names["table"].sum() == len(names["labels"])
