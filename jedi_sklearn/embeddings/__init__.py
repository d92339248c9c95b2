"""Embeddings that frozen experts make once, kept on disk."""

# What is named twice is for the other rooms of the package, not for users.
from ._identity import UnidentifiedError
from ._identity import fingerprint as fingerprint
from ._identity import fingerprint_if_any as fingerprint_if_any
from ._identity import sample_ids as sample_ids
from ._manifests import DamagedError
from ._memory import as_store as as_store
from ._rows import StoredRows
from ._store import EmbeddingStore

__all__ = ["DamagedError", "EmbeddingStore", "StoredRows", "UnidentifiedError"]
