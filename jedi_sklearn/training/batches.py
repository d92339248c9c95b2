"""From the matrix of all rows to batches that need no masks, and their scores.

Rows lie sorted by dataset, and within a dataset the labelled ones come first.
A batch keeps that order, so that every set of rows that a term of the loss
speaks of (those of a dataset, the labelled ones among them) is a slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class TrainingRows(NamedTuple):
    """All rows of a training, as NumPy arrays.

    Attributes
    ----------
    features : ndarray of shape (n_rows, n_features), float32
        Embeddings of all experts side by side; rows sorted by dataset, within a
        dataset the labelled ones first.
    widths : tuple of int
        Width of each expert's embedding.
    n_rows : tuple of int
        Number of rows of each dataset.
    labels : tuple of ndarray of shape (n_labelled,), int64
        For each dataset the class numbers of its labelled rows.
    """

    features: npt.NDArray[np.float32]
    widths: tuple[int, ...]
    n_rows: tuple[int, ...]
    labels: tuple[npt.NDArray[np.int64], ...]


def stack_rows(
    embeddings: Sequence[Sequence[npt.NDArray[np.float32]]],
    codes: Sequence[npt.NDArray[np.int64] | None],
) -> TrainingRows:
    """Lay out the rows of all datasets for training.

    Parameters
    ----------
    embeddings : sequence, one a dataset, of sequences of ndarray
        The embedding of the dataset's rows by each expert, (n_rows, n_features).
    codes : sequence of ndarray of shape (n_rows,) or None
        Class numbers of each dataset's rows, negative where unlabelled; None for a
        dataset without labels.

    Returns
    -------
    TrainingRows
    """
    n_rows = [len(of_experts[0]) for of_experts in embeddings]
    widths = [embedding.shape[1] for embedding in embeddings[0]]
    features = np.empty((sum(n_rows), sum(widths)), dtype=np.float32)
    labels = []
    start = 0
    for of_experts, code, n in zip(embeddings, codes, n_rows, strict=True):
        unlabelled = np.ones(n, dtype=bool) if code is None else code < 0
        order = np.argsort(unlabelled, kind="stable")
        np.concatenate(of_experts, axis=1, out=features[start : start + n])
        if unlabelled.any() and not unlabelled.all():
            features[start : start + n] = features[start : start + n][order]
        known = [] if code is None else code[~unlabelled]
        labels.append(np.asarray(known, dtype=np.int64))
        start += n
    return TrainingRows(features, tuple(widths), tuple(n_rows), tuple(labels))


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
    """

    features: Tensor
    rows: list[slice]
    labelled: list[slice]
    labels: list[Tensor]


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
        The teachers' scores for all rows, without dropout and without gradient;
        None where the network does not distil.
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
    """

    def __init__(
        self,
        rows: TrainingRows,
        batch_size: int,
        generator: torch.Generator,
        device: torch.device | str,
    ) -> None:
        self.batch_size = batch_size
        self.generator = generator
        self.features = torch.from_numpy(rows.features).to(device)
        self.labels = [torch.from_numpy(y).to(device) for y in rows.labels]
        # Borders between the slices: start, end of the labelled rows, next start.
        starts = np.concatenate([[0], np.cumsum(rows.n_rows)])
        ends_labelled = starts[:-1] + [len(y) for y in rows.labels]
        self._borders = np.append(
            np.column_stack([starts[:-1], ends_labelled]).ravel(), starts[-1]
        )

    def __len__(self) -> int:
        return -(-len(self.features) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.features), generator=self.generator)
        for chosen in order.split(self.batch_size):
            yield self.batch(chosen)

    def batch(self, chosen: Tensor) -> Batch:
        """Return the batch of the chosen row numbers, whatever their order."""
        chosen = chosen.sort().values
        borders = np.searchsorted(chosen.numpy(), self._borders)
        starts, ends_labelled, ends = borders[:-1:2], borders[1::2], borders[2::2]
        labels = [
            y[(chosen[start:end] - first).to(y.device)]
            for y, first, start, end in zip(
                self.labels, self._borders[::2], starts, ends_labelled, strict=False
            )
        ]
        return Batch(
            features=self.features.index_select(0, chosen.to(self.features.device)),
            rows=[slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)],
            labelled=[
                slice(int(a), int(b))
                for a, b in zip(starts, ends_labelled, strict=True)
            ],
            labels=labels,
        )
