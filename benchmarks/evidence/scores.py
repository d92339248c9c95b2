"""The measures of jedi_sklearn.evaluate, for matrices of class scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

MEASURES = ("accuracy", "top_5_accuracy", "mean_average_precision")


def measure(
    scores: npt.NDArray[np.floating], codes: npt.NDArray[Any]
) -> dict[str, float]:
    """Score class scores of shape (n_rows, n_classes) against class numbers."""
    ranked = np.argsort(-scores, axis=1, kind="stable")
    hits = ranked == codes[:, None]
    precisions = [
        average_precision_score(codes == c, scores[:, c]) for c in np.unique(codes)
    ]
    return {
        "accuracy": float(hits[:, :1].any(axis=1).mean()),
        "top_5_accuracy": float(hits[:, :5].any(axis=1).mean()),
        "mean_average_precision": float(np.mean(precisions)),
    }
