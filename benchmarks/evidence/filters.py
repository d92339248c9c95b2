"""Encoders that learn nothing: gradient histograms and random convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

Images = npt.NDArray[np.floating]
Features = npt.NDArray[np.float32]

CHUNK = 256  # rows at once, so that the windows of an image stay in tens of MB


class GradientHistograms(TransformerMixin, BaseEstimator):
    """Histograms of gradient directions in square cells.

    Parameters
    ----------
    cell : int, default=7
        Side of a cell in pixels.
    n_directions : int, default=8
        Bins of a half turn.
    """

    def __init__(self, cell: int = 7, n_directions: int = 8) -> None:
        self.cell = cell
        self.n_directions = n_directions

    def fit(self, X: Images, y: Any = None) -> Self:
        """Note the shape of the images; there is nothing to learn."""
        self.shape_ = X.shape[1:]
        return self

    def transform(self, X: Images) -> Features:
        """Return the histograms of each image as one row of unit length."""
        across, down = np.gradient(np.asarray(X, dtype=np.float64), axis=(1, 2))
        strength = np.hypot(across, down)
        # A line and its negative have one direction.
        place = np.arctan2(across, down) % np.pi / np.pi * self.n_directions
        low = np.floor(place).astype(int)
        parts = []
        for direction in range(self.n_directions):
            # A direction between two bins counts in both, by its nearness.
            weight = (low % self.n_directions == direction) * (1 - place + low)
            weight += ((low + 1) % self.n_directions == direction) * (place - low)
            parts.append(self._cells(strength * weight))
        histograms = np.stack(parts, axis=-1).reshape(len(X), -1)
        length = np.linalg.norm(histograms, axis=1, keepdims=True)
        return (histograms / np.maximum(length, 1e-9)).astype(np.float32)

    def _cells(self, values: npt.NDArray) -> npt.NDArray:
        n, height, width = values.shape
        cell = self.cell
        parts = values.reshape(n, height // cell, cell, width // cell, cell)
        return parts.sum(axis=(2, 4)).reshape(n, -1)


class RandomConvolutions(TransformerMixin, BaseEstimator):
    """Random filters, rectified, and the mean over each of a few large cells.

    Parameters
    ----------
    n_filters : int, default=32
    size : int, default=7
        Side of a filter in pixels.
    n_cells : int, default=2
        Cells along a side.
    random_state : int, default=0
    """

    def __init__(
        self,
        n_filters: int = 32,
        size: int = 7,
        n_cells: int = 2,
        random_state: int = 0,
    ) -> None:
        self.n_filters = n_filters
        self.size = size
        self.n_cells = n_cells
        self.random_state = random_state

    def fit(self, X: Images, y: Any = None) -> Self:
        """Draw the filters, which see contrasts alone: their weights sum to zero."""
        rng = np.random.default_rng(self.random_state)
        filters = rng.normal(size=(self.size**2, self.n_filters))
        filters -= filters.mean(axis=0)
        filters /= np.linalg.norm(filters, axis=0)
        self.filters_ = filters.astype(np.float32)
        return self

    def transform(self, X: Images) -> Features:
        """Return the pooled answers of all filters to each image."""
        return np.concatenate([self._answers(part) for part in chunks(X)])

    def _answers(self, X: Images) -> Features:
        shape = (self.size, self.size)
        windows = np.lib.stride_tricks.sliding_window_view(X, shape, axis=(1, 2))
        windows = windows.reshape(*windows.shape[:3], -1).astype(np.float32)
        answers = np.maximum(windows @ self.filters_, 0)
        rows = np.array_split(answers, self.n_cells, axis=1)
        cells = [c for r in rows for c in np.array_split(r, self.n_cells, axis=2)]
        return np.concatenate([c.mean(axis=(1, 2)) for c in cells], axis=1)


def chunks(X: Images) -> Iterator[Images]:
    """Yield the rows in parts of at most CHUNK, one empty part where there are none."""
    for start in range(0, max(len(X), 1), CHUNK):
        yield X[start : start + CHUNK]
