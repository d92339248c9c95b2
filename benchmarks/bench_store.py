"""Training from a store, and extractions that are killed at random instants.

    python -m benchmarks.bench_store            # some minutes, 3 GB of disk
    python -m benchmarks.bench_store --json store.json

Prints

- rows a second of training from a store over those of training on the same features
  in memory, with a warm page cache: for the paper's network, and for one so small
  that reading is most of the work;
- the most anonymous memory that training from a store takes, over the store's size;
- of an extraction that is killed at random instants and started again until it is
  done, whether its store is that of an undisturbed run, byte for byte, and how many
  finished shards were made again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback

from jedi_sklearn import JEDIClassifier, MultiDataset
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.training.data import rows as training_rows

from .store_kills import bench_kills

# Embeddings of the paper's four experts.
WIDTHS = (2048, 2048, 1024, 2048)
N_CLASSES = (200, 51, 400, 101)
N_THREADS = 2
EVERYTHING_IN_MEMORY = 2**62
# So small that reading the features is most of the work.
SMALL_NETWORK = {"adjustment_units": 16, "batch_size": 512}


class Projection(TransformerMixin, BaseEstimator):
    """A fixed random encoder."""

    def __init__(self, n_features: int, seed: int) -> None:
        self.n_features = n_features
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: Any) -> Any:
        weights = np.random.default_rng(self.seed).normal(
            size=(X.shape[1], self.n_features)
        )
        return np.tanh(X @ weights.astype(np.float32))


class Watch(Callback):
    """Notes how long epochs take, and the most anonymous memory."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.peak = 0

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        self.begun = time.perf_counter()

    def on_batch_end(self, net: Any, **_: Any) -> None:
        self.peak = max(self.peak, anonymous_bytes())

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        self.seconds.append(time.perf_counter() - self.begun)


def anonymous_bytes() -> int:
    """Return the memory of this process that is no page cache (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("no RssAnon in /proc/self/status")


def make_problem(n_rows: int) -> tuple[list[Any], MultiDataset, dict[str, Any]]:
    """Return experts, samples and labels at the paper's widths and classes."""
    random_ = np.random.default_rng(0)
    experts, X, y = [], {}, {}
    for number, (width, n_classes) in enumerate(zip(WIDTHS, N_CLASSES, strict=True)):
        name = f"dataset_{number}"
        encoder = Projection(width, seed=number)
        experts.append((name, FrozenEstimator(encoder)))
        X[name] = random_.normal(size=(n_rows // len(WIDTHS), 32)).astype(np.float32)
        y[name] = random_.integers(n_classes, size=len(X[name]))
        y[name][n_classes * 3 :] = -1  # few labels: a head is fitted on them
        y[name][:n_classes] = np.arange(n_classes)
    return experts, MultiDataset(X), y


@contextmanager
def read_into_memory(n_bytes: int) -> Iterator[None]:
    """Have what stores keep read into memory up to another size."""
    usual = training_rows.IN_MEMORY_BYTES
    training_rows.IN_MEMORY_BYTES = n_bytes
    try:
        yield
    finally:
        training_rows.IN_MEMORY_BYTES = usual


def train(problem: Any, store: EmbeddingStore, **parameters: Any) -> Watch:
    experts, X, y = problem
    watch = Watch()
    JEDIClassifier(
        experts, memory=store, callbacks=[watch], random_state=0, **parameters
    ).fit(X, y)
    return watch


def bench_throughput(
    problem: Any, store: EmbeddingStore, n_rounds: int, **parameters: Any
) -> dict[str, float]:
    """Compare epochs from the store with some in memory, the first of each left out."""
    n_rows = problem[1].shape[0]
    rates: dict[str, list[float]] = {"memory": [], "store": []}
    for _ in range(n_rounds):
        for kind, n_bytes in (("memory", EVERYTHING_IN_MEMORY), ("store", 0)):
            with read_into_memory(n_bytes):
                watch = train(problem, store, max_epochs=3, **parameters)
            rates[kind] += [n_rows / seconds for seconds in watch.seconds[1:]]
    ratios = [s / m for s, m in zip(rates["store"], rates["memory"], strict=True)]
    return {
        "rows_a_second_memory": statistics.median(rates["memory"]),
        "rows_a_second_store": statistics.median(rates["store"]),
        "store_over_memory": statistics.median(ratios),
    }


def bench_memory(n_rows: int, path: Path) -> dict[str, float]:
    """Train from a large store in a process of which nothing else is asked."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        pool.apply(fill, (n_rows, path))
        return pool.apply(train_watched, (n_rows, path))


def fill(n_rows: int, path: Path) -> None:
    experts, X, _ = make_problem(n_rows)
    EmbeddingStore(path, dtype="float16").extract(experts, X)


def train_watched(n_rows: int, path: Path) -> dict[str, float]:
    torch.set_num_threads(N_THREADS)
    problem = make_problem(n_rows)
    store = EmbeddingStore(path)
    before = anonymous_bytes()
    watch = train(problem, store, max_epochs=1, adjustment_units=16)
    size = int(store.info()["n_bytes"].sum())
    return {
        "store_bytes": size,
        "anonymous_bytes": watch.peak,
        "anonymous_bytes_before_fit": before,
        "anonymous_over_store": watch.peak / size,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks and print what they found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_store")
    parser.add_argument("--rows", type=int, default=8000, help="of the throughput")
    parser.add_argument("--large-rows", type=int, default=280_000, help="of the memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="for stores; by default a new one")
    parser.add_argument("--json", type=Path, help="a file to write the rows into")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(N_THREADS)
    rows: list[dict[str, Any]] = []

    def report(name: str, found: dict[str, Any]) -> None:
        rows.append({"benchmark": name, **found})
        print(name, *(f"{key}={value:.6g}" for key, value in found.items()), flush=True)

    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        report("kills", bench_kills(asked.kills))
        problem = make_problem(asked.rows)
        for dtype in ("float32", "float16", "bfloat16"):
            store = EmbeddingStore(Path(folder) / dtype, dtype=dtype)
            for name, network in (("paper's network", {}), ("small", SMALL_NETWORK)):
                found = bench_throughput(problem, store, asked.rounds, **network)
                report(f"throughput, {dtype}, {name}", found)
        report("memory", bench_memory(asked.large_rows, Path(folder) / "large"))
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
