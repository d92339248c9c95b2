"""What tests of stores run in other processes, and experts that note what they do."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
from hang_guards import SECONDS, ended, wait_until
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils.extmath import softmax

from benchmarks.children import modules_found
from jedi_sklearn.embeddings import EmbeddingStore

SHARD_ROWS = 8
N_ROWS = {"x": 40, "y": 35}
# The first number of a sample says which it is, also in what encoders make of it.
FIRST_NUMBER = {"x": 0, "y": 1000}


def note(log: Path, lines: Iterable[str]) -> None:
    """Append lines to a log, all at once, whoever else writes to it."""
    text = "".join(f"{line}\n" for line in lines)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def noted(log: Path) -> list[str]:
    """Return the lines of a log in their order."""
    return log.read_text().splitlines() if log.exists() else []


def notes(log: Path) -> Counter[str]:
    """Return how often each line was written."""
    return Counter(noted(log))


_n_shards_made = 0
_go_on: Path | None = None


def n_shards_made() -> int:
    """Say how often an encoder has run in this process."""
    return _n_shards_made


def stop_after_one_shard(go_on: Path) -> None:
    """Let encoders wait before their second run until a file is there."""
    global _n_shards_made, _go_on
    _n_shards_made, _go_on = 0, go_on


class Noting(TransformerMixin, BaseEstimator):
    """Notes which samples it is given; where, and how long it takes, changes nothing.

    Parameters
    ----------
    log : Path
    name : str
    seconds : float
        That it takes for whatever it is given.
    """

    def __init__(self, log: Path, name: str = "a", seconds: float = 0.0) -> None:
        self.log = log
        self.name = name
        self.seconds = seconds

    def fit(self, X: Any, y: Any = None) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fingerprint(self) -> str:
        return self.name

    def transform(self, X: Any) -> Any:
        global _n_shards_made
        X = np.asarray(X)
        time.sleep(self.seconds)
        if _go_on and _n_shards_made == 1:
            wait_until(_go_on.exists)
        _n_shards_made += 1
        note(self.log, [f"{self.name} features {x:g}" for x in X[:, 0]])
        others = np.tanh(X[:, 1:] * (1 + len(self.name)))
        return np.column_stack([X[:, 0], others])


class NotingHead(ClassifierMixin, BaseEstimator):
    """A linear head of two classes that notes of which samples features are."""

    def __init__(self, log: Path, name: str = "a") -> None:
        self.log = log
        self.name = name
        self.classes_ = np.arange(2)
        self.coef_ = np.array([[0.0, 1.0, -1.0, 0.5]])
        self.intercept_ = np.array([0.1])

    def fit(self, X: Any, y: Any) -> Self:
        return self

    def fingerprint(self) -> str:
        return self.name

    def decision_function(self, X: Any) -> Any:
        return (X @ self.coef_.T + self.intercept_).ravel()

    def predict_proba(self, X: Any) -> Any:
        note(self.log, [f"{self.name} probabilities {x:g}" for x in X[:, 0]])
        scores = self.decision_function(X)
        return softmax(np.column_stack([-scores, scores]))

    def predict(self, X: Any) -> Any:
        return (self.decision_function(X) > 0).astype(int)


def two_experts(log: Path, seconds: float = 0.0) -> list[tuple[str, Any]]:
    """Return frozen experts with heads."""
    return [
        (name, FrozenEstimator(make_pipeline(encoder, NotingHead(log, name))))
        for name in N_ROWS
        for encoder in [Noting(log, name, seconds)]
    ]


def samples(n_rows: dict[str, int] | None = None) -> dict[str, np.ndarray]:
    """Return datasets of which no two samples are the same."""
    rng = np.random.default_rng(0)
    datasets = {}
    for name, n in (n_rows or N_ROWS).items():
        numbers = FIRST_NUMBER[name] + np.arange(n)
        datasets[name] = np.column_stack([numbers, rng.normal(size=(n, 3))])
    return datasets


def everything(kinds: Iterable[str] = ("features", "probabilities")) -> Counter[str]:
    """Return what a log has once each expert has embedded each sample."""
    return Counter(
        f"{expert} {kind} {x:g}"
        for expert in N_ROWS
        for kind in kinds
        for rows in samples().values()
        for x in rows[:, 0]
    )


def fill(
    path: Path, log: Path, seconds: float = 0.0, n_jobs: int | None = None
) -> None:
    """Fill a store with what two experts make of two datasets."""
    store = EmbeddingStore(path, shard_rows=SHARD_ROWS)
    store.extract(two_experts(log, seconds), samples(), n_jobs=n_jobs)


def fill_only(path: Path, log: Path, dataset: str) -> None:
    """Do a part of what `fill` does: one of the datasets."""
    X = {dataset: samples()[dataset]}
    store = EmbeddingStore(path, shard_rows=SHARD_ROWS)
    store.extract(two_experts(log, 0.01), X)


def fill_on(backend: str, path: Path, log: Path, seconds: float = 0.0) -> None:
    """Do what `fill` does with two workers of a backend of joblib."""
    with parallel_config(backend=backend, n_jobs=2):
        fill(path, log, seconds)


def finished(path: Path) -> set[str]:
    """Return what is in finished shards of such a store, as logs name it.

    It is read without the package: a shard counts if its manifest is there, and its
    name says where in its dataset it begins.
    """
    found = set()
    for manifest in path.glob("*/*/*.json"):
        expert, kind, _ = manifest.parts[-3].split("-")
        first = int(manifest.name.split("-")[0])
        for row in range(first, first + len(json.loads(manifest.read_text())["ids"])):
            found.add(f"{expert} {kind} {FIRST_NUMBER[manifest.parts[-2]] + row}")
    return found


def contents(path: Path) -> dict[str, bytes]:
    """Return all files below a path."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


# Other processes


def start(target: Callable[..., Any], *args: Any) -> Any:
    """Start a function of this module in a process of its own, without delay.

    It is forked from a server that has imported all that is needed and has no threads,
    which a fork would leave behind.
    """
    with modules_found():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["store_worker", "pytest"])
        process = context.Process(target=run, args=(target, args))
        process.start()
    return process


def run(target: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Run a function in a process that may be killed."""
    from tqdm import tqdm

    # Its own lock is for processes, and leaves a semaphore behind when killed.
    tqdm.set_lock(threading.RLock())
    target(*args)


def finish(*processes: Any) -> list[int]:
    """Wait for processes; return how they ended."""
    with ended(*processes):
        for process in processes:
            process.join(SECONDS)
            assert not process.is_alive(), "a process hangs"
    return [process.exitcode for process in processes]


def die() -> None:
    """End this process as the system ends one, without any clearing up."""
    os.kill(os.getpid(), signal.SIGKILL)


# What Python itself reports before it does it, where it changes files.
CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "fcntl.flock", "os.fsync")


def fill_and_die(path: Path, log: Path, step: int) -> None:
    """Fill a store and be killed before a step that changes files, or wants to."""
    audit_fsync()
    steps = 0

    def count(event: str, args: tuple[Any, ...]) -> None:
        nonlocal steps
        if event in CHANGES and not is_read(event, args) and not is_of_log(args, log):
            steps += 1
            if steps > step:
                die()

    sys.addaudithook(count)
    store = EmbeddingStore(path, shard_rows=SHARD_ROWS)
    store.extract(two_experts(log)[:1], samples({"x": SHARD_ROWS + 1}))


def audit_fsync() -> None:
    """Have Python report fsync, which it does not by itself."""
    original = os.fsync

    def reported(descriptor: int) -> None:
        sys.audit("os.fsync", descriptor)
        original(descriptor)

    os.fsync = reported


def is_read(event: str, args: tuple[Any, ...]) -> bool:
    return event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR)


def is_of_log(args: tuple[Any, ...], log: Path) -> bool:
    return str(args[0]) == str(log)


def write_half_and_die(path: Path, log: Path) -> None:
    """Fill a store and be killed when half of the third shard is written."""
    from jedi_sklearn.utils import files as _files

    n_shards = 0
    original = _files.os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal n_shards
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        n_shards += ".npy." in target
        if n_shards == 3:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            die()
        original(descriptor)

    _files.os.fsync = fsync
    fill(path, log)


def as_nobody(target: Callable[..., Any], *args: Any) -> None:
    """Run a function as a user who may not write what others have made."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    target(*args)


def write_to_read_only(path: Path, log: Path) -> None:
    """Have an error for a directory that may not be written to, and note it."""
    try:
        fill(path, log)
    except OSError as error:
        note(log, [f"{type(error).__name__}: {error}"])


def read_from_read_only(path: Path, log: Path) -> None:
    """Read a store that may not be written to, and let a classifier train from it."""
    store = EmbeddingStore(path)
    X = samples()
    features = np.asarray(store.features("x", X["x"]))
    store.extract(two_experts(log), X)
    note(log, [f"{features.sum():.3f} {store.verify()}"])


def hold_shard(path: Path, ready: Path) -> None:
    """Hold the lock of a shard until killed."""
    from jedi_sklearn.utils.files import exclusive_lock

    with exclusive_lock(path):
        ready.touch()
        time.sleep(SECONDS)


def read_while(path: Path, log: Path, done: Path) -> None:
    """Read a store over and over while it is written; note what is not as it should be.

    Every sample has its number in its embedding, so that a row that is served shows
    whether it is whole.
    """
    warnings.simplefilter("error")
    X = samples()
    n_seen = 0
    is_last = False
    while not is_last:
        is_last = done.exists()
        for name, rows in X.items():
            seen = readable(path, rows)
            numbers = rows[seen, 0]
            if len(seen):
                served = np.asarray(EmbeddingStore(path).features("x", rows[seen]))
                expected = np.tanh(rows[seen, 1:] * 2).astype(np.float32)
                if not np.array_equal(served[:, 0], numbers):
                    note(log, [f"wrong rows of {name}"])
                if not np.array_equal(served[:, 1:], expected):
                    note(log, [f"wrong numbers of {name}"])
            n_seen = max(n_seen, len(seen))
    note(log, [f"{n_seen} rows at most"])


def readable(path: Path, rows: np.ndarray) -> np.ndarray:
    """Return which rows lie in shards of expert x that are finished."""
    there = finished(path)
    return np.array(
        [n for n, x in enumerate(rows[:, 0]) if f"x features {x:g}" in there], dtype=int
    )


def look_at(rows: Any) -> tuple[float, str, str]:
    """Say what a worker has been given, and what it may do with it."""
    total = float(np.asarray(rows).sum(dtype=np.float64))
    (shard,) = rows._open.values()
    try:
        shard._rows[0, 0] = 1
    except ValueError as error:
        return total, str(error), type(shard._map).__name__
    return total, "written", ""


def ids_elsewhere(make: str, output: Path) -> None:
    """Write down ids of samples that a function of this module returns."""
    from jedi_sklearn.embeddings._fingerprints import sample_ids

    values = globals()[make]()
    output.write_text(json.dumps([sample_ids(value) for value in values]))


def samples_of_all_kinds() -> list[Any]:
    """Return the same few samples as each kind that rows can be of."""
    import pandas as pd
    from scipy.sparse import csr_array

    numbers = np.arange(12.0).reshape(4, 3) % 5
    words = ["a", "b", "ccc", "ä"]
    frame = pd.DataFrame(numbers, columns=["p", "q", "r"])
    mixed = frame.assign(
        word=words,
        kind=pd.Categorical(words, ["b", "a", "ccc", "ä"]),
        thing=pd.Series([1, "x", None, (2, 3)], dtype=object),
        gap=[1.0, np.nan, 2.0, 3.0],
    )
    return [
        numbers,
        numbers.astype("f2"),
        numbers.astype(int),
        numbers > 2,
        numbers[:, :, None] * np.ones(2),
        frame,
        mixed,
        csr_array(numbers),
        words,
        np.array(words),
        [word.encode() for word in words],
        [row[:n] for n, row in enumerate(numbers)],
        [(1, "x"), (2, "y"), ({"k": 1, "j": [2]}, None), (3.5, {"a", "b", "c"})],
    ]
