"""Read the parameter ``memory`` in all its forms."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from joblib import Memory

from ..utils.accepted import invalid
from ._store import EmbeddingStore


def as_store(memory: Any) -> EmbeddingStore | None:
    """Return the store of a ``memory``.

    Parameters
    ----------
    memory : EmbeddingStore, str, Path, joblib.Memory or None
        The store of a joblib.Memory lies in its directory and is cleared with it.

    Raises
    ------
    ValueError
        If it is something else, or no store can be made there.
    """
    if memory is None or isinstance(memory, EmbeddingStore):
        return memory
    if isinstance(memory, str | PathLike):
        return EmbeddingStore(memory)
    if isinstance(memory, Memory):
        if memory.location is None:
            return None
        return EmbeddingStore(Path(memory.store_backend.location) / "embeddings")
    accepted = "paths, instances of EmbeddingStore and joblib.Memory, and None"
    raise invalid("memory", memory, accepted)
