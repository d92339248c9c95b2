"""Run fitted encoders on rows and check the embeddings."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer

from ..utils.errors import named_errors
from .expert import unwrapped

# Squared sums must not overflow float32.
MAX_FEATURE = 1e18


class Embedding(Protocol):
    """Features of rows: an array, or rows of a store that are read on demand.

    Attributes
    ----------
    shape : tuple of int
        (n_rows, n_features).
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of rows and of features."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Any: ...


def embed(
    encoder: Any, values: Any, expert: str, dataset: str | None = None
) -> npt.NDArray[np.float32]:
    """Return the embedding of rows as a float32 array.

    The embedding is a view of the rows where the encoder selects a slice of columns.

    Parameters
    ----------
    encoder : transformer
    values : row-indexable of shape (n_rows, ...)
    expert, dataset : str
        Names for messages.

    Returns
    -------
    embedding : ndarray of shape (n_rows, n_features), float32

    Raises
    ------
    ValueError
        If the encoder fails, or the embedding is not one finite row of features for
        each row.
    """
    rows = "its rows" if dataset is None else f"the rows of dataset {dataset!r}"
    with named_errors(f"Expert {expert!r} cannot embed {rows}"):
        n_rows = values.shape[0] if hasattr(values, "shape") else len(values)
        embedding = _selected_columns(encoder, values)
        if embedding is None:
            embedding = encoder.transform(values)
        if hasattr(embedding, "toarray"):
            embedding = embedding.toarray()
        embedding = np.asarray(embedding)
        # NumPy would cast complex numbers and dates to float32 as well.
        if embedding.dtype.kind in "cmM":
            raise TypeError(f"features must be real numbers, got {embedding.dtype}")
        with np.errstate(over="ignore"):  # infinity is refused below
            embedding = embedding.astype(np.float32, copy=False)
    if embedding.ndim != 2 or len(embedding) != n_rows or not embedding.shape[1]:
        raise ValueError(
            f"Expert {expert!r} returned an embedding of shape {embedding.shape} for "
            f"{rows}; it must be of shape ({n_rows}, n_features), with one feature or "
            "more."
        )
    finite = np.isfinite(embedding).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"Expert {expert!r} returned NaN or infinity for {rows} (first for row "
            f"{int(finite.argmin())}); embeddings must be finite."
        )
    if embedding.size and max(embedding.max(), -embedding.min()) > MAX_FEATURE:
        largest = np.abs(embedding).max(axis=1)
        raise ValueError(
            f"Expert {expert!r} returned {largest.max():g} for {rows} (row "
            f"{int(largest.argmax())}); features must be of size {MAX_FEATURE:g} at "
            "most, or their squares are infinite in float32."
        )
    return embedding


def _selected_columns(encoder: Any, values: Any) -> Any:
    """Return a view of the columns if an encoder does nothing but slice, else None.

    ColumnTransformer itself would copy them, and precomputed embeddings may fill most
    of the memory.
    """
    encoder = unwrapped(encoder)
    if (
        type(encoder) is not ColumnTransformer
        or not isinstance(values, np.ndarray)
        or values.shape[1:] != (getattr(encoder, "n_features_in_", None),)
        or hasattr(encoder, "feature_names_in_")
        or encoder.transformer_weights
        or encoder.remainder != "drop"
        or len(encoder.transformers) != 1
    ):
        return None
    _, transformer, columns = encoder.transformers[0]
    is_slice = isinstance(columns, slice) and columns.step in (None, 1)
    return values[:, columns] if transformer == "passthrough" and is_slice else None


def check_width(expert: str, width: int, expected: int) -> None:
    """Raise ValueError if an embedding has another width than in training."""
    if width != expected:
        raise ValueError(
            f"Expert {expert!r} returned an embedding of {width} features; in training "
            f"it returned {expected}."
        )
