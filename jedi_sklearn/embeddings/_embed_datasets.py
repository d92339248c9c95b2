"""Embed datasets by experts, with a store or the cache of the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..experts.embed import Embedding
from ..experts.expert import Expert, NamedEncoder
from ..inputs.multidataset import MultiDataset, Part
from ._row_cache import PROCESS_CACHE
from ._stored_rows import StoredRows


class Backend(Protocol):
    """Keeps embeddings, and embeds the rows that it does not have."""

    def embed(
        self,
        experts: Sequence[NamedEncoder],
        parts: Sequence[Part],
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> Mapping[str, Sequence[Embedding]]:
        """Return for each expert that it takes the embeddings of all parts."""


def embed_datasets(
    experts: Sequence[Expert],
    datasets: MultiDataset,
    store: Backend | None,
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
    store: Backend | None = None,
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
    by_expert: dict[str, Sequence[Embedding]] = {}
    for backend in (store, PROCESS_CACHE):
        if backend is not None:
            left = [expert for expert in experts if expert.name not in by_expert]
            by_expert |= backend.embed(left, parts, n_jobs, verbose)
    return [
        [by_expert[expert.name][number] for expert in experts]
        for number in range(len(parts))
    ]


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
