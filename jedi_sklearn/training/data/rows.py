"""Rows of all datasets, in the order of the training.

They are sorted by dataset, and within a dataset the labelled rows come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...inputs.row_weights import RowWeights
from .features import IN_MEMORY_BYTES, Features, LazyFeatures


class TrainingRows(NamedTuple):
    """All rows of a training, as NumPy arrays.

    Attributes
    ----------
    features : ndarray or LazyFeatures of shape (n_rows, n_features), float32
        Embeddings of all experts side by side.
    widths : tuple of int
        Width of each expert's embedding.
    n_rows : tuple of int
        Number of rows of each dataset.
    labels : tuple of ndarray of shape (n_labelled,), int64
        For each dataset the class numbers of its labelled rows.
    weights : ndarray of shape (n_rows,), float32
        Weight of each row in all terms of the loss, 1 on average.
    class_weights : tuple of ndarray of shape (n_labelled,), float32
        For each dataset a further factor of its labelled rows in the terms that see
        their labels.
    """

    features: Features
    widths: tuple[int, ...]
    n_rows: tuple[int, ...]
    labels: tuple[npt.NDArray[np.int64], ...]
    weights: npt.NDArray[np.float32]
    class_weights: tuple[npt.NDArray[np.float32], ...]

    @property
    def starts(self) -> npt.NDArray[np.intp]:
        """Number of the first row of each dataset, and of the row after the last."""
        return np.concatenate([[0], np.cumsum(self.n_rows)])

    @property
    def strata(self) -> list[int]:
        """Number of labelled and of unlabelled rows of each dataset, in turn."""
        return [
            n
            for labels, n_rows in zip(self.labels, self.n_rows, strict=True)
            for n in (len(labels), n_rows - len(labels))
        ]

    @property
    def row_labels(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Label and label weight of each row: -1 and 0 for an unlabelled row."""
        # -1 is no class: a loss would fail on it if an unlabelled row came in.
        labels = np.full(len(self.weights), -1)
        weights = np.zeros_like(self.weights)
        for start, of_rows, of_classes in zip(
            self.starts, self.labels, self.class_weights, strict=False
        ):
            own = slice(start, start + len(of_rows))
            labels[own] = of_rows
            weights[own] = self.weights[own] * of_classes
        return labels, weights

    @property
    def sizes(self) -> list[float]:
        """Sum of the weights of each dataset's rows: their number, if all weigh 1."""
        return [
            float(self.weights[start : start + n].sum(dtype=np.float64))
            for start, n in zip(self.starts, self.n_rows, strict=False)
        ]


def stack_rows(
    embeddings: Sequence[Sequence[Any]],
    codes: Sequence[npt.NDArray[np.int64] | None],
    weights: Sequence[RowWeights] | None = None,
) -> TrainingRows:
    """Bring the rows of all datasets into the order of the training.

    Parameters
    ----------
    embeddings : sequence, one a dataset, of sequences of ndarray or StoredRows
        The embedding of the dataset's rows by each expert, (n_rows, n_features).
        Large ones are not copied but read batch by batch.
    codes : sequence of ndarray of shape (n_rows,) or None
        Class numbers of each dataset's rows, negative where unlabelled; None for a
        dataset without labels.
    weights : sequence of RowWeights, one a dataset, optional
        By default every row counts alike.

    Returns
    -------
    TrainingRows
    """
    n_rows = [len(of_experts[0]) for of_experts in embeddings]
    if weights is None:
        weights = [RowWeights(np.ones(n), np.ones(n)) for n in n_rows]
    widths = [embedding.shape[1] for embedding in embeddings[0]]
    orders, labels, row_weights, class_weights = [], [], [], []
    for code, weight, n in zip(codes, weights, n_rows, strict=True):
        code = np.full(n, -1) if code is None else code
        # A stable sort keeps the given order among the labelled and the unlabelled.
        order = np.argsort(code < 0, kind="stable")
        labelled = order[: np.count_nonzero(code >= 0)]
        orders.append(order)
        labels.append(code[labelled].astype(np.int64))
        row_weights.append(weight.rows[order])
        class_weights.append(weight.labels[labelled].astype(np.float32))
    features = LazyFeatures(embeddings, orders)  # (all rows, features of all experts)
    n_bytes = features.shape[0] * features.shape[1] * np.dtype(np.float32).itemsize
    relative = np.concatenate(row_weights, dtype=np.float64)
    return TrainingRows(
        features[:] if n_bytes <= IN_MEMORY_BYTES else features,
        tuple(widths),
        tuple(n_rows),
        tuple(labels),
        # With a mean of 1 the unit of the weights does not matter.
        (relative / relative.mean()).astype(np.float32),
        tuple(class_weights),
    )
