"""Plan the shards that have to be made of samples, and make them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from ..experts.embed import embed
from ..inputs.containers import Rows, take_rows
from ..inputs.multidataset import Part, Table
from ..utils.files import exclusive_lock
from ..utils.progress import progress_bar, timed
from ._collections import Ids, Producer, dataset_directory, describe_collection
from ._dtypes import Features
from ._fingerprints import combined, file_names, sample_names
from ._shards import is_finished, write_shard

_logger = logging.getLogger(__name__)

# Number of rows that are tried together when a shard as a whole cannot be embedded.
PART = 8


@dataclass(frozen=True)
class Settings:
    """Settings of a store.

    Attributes
    ----------
    dtype : str
        Format of the numbers on disk; see `_dtypes`.
    shard_rows : int
        Number of rows in a shard.
    on_error : {"raise", "skip"}
        Treatment of samples that cannot be embedded.
    """

    dtype: str
    shard_rows: int
    on_error: str


@dataclass(frozen=True)
class Work:
    """A shard to make.

    Attributes
    ----------
    producer : Producer
    collection : Path
    path : Path
        Path of the shard.
    dataset : str
    rows : ndarray of int of shape (n_rows,)
        Rows of the dataset.
    ids : list of str
        Ids of the rows.
    settings : Settings
    """

    producer: Producer
    collection: Path
    path: Path
    dataset: str
    rows: Rows
    ids: list[str]
    settings: Settings


def plan(
    root: Path,
    producer: Producer,
    parts: Sequence[Part],
    ids: Sequence[Ids],
    lacking: Sequence[npt.NDArray[np.bool_]],
    settings: Settings,
) -> Iterator[tuple[Work, Table]]:
    """Yield the shards that a producer has to make, each with the table of its samples.

    A dataset is cut into stretches of ``shard_rows`` rows. If a wanted row is lacking,
    all lacking rows of its stretch are made, so that processes that want different rows
    make the same shards.

    Parameters
    ----------
    root : Path
        Directory of the store.
    producer : Producer
    parts : sequence of (Table, ndarray of int)
        Datasets, and the rows of each that are wanted.
    ids : sequence of ndarray of bytes of shape (n_rows,)
        Ids of all rows of each dataset.
    lacking : sequence of ndarray of bool of shape (n_rows,)
        Masks of the rows that the store lacks.
    settings : Settings
    """
    collection = producer.directory(root)
    planned: set[bytes] = set()
    for (table, wanted), own, lacks in zip(parts, ids, lacking, strict=True):
        for stretch in np.unique(wanted[lacks[wanted]] // settings.shard_rows):
            first = stretch * settings.shard_rows
            # Duplicates of a sample are embedded once.
            chosen: dict[bytes, int] = {}
            for row in np.flatnonzero(lacks[first : first + settings.shard_rows]):
                if own[first + row] not in planned:
                    chosen.setdefault(own[first + row], first + row)
            if not chosen:
                continue
            planned |= chosen.keys()
            new = [key.decode() for key in chosen]
            name = f"{first:08d}-{combined(new)[:16]}.npy"
            path = dataset_directory(collection, table.name) / name
            rows = np.array(list(chosen.values()))
            yield (
                Work(producer, collection, path, table.name, rows, new, settings),
                table,
            )


def run(
    works: Sequence[tuple[Work, Any, Any]], n_jobs: int | None, verbose: int
) -> None:
    """Make shards.

    Parameters
    ----------
    works : sequence of (Work, transformer, row-indexable)
        Shards, each with its encoder and all rows of its dataset.
    n_jobs : int or None
    verbose : int
    """
    # Shards that other processes are making are waited for only at the end.
    for wait in (False, True):
        if not works:
            return
        parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
        are_done = parallel(
            delayed(make_shard)(work, encoder, take_rows(values, work.rows), wait=wait)
            for work, encoder, values in works
        )
        sizes = [len(work.rows) for work, _, _ in works]
        left = []
        with (
            timed(_logger, "Embedding %d samples", sum(sizes)),
            progress_bar(sum(sizes), "rows", verbose=verbose) as bar,
        ):
            for own, size, is_done in zip(works, sizes, are_done, strict=True):
                bar.update(size * is_done)
                if not is_done:
                    left.append(own)
        works = left


def make_shard(work: Work, encoder: Any, values: Any, *, wait: bool = False) -> bool:
    """Make a shard unless it is finished.

    Parameters
    ----------
    work : Work
    encoder : transformer
    values : row-indexable of shape (n_rows, ...)
        The samples.
    wait : bool
        Whether to wait while another process makes it.

    Returns
    -------
    bool
        Whether it is finished now.
    """
    if is_finished(work.path):
        return True
    with exclusive_lock(work.path.with_suffix(".lock"), wait=wait) as is_ours:
        if not is_ours or is_finished(work.path):
            return is_ours
        good, failures = _embed_good_rows(work, encoder, values)
        describe_collection(work.collection, work.producer, good.shape[1])
        n_rows = len(work.ids)
        kept = np.array([n for n in range(n_rows) if n not in failures], dtype=int)
        try:
            write_shard(
                work.path,
                good,
                work.settings.dtype,
                ids=[work.ids[n] for n in kept],
                names=file_names(take_rows(values, kept)),
                missing={work.ids[n]: reason for n, reason in failures.items()},
            )
        except OverflowError as error:
            worst = kept[[np.abs(good).max(axis=1).argmax()]]
            what = _described(work, worst[0], take_rows(values, worst))
            raise ValueError(
                f"What expert {work.producer.expert!r} made of a sample ({what}) "
                f"cannot be stored: {error}. A store of another dtype can."
            ) from error
        return True


def _embed_good_rows(
    work: Work, encoder: Any, values: Any
) -> tuple[Features, dict[int, str]]:
    """Return embeddings of the good rows, and reasons why the others have none."""
    parts: list[Features] = []
    failures: dict[int, str] = {}
    # Split what fails until the samples are found that are to blame.
    waiting = [np.arange(len(work.ids))]
    while waiting:
        some = waiting.pop()
        tried = take_rows(values, some)
        try:
            parts.append(embed(encoder, tried, work.producer.expert, work.dataset))
        except (MemoryError, ImportError):
            raise
        except Exception as error:
            if len(some) > 1:
                n_parts = max(len(some) // PART, 2)
                waiting += reversed(np.array_split(some, n_parts))
            elif work.settings.on_error == "skip":
                failures[int(some[0])] = (
                    f"{_described(work, some[0], tried)} failed: {error}"
                )
            else:
                raise ValueError(
                    f"{_described(work, some[0], tried)} cannot be embedded "
                    f"({type(error.__cause__ or error).__name__}: {error}). Repair it "
                    "or leave it out; a store with on_error='skip' marks such rows as "
                    "missing. What is finished stays good."
                ) from error
    widths = sorted({part.shape[1] for part in parts})
    if len(widths) > 1:
        raise ValueError(
            f"Expert {work.producer.expert!r} returned {widths} features for rows of "
            f"dataset {work.dataset!r}; an expert must embed all in one width."
        )
    if parts:
        return np.concatenate(parts), failures
    return np.empty((0, 0), dtype=np.float32), failures


def _described(work: Work, number: int, sample: Any) -> str:
    """Return the description of a sample in messages."""
    text = f"Row {work.rows[number]} of dataset {work.dataset!r}"
    names = sample_names(sample)
    return text if names is None else f"{text}, {names[0]!r},"
