"""Datasets as experts embed them: from a store, from before, or now."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import compress

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from ..exceptions import NotStoredWarning
from ..experts.embed import Embedding, embed
from ..experts.expert import Expert, NamedEncoder, is_frozen
from ..inputs.containers import Rows, take_rows
from ..inputs.multidataset import MultiDataset, Part, Table
from ._fingerprints import UnidentifiedError, fingerprint_if_any
from ._row_cache import EmbeddedRows, embedded_rows
from ._store import EmbeddingStore
from ._stored_rows import StoredRows


def embed_datasets(
    experts: Sequence[Expert],
    datasets: MultiDataset,
    store: EmbeddingStore | None,
    n_jobs: int | None,
    verbose: int = 0,
) -> dict[str, list[Embedding]]:
    """Embed the rows of all datasets by all experts; see `embed_parts`.

    Returns
    -------
    embeddings : dict of str to list of ndarray or StoredRows
        For each dataset the embedding by each expert, of shape (n_rows, n_features).

    Raises
    ------
    ValueError
        If an expert cannot embed a dataset, or embeds two in different widths.
    """
    of_parts = embed_parts(experts, list(datasets.parts()), store, n_jobs, verbose)
    embeddings = dict(zip(datasets, of_parts, strict=True))
    first = next(iter(embeddings))
    for name, of_experts in embeddings.items():
        for expert, here, there in zip(
            experts, of_experts, embeddings[first], strict=True
        ):
            if here.shape[1] != there.shape[1]:
                raise ValueError(
                    f"Expert {expert.name!r} returned {here.shape[1]} features for "
                    f"dataset {name!r} but {there.shape[1]} for dataset {first!r}; an "
                    "expert must embed all datasets in one width."
                )
    return embeddings


def embed_parts(
    experts: Sequence[NamedEncoder],
    parts: Sequence[Part],
    store: EmbeddingStore | None = None,
    n_jobs: int | None = 1,
    verbose: int = 0,
) -> list[list[Embedding]]:
    """Embed some rows of datasets by several experts.

    A frozen expert embeds a row of a table once, whatever rows are asked for later;
    with a store, once for all processes.

    Parameters
    ----------
    experts : sequence of Expert or Branch
        With fitted encoders.
    parts : sequence of (Table, ndarray of int)
        Datasets, and rows of them.
    store : EmbeddingStore or None
    n_jobs : int or None
    verbose : int
        1 shows a progress bar while a store is filled.

    Returns
    -------
    embeddings : list of list of ndarray or StoredRows
        For each part one an expert, of shape (n_rows, n_features); float32.
    """
    is_kept = [is_frozen(expert.encoder) for expert in experts]
    by_store: list[list[StoredRows]] = [[] for _ in parts]
    if store is None:
        is_kept = [False] * len(experts)
    elif any(is_kept):
        is_kept, by_store = _embed_by_store(
            experts, is_kept, parts, store, n_jobs, verbose
        )
    others = [e for e, kept in zip(experts, is_kept, strict=True) if not kept]
    parallel = Parallel(n_jobs=n_jobs, prefer="threads")
    by_us = [_embed_part(others, *part, parallel) for part in parts]
    return [
        [next(stored if kept else embedded) for kept in is_kept]
        for stored, embedded in zip(map(iter, by_store), map(iter, by_us), strict=True)
    ]


def _embed_by_store(
    experts: Sequence[NamedEncoder],
    is_kept: list[bool],
    parts: Sequence[Part],
    store: EmbeddingStore,
    n_jobs: int | None,
    verbose: int,
) -> tuple[list[bool], list[list[StoredRows]]]:
    """Return which of the experts a store can keep, and rows as these embed them."""
    try:
        kept = list(compress(experts, is_kept))
        return is_kept, store.embed(kept, parts, n_jobs, verbose)
    except UnidentifiedError as error:
        warnings.warn(
            f"Embeddings are not kept in {store}: {error}.",
            NotStoredWarning,
            stacklevel=5,
        )
    known = [
        kept and fingerprint_if_any(expert.encoder) is not None
        for expert, kept in zip(experts, is_kept, strict=True)
    ]
    if known == is_kept or not any(known):  # the samples are not known, or no expert
        return [False] * len(experts), [[] for _ in parts]
    return _embed_by_store(experts, known, parts, store, n_jobs, verbose)


def _embed_part(
    experts: Sequence[NamedEncoder], table: Table, rows: Rows, parallel: Parallel
) -> list[Embedding]:
    """Embed some rows of a dataset, those left out that are embedded already."""
    with table.lock:
        kept = _kept_rows(experts, table)
        wanted = [rows if k is None else k.missing(rows) for k in kept]
        results = iter(
            parallel(
                delayed(embed)(
                    expert.encoder, take_rows(table.values, w), expert.name, table.name
                )
                for expert, w in zip(experts, wanted, strict=True)
                if len(w)
            )
        )
        embeddings = []
        for k, w in zip(kept, wanted, strict=True):
            if k is not None and len(w):
                k.put(w, next(results))
            embeddings.append(next(results) if k is None else k.take(rows))
        return embeddings


def _kept_rows(
    experts: Sequence[NamedEncoder], table: Table
) -> list[EmbeddedRows | None]:
    frozen = [expert.encoder for expert in experts if is_frozen(expert.encoder)]
    kept = iter(embedded_rows(frozen, table))
    return [next(kept) if is_frozen(expert.encoder) else None for expert in experts]


def missing_rows(embeddings: Sequence[Embedding]) -> npt.NDArray[np.bool_]:
    """Say which rows some expert could not embed.

    Parameters
    ----------
    embeddings : sequence of ndarray or StoredRows of shape (n_rows, n_features)
        One an expert.

    Returns
    -------
    missing : ndarray of bool of shape (n_rows,)
    """
    missing = np.zeros(len(embeddings[0]), dtype=bool)
    for embedding in embeddings:
        if isinstance(embedding, StoredRows):
            missing |= embedding.missing
    return missing
