"""Random features at the sizes of the paper's Table 1, and experts that select them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

NAMES = ("activitynet", "hmdb51", "kinetics400", "ucf101")
WIDTHS = (2048, 2048, 1024, 2048)
N_CLASSES = (200, 51, 400, 101)
N_ROWS = (8_398, 3_570, 226_070, 9_537)


class Sizes(NamedTuple):
    """Sizes of a problem, one entry a dataset and expert."""

    widths: tuple[int, ...] = WIDTHS
    n_classes: tuple[int, ...] = N_CLASSES
    n_rows: tuple[int, ...] = N_ROWS

    def of_rows(self, n_rows: int) -> Sizes:
        """Return the same with so many rows, in the same proportions."""
        shares = np.array(self.n_rows) / sum(self.n_rows)
        counts = np.maximum(1, (shares * n_rows).astype(int))
        counts[counts.argmax()] += n_rows - counts.sum()
        return self._replace(n_rows=tuple(counts.tolist()))


class Problem(NamedTuple):
    """Datasets of features, all experts' side by side, with frozen experts."""

    sizes: Sizes
    experts: list[tuple[str, Any]]
    X: dict[str, npt.NDArray[np.float32]]
    y: dict[str, npt.NDArray[np.int64]]


def make_problem(sizes: Sizes, seed: int = 0) -> Problem:
    """Return a problem with random features, labels and heads.

    How long a step takes does not depend on what there is to learn.
    """
    random = np.random.default_rng(seed)
    names = [f"dataset_{number:02d}" for number in range(len(sizes.widths))]
    X, y, experts = {}, {}, []
    first = 0
    for name, width, n_classes, n_rows in zip(names, *sizes, strict=True):
        X[name] = random.standard_normal((n_rows, sum(sizes.widths)), dtype=np.float32)
        y[name] = random_labels(n_rows, n_classes, random)
        columns = slice(first, first + width)
        selector = make_column_transformer(("passthrough", columns)).fit(X[name])
        head = _random_head(width, n_classes, random)
        experts.append((name, FrozenEstimator(make_pipeline(selector, head))))
        first += width
    return Problem(sizes, experts, X, y)


def random_labels(
    n_rows: int, n_classes: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return labels, not of all classes where there are few rows.

    Of those scikit-learn would warn that they look like a regression's.
    """
    n_known = min(n_classes, max(2, n_rows // 3))
    return random.permutation(np.arange(n_rows) % n_known)


def _random_head(
    width: int, n_classes: int, random: np.random.Generator
) -> LogisticRegression:
    head = LogisticRegression()
    head.classes_ = np.arange(n_classes)
    head.coef_ = random.normal(scale=width**-0.5, size=(n_classes, width))
    head.intercept_ = np.zeros(n_classes)
    head.n_features_in_ = width
    return head
