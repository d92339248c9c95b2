"""Embeddings of frozen experts, kept beside the rows they were made from."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

import joblib
import numpy as np
import numpy.typing as npt

from ._multidataset import Rows, Table


class EmbeddedRows:
    """Embeddings of some rows of a table; every row is embedded at most once.

    Parameters
    ----------
    n_rows : int
        Number of rows of the table.
    """

    def __init__(self, n_rows: int) -> None:
        self._done = np.zeros(n_rows, dtype=bool)
        self._features: npt.NDArray[np.float32] | None = None

    def missing(self, rows: Rows) -> Rows:
        """Return those of the rows that are not embedded yet, each once."""
        rows = np.unique(rows)
        return rows[~self._done[rows]]

    def put(self, rows: Rows, features: npt.NDArray[np.float32]) -> None:
        """Keep the embeddings of rows."""
        if self._features is None:
            shape = (len(self._done), features.shape[1])
            self._features = np.empty(shape, dtype=np.float32)
        self._features[rows] = features
        self._done[rows] = True

    def take(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Return the embeddings of rows."""
        assert self._features is not None
        return self._features[rows]


class Key(NamedTuple):
    """What an embedding depends on, by content and not by identity.

    So neither a retrained encoder nor rows that were changed in place are ever
    served what was made before.
    """

    encoder: str
    values: str


def embedded_rows(encoders: list[Any], table: Table) -> list[EmbeddedRows | None]:
    """Return what the table keeps for each encoder, None where it cannot keep."""
    if table.embeddings is None or not encoders:
        return [None] * len(encoders)
    values = joblib.hash(table.values)
    kept: list[EmbeddedRows | None] = []
    for encoder in encoders:
        try:
            key = Key(joblib.hash(encoder), values)
        except (pickle.PicklingError, AttributeError, TypeError):
            # Without a pickle there is no telling whether it has changed.
            kept.append(None)
        else:
            kept.append(table.embeddings.setdefault(key, EmbeddedRows(table.n_rows)))
    return kept
