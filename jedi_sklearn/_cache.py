"""Embeddings of frozen experts, kept so that every row is embedded once."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from joblib import Memory
from joblib.hashing import NumpyHasher

from ._embed import embed
from ._multidataset import Rows, Table


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
    key : Key
    n_rows : int
        Number of rows of the table.
    """

    def __init__(self, key: Key, n_rows: int) -> None:
        self.key = key
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
        """Return the embeddings of rows."""
        assert self._features is not None
        return self._features[rows]


def embedded_rows(
    encoders: Sequence[Any], table: Table, memory: Memory
) -> list[EmbeddedRows | None]:
    """Return what is kept for each encoder, None where nothing can be."""
    short_lived = table.embeddings is None
    if not encoders or (short_lived and memory.location is None):
        return [None] * len(encoders)
    store = {} if table.embeddings is None else table.embeddings
    values = _hash(table.values)
    kept: list[EmbeddedRows | None] = []
    for encoder in encoders:
        try:
            key = Key(_hash(encoder), values)
        except (pickle.PicklingError, AttributeError, TypeError):
            # Without a pickle there is no telling whether it has changed.
            kept.append(None)
        else:
            kept.append(store.setdefault(key, EmbeddedRows(key, table.n_rows)))
    return kept


def embed_remembered(
    memory: Memory, key: Key, encoder: Any, values: Any, expert: str, dataset: str
) -> npt.NDArray[np.float32]:
    """Embed all rows of a table, once for all processes that share a memory.

    Parameters
    ----------
    memory : joblib.Memory
    key : Key
        Of the encoder and the values.
    encoder, values, expert, dataset
        See `embed`.

    Returns
    -------
    embedding : ndarray of shape (n_rows, n_features), float32
    """
    remembered = memory.cache(
        _embed_all, ignore=["encoder", "values", "expert", "dataset"]
    )
    call = (*key, encoder, values, expert, dataset)
    if not remembered.check_call_in_cache(*call):
        # Processes that start together would all embed the same rows.
        with _alone(Path(memory.location) / f"{'-'.join(key)}.lock"):
            return remembered(*call)
    return remembered(*call)


def _embed_all(
    encoder_hash: str,
    values_hash: str,
    encoder: Any,
    values: Any,
    expert: str,
    dataset: str,
) -> npt.NDArray[np.float32]:
    # The hashes are all that the memory knows a call by.
    return embed(encoder, values, expert, dataset)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes out; one that dies is out, too.

    An empty data base is a lock that works on every system.
    """
    database = sqlite3.connect(path, timeout=1e6, isolation_level=None)
    try:
        database.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        database.close()


class _Hasher(NumpyHasher):
    """Hashes an object as joblib does, and alike after a trip to another process.

    On the way arrays become contiguous or memory maps, and torch tensors get
    another pickle.
    """

    def __init__(self) -> None:
        super().__init__("md5", coerce_mmap=True)

    def save(self, obj: Any) -> None:
        if isinstance(obj, np.ndarray) and not obj.flags.forc:
            obj = np.ascontiguousarray(obj)
        elif hasattr(type(obj), "untyped_storage"):
            tensor = obj.detach().cpu()
            # NumPy has no bfloat16; what is smaller than a float32 fits into one.
            small = tensor.is_floating_point() and tensor.itemsize < 4
            obj = (str(tensor.dtype), (tensor.float() if small else tensor).numpy())
        super().save(obj)


def _hash(obj: Any) -> str:
    return str(_Hasher().hash(obj))
