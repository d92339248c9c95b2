"""From samples to shards: what has to be made, and the making of one shard."""

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
from ..inputs.containers import take_rows
from ..inputs.multidataset import Part, Table
from ..utils.files import exclusive_lock
from ..utils.progress import progress_bar, timed
from ._collections import Ids, Producer, dataset_directory, describe_collection
from ._dtypes import Features
from ._fingerprints import combined, file_names, sample_names
from ._shards import is_finished, write_shard

_logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.intp]

# Rows that are tried together when not all rows of a shard can be embedded.
PART = 8


@dataclass(frozen=True)
class Settings:
    """What shards are like.

    Attributes
    ----------
    dtype : str
        Of the numbers on disk.
    shard_rows : int
        Rows of a dataset in one shard.
    on_error : {"raise", "skip"}
        What is done with a sample that cannot be embedded.
    """

    dtype: str
    shard_rows: int
    on_error: str


@dataclass(frozen=True)
class Work:
    """A shard that is to be made.

    Attributes
    ----------
    producer : Producer
    collection : Path
    path : Path
        Of the shard.
    dataset : str
    rows : ndarray of int of shape (n_rows,)
        Of the dataset.
    ids : list of str
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

    Where rows are wanted that are nowhere yet, all that their stretch of the dataset
    lacks is made, so that processes that want different rows make the same shards.

    Parameters
    ----------
    root : Path
        Of the store.
    producer : Producer
    parts : sequence of (Table, ndarray of int)
        Datasets, and the rows of them that are wanted now.
    ids : sequence of ndarray of bytes of shape (n_rows,)
        Of all rows of the tables.
    lacking : sequence of ndarray of bool of shape (n_rows,)
        Which of these are not in the store.
    settings : Settings
    """
    collection = producer.directory(root)
    planned: set[bytes] = set()
    for (table, wanted), own, lacks in zip(parts, ids, lacking, strict=True):
        for stretch in np.unique(wanted[lacks[wanted]] // settings.shard_rows):
            first = stretch * settings.shard_rows
            # A sample that is there twice is embedded once.
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
        Each with what makes it, and the samples of its dataset.
    n_jobs : int or None
    verbose : int
    """
    # What others are at is left to them, and waited for when all else is done.
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
    """Make a shard, if it is not there.

    Parameters
    ----------
    work : Work
    encoder : transformer
        What makes it.
    values : row-indexable of shape (n_rows, ...)
        The samples.
    wait : bool
        Whether to wait for another who is at it.

    Returns
    -------
    bool
        Whether it is there now.
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
    """Return the embeddings of the samples that have one, and why others have none."""
    parts: list[Features] = []
    failures: dict[int, str] = {}
    # Parts of what fails are tried, down to the samples that do it.
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
    """Return how a message calls a sample."""
    text = f"Row {work.rows[number]} of dataset {work.dataset!r}"
    names = sample_names(sample)
    return text if names is None else f"{text}, {names[0]!r},"
