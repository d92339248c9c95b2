"""Samples as batches of tensors."""

from __future__ import annotations

import os
import pickle  # nosec B403 - of errors, see below
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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
    """Load samples a batch at a time.

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
        If the samples need a dataset, or the dataset has not one for each.
    """
    starts = range(0, n_samples, batch_size)
    loaded = X if dataset is not None else _without_dataset(X)
    if dataset is None and hasattr(loaded, "shape"):
        batches: Iterator[Any] = (
            _tensor(loaded[start : start + batch_size]) for start in starts
        )
    else:
        if dataset is not None:
            loaded = _checked(dataset(X), n_samples)
        batches = _load(loaded, X, batch_size, n_workers)
    for start in starts:
        yield next(batches), min(batch_size, n_samples - start)


def _without_dataset(X: Any) -> Any:
    """Return rows as an array, a sparse matrix or a tensor, or a list of samples."""
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
    # What torch makes of lists of numbers is their transpose.
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


class _Failed(NamedTuple):
    """An error in the stead of a sample.

    A DataLoader would make its own error of one in another process, with the text of
    a traceback for a message.
    """

    error: Exception


class _Named:
    """A dataset whose errors name the sample."""

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
    """Puts samples together, unless one of them failed."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: Any) -> Any:
        """Return a batch, or the first error."""
        failed = (sample for sample in samples if isinstance(sample, _Failed))
        first = next(failed, None)
        return self.collate(samples) if first is None else first


def _portable(error: Exception) -> Exception:
    """Return an error that can come from another process."""
    try:
        pickle.loads(pickle.dumps(error))  # nosec B301 - pickled in the same line
        return error
    except Exception:
        other = RuntimeError(f"{type(error).__name__}: {error}")
        other.__notes__ = getattr(error, "__notes__", [])
        return other


def _load(dataset: Any, samples: Any, batch_size: int, n_workers: int) -> Iterator[Any]:
    """Yield batches of a dataset, or raise what went wrong with a sample of it."""
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
            # Workers are seeded by the global random state otherwise.
            generator=torch.Generator().manual_seed(0),
        )
    )
    try:
        for batch in batches:
            if isinstance(batch, _Failed):
                raise batch.error
            yield batch
    finally:
        # Ends the processes before others are started, which would inherit them.
        del batches
