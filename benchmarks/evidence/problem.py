"""What all contestants of one regime and seed work on: experts and embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from .data import Arrays, Data
from .experts import make_experts
from .regimes import is_known, known_codes, known_labels
from .rows import check_apart


@dataclass(frozen=True)
class Problem:
    """Embeddings by all experts side by side, and labels, by dataset.

    Attributes
    ----------
    X_train, X_test : dict of str to ndarray of shape (n_rows, n_features)
        A dataset that has no labels is in `X_train` alone.
    y_train : dict of str to ndarray
        Labels, missing ones as -1 or None; a dataset without labels is left out.
    columns : dict of str to slice
        Where each expert's embedding stands.
    heads : dict of str to LogisticRegression
        The fitted heads of the experts.
    extra : str
        The dataset that `one other dataset` distils from and `extra` unlabels.
    """

    X_train: Arrays
    y_train: Arrays
    X_test: Arrays
    columns: dict[str, slice]
    heads: dict[str, Any]
    extra: str

    def codes(self, name: str) -> npt.NDArray[np.int64]:
        """Return the numbers of a dataset's training labels, -1 where missing."""
        return known_codes(self.y_train[name])[1]

    def experts(self) -> list[tuple[str, FrozenEstimator]]:
        """Return the experts as JEDI takes them: selectors of columns with a head."""
        experts = []
        for name, part in self.columns.items():
            selector = make_column_transformer(("passthrough", part))
            selector.fit(next(iter(self.X_train.values()))[:1])
            steps = [("encoder", selector), ("head", self.heads[name])]
            experts.append((name, FrozenEstimator(Pipeline(steps))))
        return experts


def make_problem(data: Data, regime: str, seed: int, extra: str) -> Problem:
    """Fit the experts on their datasets' labelled rows and embed all rows by all.

    Test images are embedded by experts that are fitted already, and that is all that
    is done with them; test labels are not looked at.
    """
    for name, images in data.X_train.items():
        check_apart(images, data.X_test[name])
    y_train = known_labels(regime, data.y_train, seed, extra)
    experts = make_experts(seed, list(y_train))
    for name, expert in experts.items():
        known = is_known(y_train[name])
        expert.fit(data.X_train[name][known], known_labels_of(y_train[name]))
    X_train = {name: embed(experts, X) for name, X in data.X_train.items()}
    X_test = {name: embed(experts, data.X_test[name]) for name in y_train}
    widths = [expert["head"].n_features_in_ for expert in experts.values()]
    ends = np.cumsum([0, *widths])
    columns = {
        name: slice(int(a), int(b))
        for name, a, b in zip(experts, ends[:-1], ends[1:], strict=True)
    }
    heads = {name: expert["head"] for name, expert in experts.items()}
    return Problem(X_train, y_train, X_test, columns, heads, extra)


def known_labels_of(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the labels that are there, as plain int or str."""
    classes, codes = known_codes(labels)
    return classes[codes[codes >= 0]]


def embed(experts: dict[str, Pipeline], images: npt.NDArray[Any]) -> npt.NDArray:
    """Return the embeddings of images by all experts, side by side."""
    parts = [expert[:-1].transform(images) for expert in experts.values()]
    return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")
