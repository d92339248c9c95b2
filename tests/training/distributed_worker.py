"""Fits that several processes do together, and what each of them then has.

    python distributed_worker.py DIRECTORY RANK N_PROCESSES

does all of `TOGETHER`, one after the other, and leaves what came of them in the
directory.
"""

from __future__ import annotations

import pickle
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from hang_guards import SECONDS
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_fits import NO_DROPOUT, small_classifier, weights_of

from jedi_sklearn.training.data import rows as layout

SLOW = {"learning_rate": 1e-3, **NO_DROPOUT}
TOGETHER: dict[str, dict[str, Any]] = {
    "plain": SLOW,
    "one batch": {"batch_size": 1000, **SLOW},
    "small batches": {"batch_size": 4, **SLOW},
    "one row at a time": {"batch_size": 1, "max_epochs": 1, **SLOW},
    "labelled_share": {"labelled_share": 0.8, **SLOW},
    "alternating": {"schedule": "alternating", "max_epochs": 4, "n_rounds": 2, **SLOW},
    "predictions": {
        "teacher_input": "adjusted+predictions",
        "target_gradient": True,
        "class_weight": "balanced",
        **SLOW,
    },
    "early_stopping": {"early_stopping": True, "n_iter_no_change": 1, **SLOW},
    "dropout": {},
    "dropout, small batches": {"batch_size": 4},
    "dropout of targets": {"target_dropout": True, "adjustment_dropout": 0.5},
    "bfloat16": {"precision": "bfloat16"},
    "streamed": SLOW,
    "own seeds": {"random_state": "rank"},
    "no seed": {"random_state": None},
    "own labels": SLOW,
    "after the errors": SLOW,
}


def fit(name: str, rank: int = 0) -> dict[str, Any]:
    """Do one of the fits; return its history and weights, or its error."""
    params = dict(TOGETHER[name])
    if params.get("random_state") == "rank":
        params["random_state"] = rank
    X, y = _data(other=rank if name == "own labels" else 0)
    experts = [
        (n, make_pipeline(StandardScaler(), LogisticRegression())) for n in ("a", "b")
    ]
    clf = small_classifier(experts, **params)
    try:
        clf.fit(X, y)
    except ValueError as error:
        return {"error": str(error)}
    weights = [weights_of(clf.students_), weights_of(clf.teachers_)]
    return {
        "weights": _flat(weights),
        "history": clf.history_.to_numpy(),
        "proba": clf.predict_proba({n: X[n] for n in ("a", "b")}),
    }


def _data(other: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return three datasets, of which one has no labels and one has some."""
    X, y = make_blobs([40, 40, 40], n_features=5, cluster_std=4.0, random_state=0)
    of_a = np.where(np.arange(45) < 12, y[:45], -1)
    of_a[0] += other
    of_b = (y[45:75] > 0).astype(int)
    return {"a": X[:45], "b": X[45:75], "u": X[75:]}, {"a": of_a, "b": of_b}


def _flat(structure: Any) -> list[np.ndarray]:
    if isinstance(structure, np.ndarray):
        return [structure]
    return [array for part in structure for array in _flat(part)]


def main(directory: Path, rank: int, n_processes: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{directory / 'meeting'}",
        rank=rank,
        world_size=n_processes,
        timeout=timedelta(seconds=SECONDS),
    )
    for name in TOGETHER:
        layout.IN_MEMORY_BYTES = 0 if name == "streamed" else 2**26
        (directory / f"{name}.{rank}").write_bytes(pickle.dumps(fit(name, rank)))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
