"""Features of all rows: in the memory of a device, or read batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

RowNumbers = npt.NDArray[np.intp]
FeatureArray = npt.NDArray[np.float32]

# Features up to this size are copied into one matrix. Larger ones stay in their stores
# or arrays, and rows are read when they are needed.
IN_MEMORY_BYTES = 2**26
# Share of the free memory of a GPU that features may take.
ROOM = 0.75


class LazyFeatures:
    """Matrix of all rows, whose parts lie elsewhere and are read when needed.

    Parameters
    ----------
    parts : sequence, one a dataset, of sequences of ndarray or StoredRows
        The embedding of the dataset's rows by each expert, (n_rows, n_features).
    orders : sequence of ndarray of int of shape (n_rows,)
        For each dataset the numbers of its rows, in the order of the matrix.
    change : callable, optional
        Function to apply to rows when they are read, (n_rows, n_features) to the same.

    Attributes
    ----------
    shape : tuple of int
        Number of rows of all datasets, and of features of all experts.
    """

    def __init__(
        self,
        parts: Sequence[Sequence[Any]],
        orders: Sequence[RowNumbers],
        change: Callable[[FeatureArray], FeatureArray] | None = None,
    ) -> None:
        self._parts = parts
        self._orders = orders
        self._change = change
        self._starts = np.cumsum([0, *map(len, orders)])
        self._columns = np.cumsum([0, *(part.shape[1] for part in parts[0])])
        self.shape = (int(self._starts[-1]), int(self._columns[-1]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, run: slice) -> FeatureArray:
        return self.take(np.arange(len(self))[run])

    def changed(self, change: Callable[[FeatureArray], FeatureArray]) -> Self:
        """Return the matrix with a function applied to rows when they are read."""
        return type(self)(self._parts, self._orders, change)

    def take(self, rows: RowNumbers) -> FeatureArray:
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
                columns = taken[places, first:last]  # a view: rows are copied once
                if isinstance(embedding, np.ndarray):
                    _gather(embedding, in_part, columns)
                else:
                    embedding.take(in_part, out=columns)
        return taken if self._change is None else self._change(taken)

    def will_need(self, rows: RowNumbers) -> None:
        """Start to read rows in the background.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            In ascending order.
        """
        for _, part, in_part in self._of_datasets(rows):
            for embedding in part:
                if not isinstance(embedding, np.ndarray):
                    embedding.will_need(in_part)

    def _of_datasets(
        self, rows: RowNumbers
    ) -> Iterator[tuple[slice, Sequence[Any], RowNumbers]]:
        """Yield each dataset's slice of `rows`, its embeddings, and its own numbers."""
        # In ascending order, the rows of a dataset are a slice of `rows`.
        borders = np.searchsorted(rows, self._starts)
        for number, (first, last) in enumerate(pairwise(borders)):
            if first < last:
                in_part = self._orders[number][rows[first:last] - self._starts[number]]
                yield slice(first, last), self._parts[number], in_part


Features = FeatureArray | LazyFeatures


def _gather(embedding: FeatureArray, rows: RowNumbers, out: FeatureArray) -> None:
    """Copy rows of an array into part of another."""
    is_tensor = embedding.flags.writeable and all(
        stride >= 0 and stride % embedding.itemsize == 0 for stride in embedding.strides
    )
    if not is_tensor:  # read-only, reversed or a field of records
        out[:] = embedding[rows]
        return
    # Torch takes a third of NumPy's time, or less with more threads.
    torch.index_select(
        torch.from_numpy(embedding),
        0,
        torch.from_numpy(rows),
        out=torch.from_numpy(out),
    )


class Source(Protocol):
    """Source of the features of batches on a device.

    Attributes
    ----------
    stays : bool
        Whether all features are in the memory of the device.
    """

    stays: bool

    def take(self, rows: Tensor, on_device: Tensor) -> Tensor:
        """Return rows in ascending order.

        Their numbers are given twice, on the CPU and on the device, so that neither
        kind of source copies them in the middle of a step.
        """

    def will_need(self, rows: Tensor) -> None:
        """Prepare for the rows of the next `take`, given in any order."""


class ResidentFeatures:
    """All features in the memory of a device, so that a batch is one kernel there.

    Parameters
    ----------
    features : ndarray or LazyFeatures of shape (n_rows, n_features), float32
    device : torch.device or str
    dtype : torch.dtype
        Dtype in which they are kept.
    """

    stays = True

    def __init__(
        self,
        features: Features,
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> None:
        self._features = torch.empty(features.shape, dtype=dtype, device=device)
        # A part at a time: lazy features need not fit into the memory of the CPU.
        at_once = max(1, IN_MEMORY_BYTES // (4 * features.shape[1]))
        for start in range(0, len(features), at_once):
            run = slice(start, start + at_once)
            self._features[run] = torch.from_numpy(features[run])

    def take(self, rows: Tensor, on_device: Tensor) -> Tensor:
        return self._features.index_select(0, on_device)

    def will_need(self, rows: Tensor) -> None:
        pass  # all rows are here


class StreamedFeatures:
    """Features that are read batch by batch.

    Parameters
    ----------
    matrix : LazyFeatures
    device : torch.device or str
    dtype : torch.dtype
        Dtype of the batches.
    """

    stays = False

    def __init__(
        self, matrix: LazyFeatures, device: torch.device | str, dtype: torch.dtype
    ) -> None:
        self._matrix = matrix
        self._device = device
        self._dtype = dtype

    def take(self, rows: Tensor, on_device: Tensor) -> Tensor:
        taken = torch.from_numpy(self._matrix.take(rows.numpy()))
        return to_device(taken.to(self._dtype), self._device)

    def will_need(self, rows: Tensor) -> None:
        self._matrix.will_need(rows.sort().values.numpy())


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Copy a tensor to a device, which goes on with its work meanwhile."""
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()  # only pinned memory is copied asynchronously
    return tensor.to(device, non_blocking=True)


def source_of(
    features: Features, device: torch.device | str, dtype: torch.dtype
) -> Source:
    """Return a source of batches: resident where there is room, else streamed."""
    if isinstance(features, LazyFeatures):
        room = 0.0  # larger than IN_MEMORY_BYTES, they are not copied on a CPU
        if torch.device(device).type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            room = ROOM * free
        if features.shape[0] * features.shape[1] * dtype.itemsize > room:
            return StreamedFeatures(features, device, dtype)
    return ResidentFeatures(features, device, dtype)
