"""Peak memory of fit relative to the size of the features.

    python -m benchmarks.bench_memory --json memory.json    # 5 GB of memory, 1 of disk

At the paper's sizes, for features in memory and the same number of them in a store on
disk, and for each precision, one epoch in a process of its own, which has trained on
something tiny before, so that all is loaded:

- features_bytes: of the float32 features, or of the float16 store;
- peak_over_features: the most memory from the call of fit to its end, less that before
  the features were made, over their size. From a store it counts the anonymous memory
  alone: what is read of the files is page cache, which the system takes back at will;
- added_mb: that memory in MB of 2**20 bytes;
- beyond_mb: how much of it is more than the features. Less than 0 where these are not
  held and are large;
- allowed_mb, within: 1.3 times the features and 400 MB, and whether it was less.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.embeddings import EmbeddingStore

from .bench_store import Projection, anonymous_bytes
from .paper_scale import Problem, Sizes, make_problem, random_labels
from .rounds import parser_of, start

PAGE_BYTES = 4096
SECONDS_BETWEEN_LOOKS = 0.005
MB = 2**20
# Width of the samples that the store is extracted from.
SAMPLE_WIDTH = 32
TINY = Sizes(widths=(4, 4), n_classes=(3, 3), n_rows=(30, 30))


class Peak:
    """Peak memory of this process while a block runs, sampled by a thread.

    Parameters
    ----------
    now : callable
        Returns how many bytes are taken.

    Attributes
    ----------
    n_bytes : int
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.n_bytes = now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            self.n_bytes = max(self.n_bytes, self.now())

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._thread.join()


def resident_bytes() -> int:
    """Return the memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def sizes_of(n_bytes: int) -> Sizes:
    """Return the paper's sizes with as many rows as make float32 features so large."""
    return Sizes().of_rows(n_bytes // (4 * sum(Sizes().widths)))


def stored_problem(sizes: Sizes) -> Problem:
    """Return a problem of small samples, which encoders make as wide as `sizes` say."""
    tiny = make_problem(sizes.of_rows(len(sizes.n_rows)))
    random = np.random.default_rng(0)
    experts, X, y = [], {}, {}
    for number, (name, frozen) in enumerate(tiny.experts):
        n_rows, n_classes = sizes.n_rows[number], sizes.n_classes[number]
        encoder = Projection(sizes.widths[number], seed=number)
        expert = make_pipeline(encoder, frozen.estimator[-1])
        experts.append((name, FrozenEstimator(expert)))
        X[name] = random.standard_normal((n_rows, SAMPLE_WIDTH), dtype=np.float32)
        y[name] = random_labels(n_rows, n_classes, random)
    return Problem(sizes, experts, X, y)


@contextmanager
def filled_store(sizes: Sizes) -> Iterator[Path]:
    """Have the directory of a store with the features of a problem."""
    with tempfile.TemporaryDirectory() as folder:
        problem = stored_problem(sizes)
        encoders = [
            (name, FrozenEstimator(frozen.estimator[:-1]))
            for name, frozen in problem.experts
        ]
        EmbeddingStore(folder, dtype="float16").extract(encoders, problem.X)
        yield Path(folder)


def train(problem: Problem, **parameters: Any) -> None:
    JEDIClassifier(
        problem.experts, max_epochs=1, device="cpu", random_state=0, **parameters
    ).fit(problem.X, problem.y)


def measure(
    sizes: Sizes, precision: str, path: Path | None, n_threads: int
) -> dict[str, Any]:
    """Train once in this process, of which nothing else is asked.

    Parameters
    ----------
    sizes : Sizes
    precision : str
    path : Path or None
        Of a store with the features, which are made in memory where there is none.
    n_threads : int
    """
    torch.set_num_threads(n_threads)
    train(make_problem(TINY), precision=precision)
    now = resident_bytes if path is None else anonymous_bytes
    baseline = now()
    if path is None:
        store = None
        problem = make_problem(sizes)
        n_bytes = sum(features.nbytes for features in problem.X.values())
    else:
        store = EmbeddingStore(path)
        problem = stored_problem(sizes)
        n_bytes = int(store.info()["n_bytes"].sum())
    with Peak(now) as peak:
        train(problem, precision=precision, memory=store)
    taken = peak.n_bytes - baseline
    allowed = 1.3 * n_bytes + 400 * MB
    return {
        "features_bytes": n_bytes,
        "peak_over_features": taken / n_bytes,
        "added_mb": taken / MB,
        "beyond_mb": (taken - n_bytes) / MB,
        "allowed_mb": allowed / MB,
        "within": taken <= allowed,
    }


def measure_apart(*arguments: Any) -> dict[str, Any]:
    """Run `measure` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(measure, arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print what it found."""
    parser = parser_of("bench_memory", __doc__)
    parser.add_argument("--mb", type=float, default=2048, help="of float32 features")
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16"])
    asked, report = start(parser, arguments)
    sizes = sizes_of(int(asked.mb * MB))
    with filled_store(sizes) as folder:
        for features, path in (("in memory", None), ("in a store", folder)):
            for precision in asked.precisions:
                found = measure_apart(sizes, precision, path, asked.threads)
                report.add(features=features, precision=precision, **found)
    report.write()


if __name__ == "__main__":
    main()
