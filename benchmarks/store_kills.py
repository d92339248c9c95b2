"""Extractions that are killed at random instants and resumed, compared by file."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.embeddings._fingerprints import sample_ids


class Noting(TransformerMixin, BaseEstimator):
    """An encoder that takes its time and notes which rows it is given."""

    def __init__(self, log: Path, name: str) -> None:
        self.log = log
        self.name = name

    def fit(self, X: Any, y: Any = None) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fingerprint(self) -> str:
        return self.name

    def transform(self, X: Any) -> Any:
        time.sleep(0.01)
        with self.log.open("a") as file:
            file.writelines(f"{self.name} {own}\n" for own in sample_ids(X))
        return np.tanh(X)


def fill(path: Path, log: Path) -> None:
    """Fill a small store with what two experts make of two datasets."""
    samples = np.random.default_rng(0).normal(size=(2, 160, 8))
    EmbeddingStore(path, shard_rows=16).extract(
        [("a", Noting(log, "a")), ("b", Noting(log, "b"))],
        {"x": samples[0], "y": samples[1]},
    )


def bench_kills(n_kills: int) -> dict[str, Any]:
    """Kill extractions at random instants, until so many have been."""
    context = multiprocessing.get_context("fork")
    random_ = random.Random(0)
    n_done = n_again = n_stores = 0
    same = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.perf_counter()
        fill(folder / "undisturbed", folder / "log")
        duration = time.perf_counter() - begun
        expected = contents(folder / "undisturbed")
        while n_done < n_kills:
            n_stores += 1
            path, log = folder / f"store_{n_stores}", folder / f"log_{n_stores}"
            exit_code = None
            while exit_code != 0:
                finished, n_logged = finished_rows(path), len(logged(log))
                process = context.Process(target=fill, args=(path, log))
                process.start()
                process.join(random_.uniform(0, duration / 3))
                if process.is_alive():
                    os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
                exit_code = process.exitcode
                n_done += exit_code == -signal.SIGKILL
                n_again += len(finished.intersection(logged(log)[n_logged:]))
            same = same and contents(path) == expected
    return {
        "kills": n_done,
        "stores": n_stores,
        "same_bytes": same,
        "finished_rows_made_again": n_again,
    }


def contents(path: Path) -> dict[str, bytes]:
    """Return the files below a path."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


def logged(log: Path) -> list[str]:
    """Return which expert has been given which sample, in order."""
    return log.read_text().splitlines() if log.exists() else []


def finished_rows(path: Path) -> set[str]:
    """Return what is in finished shards, as the log names it."""
    return {
        f"{manifest.parts[-3][0]} {own}"
        for manifest in path.glob("*/*/*.json")
        for own in json.loads(manifest.read_text())["ids"]
    }
