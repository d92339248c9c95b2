"""Embeddings that frozen experts make once, kept on disk."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ._identity import (
    UnidentifiedError,
    fingerprint,
    fingerprint_if_any,
    sample_ids,
)
from ._manifests import DamagedError
from ._memory import as_store
from ._rows import StoredRows
from ._store import EmbeddingStore

# What an expert makes of rows, of shape (n_rows, n_features): in memory, or not yet.
Embedding: TypeAlias = npt.NDArray[np.float32] | StoredRows

__all__ = [
    "DamagedError",
    "Embedding",
    "EmbeddingStore",
    "StoredRows",
    "UnidentifiedError",
    "as_store",
    "fingerprint",
    "fingerprint_if_any",
    "sample_ids",
]
