"""Warnings of experts and files that are not what they were."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..exceptions import EmbeddedAnewWarning
from ..inputs.multidataset import Part
from ._collections import Ids, Producer, is_described, names_in
from ._fingerprints import sample_names


def warn_of_changed_experts(
    producers: Sequence[Producer], collections: Iterable[Path], root: Path
) -> None:
    """Warn of experts whose names have other parameters or weights in a store.

    Parameters
    ----------
    producers : sequence of Producer
        The experts as they are now.
    collections : iterable of Path
        All of the store.
    root : Path
        Directory of the store.
    """
    known = [Producer.of(path) for path in collections if is_described(path)]
    for producer in producers:
        others = [p for p in known if p[:2] == producer[:2] and p != producer]
        if others and not producer.directories(root):
            warnings.warn(
                f"Expert {producer.expert!r} is not the one whose embeddings are in "
                f"{root}: its parameters or weights have changed. It embeds "
                "all samples anew.",
                EmbeddedAnewWarning,
                stacklevel=3,
            )


def warn_of_changed_samples(
    producers: Sequence[Producer],
    parts: Sequence[Part],
    ids: Sequence[Ids],
    root: Path,
) -> None:
    """Warn of files whose content is not the one that a store has embeddings of.

    Parameters
    ----------
    producers : sequence of Producer
        The experts as they are now.
    parts : sequence of (Table, ndarray of int)
        Datasets; all of their rows are looked at.
    ids : sequence of ndarray of bytes of shape (n_rows,)
        One array a dataset.
    root : Path
        Directory of the store.
    """
    stored = {
        pair
        for producer in producers
        for collection in producer.directories(root)
        for pair in names_in(collection)
    }
    stored_names = {name for name, _ in stored}
    for (table, _), own in zip(parts, ids, strict=True):
        names = sample_names(table.values) if stored else None
        pairs = [] if names is None else zip(names, own.astype(str), strict=True)
        changed = [p[0] for p in pairs if p[0] in stored_names and p not in stored]
        if changed:
            warnings.warn(
                f"{len(changed)} files of dataset {table.name!r} have changed "
                f"since they were embedded (first: {changed[0]!r}); they are "
                "embedded anew.",
                EmbeddedAnewWarning,
                stacklevel=3,
            )
