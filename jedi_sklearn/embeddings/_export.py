"""Embeddings as safetensors, for programs that know nothing of stores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.files import write_whole
from ._fingerprints import sample_names
from ._store import EmbeddingStore


def export_safetensors(
    store: EmbeddingStore, expert: str, datasets: Mapping[str, Any], path: Path
) -> None:
    """Write what an expert makes of samples into one file.

    It has a float32 tensor ``dataset/features`` for each dataset, one
    ``dataset/probabilities`` where there are any, and as metadata ``dataset/samples``,
    a JSON list of their paths.

    Parameters
    ----------
    store : EmbeddingStore
    expert : str
    datasets : mapping of str to row-indexable
        Samples, in the order in which their rows are to stand.
    path : Path

    Raises
    ------
    ImportError
        If safetensors is not installed.
    ValueError
        If the store has not all of it.
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ImportError(
            'Exporting needs safetensors: pip install "jedi_sklearn[store]"'
        ) from error
    tensors, metadata = {}, {}
    has_probabilities = "probabilities" in kinds_of(store, expert)
    for name, samples in datasets.items():
        tensors[f"{name}/features"] = np.asarray(store.features(expert, samples))
        if has_probabilities:
            of_head = store.probabilities(expert, samples)
            tensors[f"{name}/probabilities"] = np.asarray(of_head)
        metadata[f"{name}/samples"] = json.dumps(sample_names(samples))
    write_whole(path, [save(tensors, metadata)])


def kinds_of(store: EmbeddingStore, expert: str) -> Sequence[str]:
    """Return what a store has of an expert: features, or probabilities too."""
    table = store.info()
    return list(table["kind"][table["expert"] == expert].unique())
