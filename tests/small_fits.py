"""Fits that take a moment: what the tests of the estimator share."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import JEDIClassifier

Data = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]

NO_DROPOUT = {"adjustment_dropout": 0.0, "units_per_class": 1e6}
ONE_BATCH = {"batch_size": 1000, **NO_DROPOUT}


def small_experts() -> list[tuple[str, Any]]:
    """Return a Pipeline with a head and a transformer without one."""
    return [
        ("a", make_pipeline(StandardScaler(), LogisticRegression())),
        ("b", make_column_transformer(("passthrough", slice(1, 4)))),
    ]


def small_classifier(experts: Any = None, **params: Any) -> JEDIClassifier:
    """Return one that learns fast enough for a few epochs to show.

    Its other defaults are the paper's, so that what the estimator takes by default
    may change without the tests.
    """
    defaults: dict[str, Any] = {
        "max_epochs": 3,
        "batch_size": 16,
        "labelled_share": 0.0,
        "learning_rate": 0.01,
        "learning_rate_decay": "constant",
        "weight_decay": 3e-3,
        "teacher_loss": "hinge",
        "target_temperature": None,
        "adjustment_units": 4,
        "random_state": 0,
        "device": "cpu",
    }
    return JEDIClassifier(
        small_experts() if experts is None else experts, **defaults | params
    )


def labelled(data: Data, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a dataset's labelled rows and their labels."""
    X, y = data[0][name], data[1][name]
    known = np.array([label is not None for label in y])
    return X[known], y[known].astype(str if name == "a" else int)


def weights_of(models: dict[str, Any]) -> list[Any]:
    """Return all weights of students or teachers."""
    return [
        (m.coef_, m.intercept_, *(b.adjustment for b in m.branches))
        for m in models.values()
    ]


def differ(first: Any, second: Any) -> bool:
    """Say whether a number in two structures of arrays is not the same."""
    try:
        np.testing.assert_equal(first, second)
    except AssertionError:
        return True
    return False
