"""Samples as batches of tensors."""

from __future__ import annotations

import os
import pickle  # nosec B403 - of errors, see below
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def load_batches(
    X: Any,
    n_samples: int,
    batch_size: int,
    dataset: Callable[[Any], Any] | None,
    n_workers: int,
) -> Iterator[tuple[Any, int]]:
    """Load samples in batches.

    Parameters
    ----------
    X, batch_size, dataset, n_workers
        See `TorchEncoder`.
    n_samples : int

    Yields
    ------
    batch : tensor, or tuple, list or mapping of these
    n_rows : int
        Number of samples in it.

    Raises
    ------
    ValueError
        If the samples need a dataset, or the dataset is of another length.
    """
    starts = range(0, n_samples, batch_size)
    batches: Iterator[Any]
    if dataset is not None:
        loaded = _checked(dataset(X), n_samples)
        batches = _load(loaded, X, batch_size, n_workers)
    else:
        rows = _without_dataset(X)
        if hasattr(rows, "shape"):
            batches = (_tensor(rows[start : start + batch_size]) for start in starts)
        else:
            batches = _load(rows, X, batch_size, n_workers)
    for start in starts:
        yield next(batches), min(batch_size, n_samples - start)


class SampleDataset:
    """Map-style dataset that loads its samples one by one.

    Parameters
    ----------
    samples : sequence, Series, or DataFrame with one column
    load : callable
        Takes a sample and returns it loaded.
    collate_fn : callable or None, default=None
        Takes a list of loaded samples and returns a batch; see `TorchEncoder`.
    """

    def __init__(
        self,
        samples: Any,
        load: Callable[[Any], Any],
        collate_fn: Callable[[Any], Any] | None = None,
    ) -> None:
        if hasattr(samples, "iloc"):  # pandas indexes by label, a dataset by position
            samples = samples.to_numpy()
        is_column = getattr(samples, "ndim", 1) == 2 and samples.shape[1] == 1
        self.samples = samples[:, 0] if is_column else samples
        self.load = load
        self.collate_fn = collate_fn

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> Any:
        return self.load(self.samples[number])


def _without_dataset(X: Any) -> Any:
    """Convert X to an array, sparse matrix or tensor of rows, or a list of samples."""
    if hasattr(X, "iloc"):
        X = X.to_numpy()
    if hasattr(X, "tocsr"):
        return X.tocsr()
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUST":
        X = X.tolist() if X.ndim == 1 else X.astype(np.float32)
    if hasattr(X, "shape"):
        return X
    first = X[0]
    if isinstance(first, str | bytes | os.PathLike):
        raise ValueError(
            f"The samples are of type {type(first).__name__}, which no module takes; "
            "give a dataset, a callable that takes the samples and returns a "
            "torch.utils.data.Dataset that loads them."
        )
    # default_collate would transpose lists of numbers.
    return np.asarray(X) if isinstance(first, int | float | list | np.number) else X


def _tensor(rows: Any) -> torch.Tensor:
    import torch

    if isinstance(rows, torch.Tensor):
        return rows
    rows = rows.toarray() if hasattr(rows, "toarray") else rows
    # A copy, as torch takes neither read-only nor reversed arrays, and no memory maps.
    return torch.from_numpy(
        np.array(rows, dtype=rows.dtype.newbyteorder("="), order="C")
    )


def _checked(dataset: Any, n_samples: int) -> Any:
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise ValueError(
            f"dataset returned {type(dataset).__name__}; it must return a map-style "
            "torch.utils.data.Dataset, with __getitem__ and __len__."
        )
    if len(dataset) != n_samples:
        raise ValueError(
            f"dataset returned a Dataset of length {len(dataset)} for {n_samples} "
            "samples; it must have one for each."
        )
    return dataset


@dataclass(frozen=True)
class _Failed:
    """Error in place of a sample, to be raised in the main process.

    A DataLoader would turn an error of a worker into one of its own, whose message is
    the text of a traceback.
    """

    error: Exception


class _Named:
    """Dataset whose errors name the sample."""

    def __init__(self, dataset: Any, samples: Any) -> None:
        self.dataset = dataset
        self.samples = samples

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> Any:
        try:
            return self.dataset[number]
        except Exception as error:
            name = ""
            if isinstance(self.samples, Sequence | np.ndarray):
                sample = self.samples[number]
                if isinstance(sample, str | os.PathLike):
                    name = f", {os.fspath(sample)!r}"
            error.add_note(f"Sample {number}{name} could not be loaded.")
            return _Failed(_portable(error))


class _Collate:
    """Collates samples, unless one of them failed."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: Any) -> Any:
        """Return a batch, or the first error."""
        failed = (sample for sample in samples if isinstance(sample, _Failed))
        first = next(failed, None)
        return self.collate(samples) if first is None else first


def _portable(error: Exception) -> Exception:
    """Return the error, or a RuntimeError with its text where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # nosec B301 - pickled in the same line
        return error
    except Exception:
        other = RuntimeError(f"{type(error).__name__}: {error}")
        other.__notes__ = getattr(error, "__notes__", [])
        return other


def _load(dataset: Any, samples: Any, batch_size: int, n_workers: int) -> Iterator[Any]:
    """Yield batches of a dataset; raise the first error of a sample."""
    import torch
    from torch.utils.data import DataLoader, default_collate

    batches = iter(
        DataLoader(
            _Named(dataset, samples),  # type: ignore[arg-type]
            batch_size=batch_size,
            num_workers=n_workers,
            collate_fn=_Collate(
                getattr(dataset, "collate_fn", None) or default_collate
            ),
            # Without a generator, workers are seeded from the global random state.
            generator=torch.Generator().manual_seed(0),
        )
    )
    try:
        for batch in batches:
            if isinstance(batch, _Failed):
                raise batch.error
            yield batch
    finally:
        # End the workers now: those of a later call would inherit them.
        del batches
