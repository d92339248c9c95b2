"""The features of all rows: in the memory of a device, or read batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Rows = npt.NDArray[np.intp]
Features = npt.NDArray[np.float32]

# Features are copied into one matrix up to this size; of larger ones, which lie in
# stores or in arrays of their own, rows are read when they are needed.
IN_MEMORY_BYTES = 2**26
# Share of the free memory of a GPU that features may take.
ROOM = 0.75


class LazyFeatures:
    """The matrix of all rows, whose parts lie elsewhere and are read when needed.

    Parameters
    ----------
    parts : sequence, one a dataset, of sequences of ndarray or StoredRows
        The embedding of the dataset's rows by each expert, (n_rows, n_features).
    orders : sequence of ndarray of int of shape (n_rows,)
        For each dataset, which of its rows stands where.
    change : callable, optional
        What is done to rows when they are read, (n_rows, n_features) to the same.

    Attributes
    ----------
    shape : tuple of int
        Number of rows of all datasets, and of features of all experts.
    """

    def __init__(
        self,
        parts: Sequence[Sequence[Any]],
        orders: Sequence[Rows],
        change: Callable[[Features], Features] | None = None,
    ) -> None:
        self._parts = parts
        self._orders = orders
        self._change = change
        self._starts = np.cumsum([0, *map(len, orders)])
        self._columns = np.cumsum([0, *(part.shape[1] for part in parts[0])])
        self.shape = (int(self._starts[-1]), int(self._columns[-1]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, run: slice) -> Features:
        return self.take(np.arange(len(self))[run])

    def changed(self, change: Callable[[Features], Features]) -> Self:
        """Return the matrix with something done to rows when they are read."""
        return type(self)(self._parts, self._orders, change)

    def take(self, rows: Rows) -> Features:
        """Read rows.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            In ascending order.

        Returns
        -------
        features : ndarray of shape (n_rows, n_features), float32
        """
        taken = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        for places, part, in_part in self._of_datasets(rows):
            for (first, last), embedding in zip(
                pairwise(self._columns), part, strict=True
            ):
                columns = taken[places, first:last]
                if isinstance(embedding, np.ndarray):
                    _gather(embedding, in_part, columns)
                else:
                    embedding.take(in_part, out=columns)
        return taken if self._change is None else self._change(taken)

    def will_need(self, rows: Rows) -> None:
        """Have rows read while something else is done.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            In ascending order.
        """
        for _, part, in_part in self._of_datasets(rows):
            for embedding in part:
                if not isinstance(embedding, np.ndarray):
                    embedding.will_need(in_part)

    def _of_datasets(self, rows: Rows) -> Iterator[tuple[slice, Sequence[Any], Rows]]:
        """Yield the places of each dataset's rows, its part, and the rows in that."""
        borders = np.searchsorted(rows, self._starts)
        for number, (first, last) in enumerate(pairwise(borders)):
            if first < last:
                in_part = self._orders[number][rows[first:last] - self._starts[number]]
                yield slice(first, last), self._parts[number], in_part


def _gather(embedding: Features, rows: Rows, out: Features) -> None:
    """Copy rows of an array into part of another."""
    is_tensor = embedding.flags.writeable and all(
        stride >= 0 and stride % embedding.itemsize == 0 for stride in embedding.strides
    )
    if not is_tensor:
        out[:] = embedding[rows]
        return
    # By torch where it can be, in a third of NumPy's time, or less with more threads.
    torch.index_select(
        torch.from_numpy(embedding),
        0,
        torch.from_numpy(rows),
        out=torch.from_numpy(out),
    )


class Source(Protocol):
    """Gives the features of a batch, on the device.

    Attributes
    ----------
    stays : bool
        Whether all features are there.
    """

    stays: bool

    def take(self, rows: Tensor, there: Tensor) -> Tensor:
        """Return rows by their numbers in ascending order, here and on the device."""

    def will_need(self, rows: Tensor) -> None:
        """Hear which rows will be asked for next, in any order."""


class ResidentFeatures:
    """All features, in the memory of a device.

    Parameters
    ----------
    features : ndarray or LazyFeatures of shape (n_rows, n_features), float32
    device : torch.device or str
    dtype : torch.dtype
        In which they are kept there.
    """

    stays = True

    def __init__(
        self,
        features: Features | LazyFeatures,
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> None:
        self._features = torch.empty(features.shape, dtype=dtype, device=device)
        at_once = max(1, IN_MEMORY_BYTES // (4 * features.shape[1]))
        for start in range(0, len(features), at_once):
            run = slice(start, start + at_once)
            self._features[run] = torch.from_numpy(features[run])

    def take(self, rows: Tensor, there: Tensor) -> Tensor:
        return self._features.index_select(0, there)

    def will_need(self, rows: Tensor) -> None:
        pass  # They are here.


class StreamedFeatures:
    """Features that are read for each batch.

    Parameters
    ----------
    matrix : LazyFeatures
    device : torch.device or str
    dtype : torch.dtype
        Of what is given.
    """

    stays = False

    def __init__(
        self, matrix: LazyFeatures, device: torch.device | str, dtype: torch.dtype
    ) -> None:
        self._matrix = matrix
        self._device = device
        self._dtype = dtype

    def take(self, rows: Tensor, there: Tensor) -> Tensor:
        taken = torch.from_numpy(self._matrix.take(rows.numpy()))
        return to_device(taken.to(self._dtype), self._device)

    def will_need(self, rows: Tensor) -> None:
        self._matrix.will_need(rows.sort().values.numpy())


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on a device, copied while that is still at something else."""
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def source_of(
    features: Features | LazyFeatures, device: torch.device | str, dtype: torch.dtype
) -> Source:
    """Return what gives the features of batches on a device."""
    n_bytes = features.shape[0] * features.shape[1] * dtype.itemsize
    if isinstance(features, LazyFeatures) and n_bytes > _room_on(device):
        return StreamedFeatures(features, device, dtype)
    return ResidentFeatures(features, device, dtype)


def _room_on(device: torch.device | str) -> float:
    """Return how many bytes of features a device may hold besides its work."""
    if torch.device(device).type != "cuda":
        return 0.0  # Larger ones than those of `IN_MEMORY_BYTES` stay where they are.
    free, _ = torch.cuda.mem_get_info(device)
    return ROOM * free
