"""The cache of a process: each frozen expert embeds a row of a table once."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from joblib import Parallel, delayed

from ..experts.embed import embed
from ..experts.expert import NamedEncoder, is_frozen
from ..inputs.containers import Rows, take_rows
from ..inputs.multidataset import Part, Table
from ._dtypes import Features
from ._fingerprints import fingerprint_if_any

# Encoders whose embeddings of a table are kept: a program may come with ever new ones.
MOST_ENCODERS = 16


class CachedRows:
    """Embeddings that are kept; every row is embedded at most once.

    Parameters
    ----------
    n_rows : int
        Number of rows of the table.
    """

    def __init__(self, n_rows: int) -> None:
        self._done = np.zeros(n_rows, dtype=bool)
        self._features: Features | None = None

    def missing(self, rows: Rows) -> Rows:
        """Return those of the rows that are not embedded yet, each once."""
        rows = np.unique(rows)
        return rows[~self._done[rows]]

    def put(self, rows: Rows, features: Features) -> None:
        """Keep the embeddings of rows."""
        if len(rows) == len(self._done):
            self._features = features
        else:
            if self._features is None:
                shape = (len(self._done), features.shape[1])
                self._features = np.empty(shape, dtype=np.float32)
            self._features[rows] = features
        self._done[rows] = True

    def take(self, rows: Rows) -> Features:
        """Return the embeddings of rows, without a copy where they are a run."""
        assert self._features is not None
        taken: Features = take_rows(self._features, rows)
        return taken


class UncachedRows:
    """Embeddings that are handed on and not kept."""

    def missing(self, rows: Rows) -> Rows:
        """Return all rows, as they are."""
        return rows

    def put(self, rows: Rows, features: Features) -> None:
        """Hold the embeddings of rows until they are taken."""
        self._features = features

    def take(self, rows: Rows) -> Features:
        """Return the embeddings that were put last."""
        return self._features


class TableCache:
    """Embeddings of the rows of one table, and the lock of those who make them.

    Encoders and rows are known by content and not by identity, so that neither a
    retrained encoder nor rows that were changed in place are served what was embedded
    before.
    """

    def __init__(self) -> None:
        # Two threads of a search must not embed the same rows side by side.
        self._lock = Lock()
        self._values: str | None = None
        self._by_encoder: dict[str, CachedRows] = {}

    def __len__(self) -> int:
        return len(self._by_encoder)

    def embed(
        self,
        experts: Sequence[NamedEncoder],
        table: Table,
        rows: Rows,
        parallel: Parallel,
    ) -> list[Features]:
        """Embed some rows of the table, but not again those that are kept."""
        with self._lock:
            cached = self._cached(experts, table)
            by_expert = [cached.get(own.name) or UncachedRows() for own in experts]
            missing = [own.missing(rows) for own in by_expert]
            left = [n for n, rows_left in enumerate(missing) if len(rows_left)]
            # Rows may be embedded in another process, but are put here in this one.
            embedded = parallel(
                delayed(embed)(
                    experts[n].encoder,
                    take_rows(table.values, missing[n]),
                    experts[n].name,
                    table.name,
                )
                for n in left
            )
            for n, features in zip(left, embedded, strict=True):
                by_expert[n].put(missing[n], features)
            return [own.take(rows) for own in by_expert]

    def _cached(
        self, experts: Sequence[NamedEncoder], table: Table
    ) -> dict[str, CachedRows]:
        """Return the rows that are kept of each expert of which they can be."""
        frozen = [expert for expert in experts if is_frozen(expert.encoder)]
        if not frozen or not table.outlives_call:
            return {}
        # Without a pickle there is no telling whether something has changed.
        values = fingerprint_if_any(table.values)
        if values is None:
            return {}
        if values != self._values:
            self._by_encoder.clear()
            self._values = values
        cached = {}
        for expert in frozen:
            encoder = fingerprint_if_any(expert.encoder)
            if encoder is not None:
                kept = self._by_encoder.pop(encoder, None) or CachedRows(table.n_rows)
                # The last one is the one that was used last.
                cached[expert.name] = self._by_encoder[encoder] = kept
        most = max(MOST_ENCODERS, 2 * len(frozen))
        for encoder in list(self._by_encoder)[:-most]:
            del self._by_encoder[encoder]
        return cached


class ProcessCache:
    """Embeddings that are kept in memory, each as long as the table of its rows."""

    def __init__(self) -> None:
        self._of_tables: WeakKeyDictionary[Table, TableCache] = WeakKeyDictionary()

    def of(self, table: Table) -> TableCache:
        """Return the cache of a table, the same one in all threads."""
        return self._of_tables.setdefault(table, TableCache())

    def embed(
        self,
        experts: Sequence[NamedEncoder],
        parts: Sequence[Part],
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> dict[str, list[Features]]:
        """Return rows of datasets as experts embed them.

        The rows of a table that outlives the call are kept where the expert is frozen.

        Parameters
        ----------
        experts : sequence of Expert or Branch
            With fitted encoders.
        parts : sequence of (Table, ndarray of int)
            Datasets, and rows of them.
        n_jobs : int or None
            Number of experts that embed a dataset at once.
        verbose : int
            Ignored; a store shows its progress.

        Returns
        -------
        embeddings : dict of str to list of ndarray of shape (n_rows, n_features)
            For each expert one a part, float32.
        """
        parallel = Parallel(n_jobs=n_jobs, prefer="threads")
        by_part = [self.of(t).embed(experts, t, rows, parallel) for t, rows in parts]
        return {
            expert.name: [embeddings[n] for embeddings in by_part]
            for n, expert in enumerate(experts)
        }


PROCESS_CACHE = ProcessCache()
