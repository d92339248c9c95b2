"""Embeddings of frozen experts, kept in the process so that a row is embedded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..inputs.containers import Rows, take_rows
from ..inputs.multidataset import Table
from ._fingerprints import fingerprint_if_any

# Embeddings that are kept of one table: a program may come with ever new experts.
MOST_ENCODERS = 16


class Key(NamedTuple):
    """What an embedding depends on, by content and not by identity.

    So neither a retrained encoder nor rows that were changed in place are ever
    served what was made before.
    """

    encoder: str
    values: str


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
        if len(rows) == len(self._done):
            self._features = features
        else:
            if self._features is None:
                shape = (len(self._done), features.shape[1])
                self._features = np.empty(shape, dtype=np.float32)
            self._features[rows] = features
        self._done[rows] = True

    def take(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Return the embeddings of rows, without a copy where they are a run."""
        assert self._features is not None
        taken: npt.NDArray[np.float32] = take_rows(self._features, rows)
        return taken


def embedded_rows(encoders: Sequence[Any], table: Table) -> list[EmbeddedRows | None]:
    """Return what is kept for each frozen encoder, None where nothing can be."""
    store = table.embeddings
    if store is None or not encoders:
        return [None] * len(encoders)
    # Without a pickle there is no telling whether something has changed.
    values = fingerprint_if_any(table.values)
    if values is None:
        return [None] * len(encoders)
    of_encoders = [fingerprint_if_any(encoder) for encoder in encoders]
    keys = [None if own is None else Key(own, values) for own in of_encoders]
    for key in filter(None, keys):
        # The last one is the one that was used last.
        store[key] = store.pop(key, None) or EmbeddedRows(table.n_rows)
    _forget(store, values, max(MOST_ENCODERS, 2 * len(keys)))
    return [None if key is None else store[key] for key in keys]


def _forget(store: dict[Key, EmbeddedRows], values: str, most: int) -> None:
    """Drop what was made of rows as they were before, and by encoders of long ago."""
    for key in [key for key in store if key.values != values]:
        del store[key]
    for key in list(store)[:-most]:
        del store[key]
