"""Embeddings by frozen experts, made once and kept on disk."""

from ._fingerprints import UnidentifiedError
from ._manifests import DamagedError
from ._store import EmbeddingStore
from ._stored_rows import StoredRows

__all__ = ["DamagedError", "EmbeddingStore", "StoredRows", "UnidentifiedError"]
