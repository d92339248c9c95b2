"""Embeddings by frozen experts, made once and kept on disk."""

# Names that are imported as themselves are for other rooms, not for users.
from ._as_store import as_store as as_store
from ._fingerprints import UnidentifiedError
from ._fingerprints import fingerprint as fingerprint
from ._fingerprints import fingerprint_if_any as fingerprint_if_any
from ._fingerprints import sample_ids as sample_ids
from ._manifests import DamagedError
from ._store import EmbeddingStore
from ._stored_rows import StoredRows

__all__ = ["DamagedError", "EmbeddingStore", "StoredRows", "UnidentifiedError"]
