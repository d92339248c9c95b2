"""Shuffled batches of the training rows.

A batch keeps the order of the rows: by dataset, and with the labelled ones first. The
labelled rows of a dataset are one stratum and its unlabelled rows the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ..distributed import n_processes, rank
from .batch import Batch, Epoch
from .features import source_of
from .rows import TrainingRows


class Batches:
    """Iterates over all rows once, shuffled, a whole batch at a time.

    All batches have the same number of rows, or one less, and each stratum has its
    share of every batch, up to rounding.

    Parameters
    ----------
    rows : TrainingRows
    batch_size : int
        Largest number of rows in a batch, labelled ones that are added not counted.
    generator : torch.Generator
        Source of the shuffles, on the CPU.
    device : torch.device or str
        Device of the batches.
    labelled_share : float, default=0.0
        Least share of labelled rows. If fewer rows have labels, labelled rows are
        added to every batch, each in turn, until on average they make up this share.
    dtype : torch.dtype
        Dtype of the features.
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
        self.drawn = _rows_in_an_epoch(self.strata, labelled_share)
        labels, label_weights = rows.row_labels
        datasets = np.repeat(np.arange(len(rows.n_rows)), rows.n_rows)
        # Stacked by dtype: a batch is then two kernels besides that of the features.
        self._weights = np.stack([rows.weights, label_weights])
        self._weights_on_device = torch.from_numpy(self._weights).to(device)
        numbers = np.stack([labels, datasets])
        self._numbers_on_device = torch.from_numpy(numbers).to(device)

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches(self.epoch())

    def batches(self, epoch: Epoch, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from number `first` on.

        With several processes, each yields its share of every batch.
        """
        n, here = n_processes(), rank()
        following = [*epoch.chosen[1:], None]
        for chosen, after, borders in islice(
            zip(epoch.chosen, following, epoch.borders, strict=True), first, None
        ):
            # The next batch can be read while this one is trained on.
            if after is not None:
                self.source.will_need(after[here::n])
            # Every n-th row: each process has its share of every stratum, too.
            own = [-(-(border - here) // n) for border in borders]
            yield replace(self._batch(chosen[here::n], own), size=len(chosen))

    def padded(self, epoch: Epoch) -> tuple[Tensor, Tensor]:
        """Return the batches of an epoch as matrices, of one shape in every epoch.

        A recorded step is replayed on the same memory, and so wants one shape.

        Returns
        -------
        rows : Tensor of shape (n_batches, n_columns), int64
            Row numbers; each stratum has the same columns in all batches.
        real : Tensor of the same shape, float32
            0 for a row of padding, which must not count, else 1.
        """
        borders = np.array(epoch.borders)
        counts = np.diff(borders, axis=1).ravel()
        strata = np.repeat(np.tile(np.arange(len(self.strata)), len(borders)), counts)
        batch = np.repeat(np.arange(len(borders)), borders[:, -1])
        places = np.concatenate([np.arange(len(chosen)) for chosen in epoch.chosen])
        columns = np.array(self._columns)[strata] + places - borders[batch, strata]
        lengths = np.diff(self._columns)
        # Padding is the first row of the stratum; any would do.
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
        """First column of each stratum in a padded batch, and the end of the last.

        Rows are dealt out evenly, each stratum by itself. So a batch spans at most
        that part of the epoch that has its rows and one more of each stratum.
        """
        n_rows = sum(self.drawn)
        share = (-(-n_rows // len(self)) + len(self.strata)) / n_rows
        most = [min(n, int(n * share) + 2) for n in self.drawn]
        return np.cumsum([0, *most]).tolist()

    def of_padded(self, rows: Tensor, real: Tensor) -> Batch:
        """Return the batch of one row of each matrix of `padded`, on the device."""
        batch = self._of_rows(rows, rows, self._columns)
        return replace(
            batch,
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
        # By NumPy, whose calls take a third of the time where there are few rows.
        rows = []
        for start, n_rows, n_drawn in zip(
            self._starts, self.strata, self.drawn, strict=False
        ):
            # Every row comes once before one comes again.
            turns = [
                torch.randperm(n_rows, generator=self.generator).numpy()
                for _ in range(0, n_drawn, max(1, n_rows))
            ]
            none = np.empty(0, np.int64)
            rows.append(start + np.concatenate([*turns, none])[:n_drawn])
        # Each stratum lies evenly over the epoch, from a random point on.
        offsets = torch.rand(
            len(rows), generator=self.generator, dtype=torch.float64
        ).numpy()
        # Position of every row in the epoch, from 0 to about 1; rows are sorted by it.
        places = [
            (np.arange(len(part)) + offset) / max(1, len(part))
            for part, offset in zip(rows, offsets, strict=True)
        ]
        in_order = np.concatenate(rows)[np.concatenate(places).argsort()]
        chosen = [np.sort(part) for part in np.array_split(in_order, len(self))]
        # Sums in double precision: there can be millions of rows.
        weights, label_weights = self._weights
        return Epoch(
            [torch.from_numpy(part) for part in chosen],
            [np.searchsorted(part, self._starts).tolist() for part in chosen],
            len(in_order),
            float(weights[in_order].sum(dtype=np.float64)),
            [float(label_weights[own].sum(dtype=np.float64)) for own in rows[::2]],
            drawn_from,
        )

    def batch(self, chosen: Tensor) -> Batch:
        """Return the batch of row numbers in any order."""
        chosen = chosen.sort().values
        borders = np.searchsorted(chosen.numpy(), self._starts)
        return self._batch(chosen, borders.tolist())

    def _batch(self, chosen: Tensor, borders: list[int]) -> Batch:
        on_device = chosen.to(self._weights_on_device.device, non_blocking=True)
        return self._of_rows(chosen, on_device, borders)

    def _of_rows(self, chosen: Tensor, on_device: Tensor, borders: list[int]) -> Batch:
        # A labelled and an unlabelled stratum for each dataset.
        starts, ends_labelled, ends = borders[:-1:2], borders[1::2], borders[2::2]
        labelled = list(map(slice, starts, ends_labelled))
        labels, datasets = self._numbers_on_device.index_select(1, on_device)
        weights, label_weights = self._weights_on_device.index_select(1, on_device)
        return Batch(
            features=self.source.take(chosen, on_device),
            datasets=datasets,
            rows=list(map(slice, starts, ends)),
            labelled=labelled,
            labels=[labels[part] for part in labelled],
            weights=weights,
            label_weights=[label_weights[part] for part in labelled],
            size=len(chosen),
        )


def _rows_in_an_epoch(strata: Sequence[int], labelled_share: float) -> list[int]:
    """Return the number of rows that an epoch takes of each stratum.

    Parameters
    ----------
    strata : sequence of int
        Numbers of labelled and unlabelled rows, in turn; see `TrainingRows`.
    labelled_share : float
        Least share of labelled rows in a batch on average, below 1.

    Examples
    --------
    >>> _rows_in_an_epoch([20, 80], labelled_share=0.5)
    [80, 80]
    """
    n_rows, n_labelled = sum(strata), sum(strata[::2])
    if not n_labelled:
        return list(strata)
    # With a share s of labelled rows and a wanted share w, (s + x) / (1 + x) = w gives
    # the number x of labelled rows to add for each row.
    missing = labelled_share - n_labelled / n_rows
    more = round(max(0.0, missing / (1.0 - labelled_share)), 12) * n_rows
    labelled = [n + round(more * n / n_labelled) for n in strata[::2]]
    return [n for both in zip(labelled, strata[1::2], strict=True) for n in both]
