"""From the rows to batches that need no masks, and what a network says of them.

A batch keeps the order of the rows, by dataset and with the labelled ones first, so
that every set of rows that a term of the loss speaks of (those of a dataset, the
labelled ones among them) is a slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..distributed import n_processes, rank
from .batch import Batch, Epoch
from .features import source_of
from .rows import TrainingRows


class Batches:
    """Iterates over all rows once, shuffled, a whole batch at a time.

    All batches have the same number of rows, or one less, and in each are as many of
    a dataset's labelled and of its unlabelled rows as is their share, up to rounding.

    Parameters
    ----------
    rows : TrainingRows
    batch_size : int
        The most rows of a batch, but for labelled ones that are added.
    generator : torch.Generator
        Source of the shuffles, on the CPU.
    device : torch.device or str
        Where the rows are kept and the batches made.
    labelled_share : float, default=0.0
        Where fewer of all rows than this share have labels, every batch gets more
        labelled rows, each in turn, so many that on average they make up the share.
    dtype : torch.dtype
        Of the features.
    """

    def __init__(
        self,
        rows: TrainingRows,
        batch_size: int,
        generator: torch.Generator,
        device: torch.device | str,
        labelled_share: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.batch_size = batch_size
        self.generator = generator
        self.source = source_of(rows.features, device, dtype)
        self.n_rows = len(rows.features)
        self.strata = rows.strata
        self._starts = np.cumsum([0, *self.strata])
        self.drawn = _drawn_in_an_epoch(self.strata, labelled_share)
        labels, label_weights = rows.of_labels
        datasets = np.repeat(np.arange(len(rows.n_rows)), rows.n_rows)
        self._weights = np.stack([rows.weights, label_weights])
        self._weights_there = torch.from_numpy(self._weights).to(device)
        self._numbers_there = torch.from_numpy(np.stack([labels, datasets])).to(device)

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches(self.epoch())

    def batches(self, epoch: Epoch, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, or those from a number on."""
        n, here = n_processes(), rank()
        following = [*epoch.chosen[1:], None]
        for chosen, after, borders in islice(
            zip(epoch.chosen, following, epoch.borders, strict=True), first, None
        ):
            # One batch ahead, so that it can be read while this one is trained on.
            if after is not None:
                self.source.will_need(after[here::n])
            # Of every stratum each process has its share, up to rounding.
            own = [-(-(border - here) // n) for border in borders]
            yield self._batch(chosen[here::n], own)._replace(size=len(chosen))

    def padded(self, epoch: Epoch) -> tuple[Tensor, Tensor]:
        """Return the batches of an epoch as matrices, of one shape in every epoch.

        Returns
        -------
        rows : Tensor of shape (n_batches, n_columns), int64
            Row numbers; each stratum has the same columns in all batches.
        real : Tensor of the same shape, float32
            0 where a row is padding that is not to count, else 1.
        """
        borders = np.array(epoch.borders)
        counts = np.diff(borders, axis=1).ravel()
        strata = np.repeat(np.tile(np.arange(len(self.strata)), len(borders)), counts)
        batch = np.repeat(np.arange(len(borders)), borders[:, -1])
        places = np.concatenate([np.arange(len(chosen)) for chosen in epoch.chosen])
        columns = np.array(self._columns)[strata] + places - borders[batch, strata]
        lengths = np.diff(self._columns)
        # Of each stratum the first row: which does not matter.
        firsts = np.repeat(self._starts[:-1], lengths)
        rows = torch.from_numpy(np.tile(firsts, (len(borders), 1)))
        real = torch.zeros(rows.shape, dtype=torch.float32)
        rows[batch, columns] = torch.cat(epoch.chosen)
        real[batch, columns] = 1.0
        return rows, real

    @property
    def n_columns(self) -> int:
        """Number of rows of a padded batch."""
        return self._columns[-1]

    @property
    def _columns(self) -> list[int]:
        """Where the strata begin in a padded batch, and where the last ends."""
        # In as much of the epoch as has the rows of a batch and one of each stratum.
        n_rows = sum(self.drawn)
        share = (-(-n_rows // len(self)) + len(self.strata)) / n_rows
        most = [min(n, int(n * share) + 2) for n in self.drawn]
        return np.cumsum([0, *most]).tolist()

    def of_padded(self, rows: Tensor, real: Tensor) -> Batch:
        """Return a batch of a row of each of the two matrices, on the device."""
        batch = self._of_rows(rows, rows, self._columns)
        return batch._replace(
            weights=batch.weights * real,
            label_weights=[
                weights * real[part]
                for weights, part in zip(
                    batch.label_weights, batch.labelled, strict=True
                )
            ],
            size=real.sum(),
        )

    def epoch(self) -> Epoch:
        """Shuffle the rows, and deal them out to batches."""
        drawn_from = self.generator.get_state()
        # By NumPy, of which a call takes a third of the time where there are few rows.
        rows = [
            start + self._in_turn(n_rows, n_drawn)
            for start, n_rows, n_drawn in zip(
                self._starts, self.strata, self.drawn, strict=False
            )
        ]
        # Those of each stratum evenly over the epoch, from a random point on.
        offsets = torch.rand(
            len(rows), generator=self.generator, dtype=torch.float64
        ).numpy()
        places = [
            (np.arange(len(part)) + offset) / max(1, len(part))
            for part, offset in zip(rows, offsets, strict=True)
        ]
        in_order = np.concatenate(rows)[np.concatenate(places).argsort()]
        chosen = [np.sort(part) for part in np.array_split(in_order, len(self))]
        weights, label_weights = self._weights
        return Epoch(
            [torch.from_numpy(part) for part in chosen],
            [np.searchsorted(part, self._starts).tolist() for part in chosen],
            len(in_order),
            float(weights[in_order].sum(dtype=np.float64)),
            [float(label_weights[own].sum(dtype=np.float64)) for own in rows[::2]],
            drawn_from,
        )

    def _in_turn(self, n_rows: int, n_drawn: int) -> npt.NDArray[np.int64]:
        """Return so many numbers of rows, each once before one comes again."""
        turns = [
            torch.randperm(n_rows, generator=self.generator).numpy()
            for _ in range(0, n_drawn, max(1, n_rows))
        ]
        if len(turns) == 1:
            return turns[0]
        return np.concatenate([*turns, np.empty(0, np.int64)])[:n_drawn]

    def batch(self, chosen: Tensor) -> Batch:
        """Return the batch of the chosen row numbers, whatever their order."""
        chosen = chosen.sort().values
        borders = np.searchsorted(chosen.numpy(), self._starts)
        return self._batch(chosen, borders.tolist())

    def _batch(self, chosen: Tensor, borders: list[int]) -> Batch:
        there = chosen.to(self._weights_there.device, non_blocking=True)
        return self._of_rows(chosen, there, borders)

    def _of_rows(self, chosen: Tensor, there: Tensor, borders: list[int]) -> Batch:
        starts, ends_labelled, ends = borders[:-1:2], borders[1::2], borders[2::2]
        labelled = list(map(slice, starts, ends_labelled))
        labels, datasets = self._numbers_there.index_select(1, there)
        weights, label_weights = self._weights_there.index_select(1, there)
        return Batch(
            features=self.source.take(chosen, there),
            datasets=datasets,
            rows=list(map(slice, starts, ends)),
            labelled=labelled,
            labels=[labels[part] for part in labelled],
            weights=weights,
            label_weights=[label_weights[part] for part in labelled],
            size=len(chosen),
        )


def _drawn_in_an_epoch(strata: Sequence[int], labelled_share: float) -> list[int]:
    """Return how many rows of each stratum an epoch takes.

    Parameters
    ----------
    strata : sequence of int
        See `TrainingRows`; every other one is labelled.
    labelled_share : float
    """
    n_labelled = sum(strata[::2])
    if not n_labelled:
        return list(strata)
    more = _share_to_add(n_labelled / sum(strata), labelled_share) * sum(strata)
    labelled = [n + round(more * n / n_labelled) for n in strata[::2]]
    return [n for both in zip(labelled, strata[1::2], strict=True) for n in both]


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
