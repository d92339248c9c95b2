"""Export embeddings as safetensors, for programs that do not know stores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.files import write_whole
from ._fingerprints import sample_names
from ._store import EmbeddingStore


def export_safetensors(
    store: EmbeddingStore, expert: str, datasets: Mapping[str, Any], path: Path
) -> None:
    """Write an expert's embeddings of samples into one file.

    It has a float32 tensor ``dataset/features`` for each dataset, one
    ``dataset/probabilities`` if the expert has them, and as metadata
    ``dataset/samples``, a JSON list of the paths.

    Parameters
    ----------
    store : EmbeddingStore
    expert : str
    datasets : mapping of str to row-indexable
        Samples in the order of the rows to write.
    path : Path

    Raises
    ------
    ImportError
        If safetensors is not installed.
    ValueError
        If the store lacks an embedding.
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ImportError(
            'Exporting needs safetensors: pip install "jedi_sklearn[store]"'
        ) from error
    tensors, metadata = {}, {}
    table = store.info()
    has_probabilities = "probabilities" in set(table["kind"][table["expert"] == expert])
    for name, samples in datasets.items():
        tensors[f"{name}/features"] = np.asarray(store.features(expert, samples))
        if has_probabilities:
            of_head = store.probabilities(expert, samples)
            tensors[f"{name}/probabilities"] = np.asarray(of_head)
        metadata[f"{name}/samples"] = json.dumps(sample_names(samples))
    write_whole(path, [save(tensors, metadata)])
