"""From the matrix of all rows to batches that need no masks, and their scores.

Rows lie sorted by dataset, and within a dataset the labelled ones come first.
A batch keeps that order, so that every set of rows that a term of the loss
speaks of (those of a dataset, the labelled ones among them) is a slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .._row_weights import RowWeights
from .matrix import IN_MEMORY_BYTES, StoredMatrix, source_of


class TrainingRows(NamedTuple):
    """All rows of a training, as NumPy arrays.

    Attributes
    ----------
    features : ndarray or StoredMatrix of shape (n_rows, n_features), float32
        Embeddings of all experts side by side; rows sorted by dataset, within a
        dataset the labelled ones first.
    widths : tuple of int
        Width of each expert's embedding.
    n_rows : tuple of int
        Number of rows of each dataset.
    labels : tuple of ndarray of shape (n_labelled,), int64
        For each dataset the class numbers of its labelled rows.
    weights : ndarray of shape (n_rows,), float32
        How much each row counts in all terms of the loss, 1 on average.
    class_weights : tuple of ndarray of shape (n_labelled,), float32
        For each dataset how much more its labelled rows count in the terms that
        see their labels.
    """

    features: npt.NDArray[np.float32] | StoredMatrix
    widths: tuple[int, ...]
    n_rows: tuple[int, ...]
    labels: tuple[npt.NDArray[np.int64], ...]
    weights: npt.NDArray[np.float32]
    class_weights: tuple[npt.NDArray[np.float32], ...]

    @property
    def starts(self) -> npt.NDArray[np.intp]:
        """Number of the first row of each dataset, and of the row after the last."""
        return np.concatenate([[0], np.cumsum(self.n_rows)])

    @property
    def sizes(self) -> list[float]:
        """Sum of the weights of each dataset's rows: their number, if all weigh 1."""
        return [
            float(self.weights[start : start + n].sum(dtype=np.float64))
            for start, n in zip(self.starts, self.n_rows, strict=False)
        ]


def stack_rows(
    embeddings: Sequence[Sequence[Any]],
    codes: Sequence[npt.NDArray[np.int64] | None],
    weights: Sequence[RowWeights] | None = None,
) -> TrainingRows:
    """Lay out the rows of all datasets for training.

    Parameters
    ----------
    embeddings : sequence, one a dataset, of sequences of ndarray or StoredRows
        The embedding of the dataset's rows by each expert, (n_rows, n_features).
        What lies in stores and is large is not read now.
    codes : sequence of ndarray of shape (n_rows,) or None
        Class numbers of each dataset's rows, negative where unlabelled; None for a
        dataset without labels.
    weights : sequence of RowWeights, one a dataset, optional
        By default every row counts alike.

    Returns
    -------
    TrainingRows
    """
    n_rows = [len(of_experts[0]) for of_experts in embeddings]
    if weights is None:
        weights = [RowWeights(np.ones(n), np.ones(n)) for n in n_rows]
    widths = [embedding.shape[1] for embedding in embeddings[0]]
    orders, labels, row_weights, class_weights = [], [], [], []
    for code, weight, n in zip(codes, weights, n_rows, strict=True):
        code = np.full(n, -1) if code is None else code
        order = np.argsort(code < 0, kind="stable")
        labelled = order[: np.count_nonzero(code >= 0)]
        orders.append(order)
        labels.append(code[labelled].astype(np.int64))
        row_weights.append(weight.rows[order])
        class_weights.append(weight.labels[labelled].astype(np.float32))
    relative = np.concatenate(row_weights, dtype=np.float64)
    return TrainingRows(
        _features(embeddings, orders),
        tuple(widths),
        tuple(n_rows),
        tuple(labels),
        # Their mean is 1, so that their unit does not matter.
        (relative / relative.mean()).astype(np.float32),
        tuple(class_weights),
    )


def _features(
    embeddings: Sequence[Sequence[Any]], orders: Sequence[npt.NDArray[np.intp]]
) -> npt.NDArray[np.float32] | StoredMatrix:
    """Return the matrix of all rows, those of each dataset in its order."""
    matrix = StoredMatrix(embeddings, orders)
    n_stored = sum(
        part.nbytes
        for of_experts in embeddings
        for part in of_experts
        if not isinstance(part, np.ndarray)
    )
    if n_stored > IN_MEMORY_BYTES:
        return matrix
    return matrix[:]


class Batch(NamedTuple):
    """Some rows, in the order of `TrainingRows`.

    Attributes
    ----------
    features : Tensor of shape (n_rows, n_features)
    rows : list of slice
        The rows of each dataset.
    labelled : list of slice
        The labelled rows of each dataset.
    labels : list of Tensor of shape (n_labelled,), int64
        The class numbers of these.
    weights : Tensor of shape (n_rows,)
        How much each row counts.
    label_weights : list of Tensor of shape (n_labelled,)
        How much each labelled row counts where its label is seen.
    """

    features: Tensor
    rows: list[slice]
    labelled: list[slice]
    labels: list[Tensor]
    weights: Tensor
    label_weights: list[Tensor]


class Scores(NamedTuple):
    """What the joint network says of a batch; one entry a student, in order.

    Attributes
    ----------
    students : list of Tensor
        Scores of shape (n_rows, n_classes) for all rows of the batch where the
        network distils, else (n_labelled, n_classes) for the labelled rows of the
        student's own dataset.
    teachers : list of Tensor of shape (n_labelled, n_classes)
        Scores for the labelled rows of the teacher's own dataset.
    targets : list of Tensor of shape (n_rows, n_classes), or None
        The teachers' scores for all rows, from which the students learn; None where
        the network does not distil.
    """

    students: list[Tensor]
    teachers: list[Tensor]
    targets: list[Tensor] | None


class Batches:
    """Iterates over all rows once, shuffled, a whole batch at a time.

    Parameters
    ----------
    rows : TrainingRows
    batch_size : int
    generator : torch.Generator
        Source of the shuffles, on the CPU.
    device : torch.device or str
        Where the rows are kept and the batches made.
    labelled_share : float, default=0.0
        Where fewer of all rows than this share have labels, every batch gets more
        labelled rows, drawn in turn, so many that on average they make up the share.
    """

    def __init__(
        self,
        rows: TrainingRows,
        batch_size: int,
        generator: torch.Generator,
        device: torch.device | str,
        labelled_share: float = 0.0,
    ) -> None:
        self.batch_size = batch_size
        self.generator = generator
        self.source = source_of(rows.features, device)
        self.n_rows = len(rows.features)
        self.weights = torch.from_numpy(rows.weights).to(device)
        self.labels = [torch.from_numpy(y).to(device) for y in rows.labels]
        self.class_weights = [
            torch.from_numpy(w).to(device) for w in rows.class_weights
        ]
        # Borders between the slices: start, end of the labelled rows, next start.
        starts = rows.starts
        ends_labelled = starts[:-1] + [len(y) for y in rows.labels]
        self._borders = np.append(
            np.column_stack([starts[:-1], ends_labelled]).ravel(), starts[-1]
        )
        self._labelled = torch.cat(
            [torch.arange(a, b) for a, b in zip(starts, ends_labelled, strict=False)]
        )
        self._share_added = _share_to_add(
            len(self._labelled) / self.n_rows, labelled_share
        )

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        # One batch ahead, so that it can be read while the one before is trained on.
        batches = self._chosen()
        chosen = next(batches)
        for following in batches:
            self.source.will_need(following)
            yield self.batch(chosen)
            chosen = following
        yield self.batch(chosen)

    def _chosen(self) -> Iterator[Tensor]:
        """Yield the row numbers of batch after batch."""
        order = torch.randperm(self.n_rows, generator=self.generator)
        more = self._more_labelled()
        for chosen in order.split(self.batch_size):
            n_added = round(self._share_added * len(chosen))
            added = [next(more) for _ in range(n_added)]
            yield torch.cat([chosen, chosen.new_tensor(added)])

    def _more_labelled(self) -> Iterator[int]:
        """Yield the labelled rows over and over, each time in another order."""
        while True:
            order = torch.randperm(len(self._labelled), generator=self.generator)
            yield from self._labelled[order].tolist()

    def batch(self, chosen: Tensor) -> Batch:
        """Return the batch of the chosen row numbers, whatever their order."""
        chosen = chosen.sort().values
        borders = np.searchsorted(chosen.numpy(), self._borders)
        starts, ends_labelled, ends = borders[:-1:2], borders[1::2], borders[2::2]
        labelled = [
            slice(int(a), int(b)) for a, b in zip(starts, ends_labelled, strict=True)
        ]
        there = chosen.to(self.weights.device)
        own = [
            there[part] - int(first)
            for part, first in zip(labelled, self._borders[::2], strict=False)
        ]
        weights = self.weights[there]
        return Batch(
            features=self.source.take(chosen),
            rows=[slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)],
            labelled=labelled,
            labels=[y[rows] for y, rows in zip(self.labels, own, strict=True)],
            weights=weights,
            label_weights=[
                weights[part] * of_class[rows]
                for part, of_class, rows in zip(
                    labelled, self.class_weights, own, strict=True
                )
            ],
        )


def _share_to_add(labelled: float, wanted: float) -> float:
    """Return how many labelled rows to add for each row of a batch.

    Parameters
    ----------
    labelled : float
        Share of the labelled rows among all.
    wanted : float
        The least that their share in a batch is to be on average, below 1.

    Examples
    --------
    >>> _share_to_add(labelled=0.2, wanted=0.5)
    0.6
    """
    return round(max(0.0, (wanted - labelled) / (1.0 - wanted)), 12)
