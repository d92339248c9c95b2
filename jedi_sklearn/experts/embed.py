"""What a fitted encoder makes of rows, checked."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer

from ..utils.errors import named_errors
from .expert import unwrapped

# Sums of squares have to be float32.
LARGEST = 1e18


class Embedding(Protocol):
    """Features of rows: an array, or rows of a store that are read when needed.

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

    Where the encoder selects a run of columns the embedding is a view of them.

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
        If the encoder cannot embed the rows, or the result has not one finite row
        of features for each.
    """
    rows = "its rows" if dataset is None else f"the rows of dataset {dataset!r}"
    with named_errors(f"Expert {expert!r} cannot embed {rows}"):
        n_rows = values.shape[0] if hasattr(values, "shape") else len(values)
        embedding = _selected(encoder, values)
        if embedding is None:
            embedding = encoder.transform(values)
        if hasattr(embedding, "toarray"):
            embedding = embedding.toarray()
        embedding = _as_numbers(embedding)
    if embedding.ndim != 2 or len(embedding) != n_rows or not embedding.shape[1]:
        raise ValueError(
            f"Expert {expert!r} returned an embedding of shape {embedding.shape} for "
            f"{rows}; it must be of shape ({n_rows}, n_features), with one feature or "
            "more."
        )
    _check_size(embedding, f"Expert {expert!r} returned", rows)
    return embedding


def _check_size(embedding: npt.NDArray[np.float32], what: str, rows: str) -> None:
    finite = np.isfinite(embedding).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{what} NaN or infinity for {rows} (first for row "
            f"{int(finite.argmin())}); embeddings must be finite."
        )
    if embedding.size and max(embedding.max(), -embedding.min()) > LARGEST:
        largest = np.abs(embedding).max(axis=1)
        raise ValueError(
            f"{what} {largest.max():g} for {rows} (row {int(largest.argmax())}); "
            f"features must be of size {LARGEST:g} at most, or their squares are "
            "infinite in float32."
        )


def _as_numbers(embedding: Any) -> npt.NDArray[np.float32]:
    given = np.asarray(embedding)
    # NumPy would make numbers of these, too.
    if given.dtype.kind in "cmM":
        raise TypeError(f"features must be real numbers, got {given.dtype}")
    with np.errstate(over="ignore"):  # what overflows is refused by the caller
        return given.astype(np.float32, copy=False)


def _selected(encoder: Any, values: Any) -> Any:
    """Return a view of the columns that an encoder selects, None where it does more.

    Scikit-learn's ColumnTransformer copies them, and precomputed embeddings may be most
    of what a machine can hold.
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
    is_run = isinstance(columns, slice) and columns.step in (None, 1)
    return values[:, columns] if transformer == "passthrough" and is_run else None


def check_width(expert: str, width: int, expected: int) -> None:
    """Raise ValueError for an embedding of another width than in training."""
    if width != expected:
        raise ValueError(
            f"Expert {expert!r} returned an embedding of {width} features; in training "
            f"it returned {expected}."
        )
