"""What the tests of other people's tools fit: one table, or two datasets."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import JEDIClassifier

N_ROWS = {"digits": 36, "fashion": 24}
Dicts = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def make_dicts(seed: int = 0) -> Dicts:
    """Three and two classes that overlap, the last of each rarer than the others."""
    rng = np.random.default_rng(seed)
    X, y = {}, {}
    for name, n_rows in N_ROWS.items():
        n_classes = 3 if name == "digits" else 2
        codes = np.arange(n_rows) % n_classes
        codes[n_rows // 3 :][codes[n_rows // 3 :] == n_classes - 1] = 0
        X[name] = 1.5 * np.eye(4)[codes] + rng.normal(size=(n_rows, 4))
        y[name] = codes if name == "digits" else np.array(["Bag", "Sandal"])[codes]
    return X, y


def classifier(*names: str, **params: Any) -> JEDIClassifier:
    """One that trains in a moment; where no dataset is named, for both.

    The rows of a plain array are of the dataset that is named. Parameters may be those
    of experts.
    """
    experts = [
        (name, make_pipeline(StandardScaler(), LogisticRegression()))
        for name in names or N_ROWS
    ]
    clf = JEDIClassifier(
        experts, max_epochs=2, adjustment_units=4, learning_rate=0.02, random_state=0
    )
    return clf.set_params(**params)
