"""Many fits in a process, many threads with one model, and processes of all kinds."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import load_worker as worker
import numpy as np
import pytest
import torch
from hang_guards import SECONDS, ended
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Callback
from small_fits import small_classifier

from jedi_sklearn import stack_datasets
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.embeddings._row_cache import MOST_ENCODERS, PROCESS_CACHE

METHODS = [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()]
KINDS = ("dicts", "one pair", "new pairs", "new experts", "store", "callbacks")
N_THREADS = 8
N_ROWS = sum(worker.SIZES.values())


# Memory


def resident() -> float:
    """Return the MB that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Holding(Callback):
    """One that holds what a fit shows it, for as long as it is held itself."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_epoch_end(self, net: Any, **shown: Any) -> None:
        self.seen.append((net, shown))


def fits(kind: str, path: Path) -> Any:
    """Return a function that fits once more."""
    X, y = worker.data()
    pair = stack_datasets(X, y)
    frozen = worker.frozen_experts()
    store = EmbeddingStore(path)

    def fit(number: int) -> None:
        if kind == "dicts":
            small_classifier().fit(X, y).predict(X)
        elif kind == "one pair":
            small_classifier(frozen).fit(*pair).predict(pair[0][np.arange(9)])
        elif kind == "new pairs":
            further = {name: rows + number for name, rows in X.items()}
            small_classifier(frozen).fit(*stack_datasets(further, y))
        elif kind == "new experts":
            small_classifier(worker.frozen_experts(number)).fit(*pair)
        elif kind == "store":
            small_classifier(frozen, memory=store).fit(*pair)
        else:
            small_classifier(callbacks=[Holding()]).fit(X, y)

    return fit


@pytest.mark.parametrize("kind", ["dicts", "new pairs", "callbacks"])
def test_fits__one_after_the_other__leave_no_objects(tmp_path, kind):
    fit = fits(kind, tmp_path)
    counts = []
    for number in range(9):
        fit(number)
        if number in (3, 8):
            gc.collect()
            counts.append(len(gc.get_objects()))
    assert counts[1] - counts[0] <= 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory__from_the_50th_to_the_200th_fit__stays(tmp_path):
    kinds = [fits(kind, tmp_path / kind) for kind in KINDS]
    for number in range(50):
        kinds[number % len(kinds)](number)
    gc.collect()
    before, n_objects = resident(), len(gc.get_objects())
    for number in range(50, 200):
        kinds[number % len(kinds)](number)
    gc.collect()
    assert len(gc.get_objects()) - n_objects < 300
    assert resident() - before < 10


def kept_of(pair: Any) -> list[int]:
    return [len(PROCESS_CACHE.of(table)) for table, _ in pair.parts()]


def test_rows__that_ever_new_experts_embedded__are_forgotten():
    X, y = worker.data()
    pair, target = stack_datasets(X, y)
    for seed in range(MOST_ENCODERS // 2 + 3):
        small_classifier(worker.frozen_experts(seed), max_epochs=1).fit(pair, target)
        expected = min(2 * seed + 2, MOST_ENCODERS)
        assert kept_of(pair) == [expected, expected]


def test_rows__by_more_experts_than_are_kept__are_embedded_once(tmp_path):
    X, y = worker.data()
    pair, target = stack_datasets(X, y)
    experts = [
        (f"{number:02d}", FrozenEstimator(PCA(2, random_state=0).fit(X["a"] * number)))
        for number in range(1, MOST_ENCODERS + 3)
    ]
    noting = worker.Noting(tmp_path / "log")
    experts = [("a", FrozenEstimator(noting)), *experts, *worker.frozen_experts()[1:]]
    for _ in range(2):
        small_classifier(experts, max_epochs=1).fit(pair, target)
    assert len((tmp_path / "log").read_text().split()) == N_ROWS


def test_rows__that_change_in_place__are_kept_once():
    X, y = worker.data()
    pair, target = stack_datasets(X, y)
    experts = worker.frozen_experts()
    for _ in range(4):
        small_classifier(experts, max_epochs=1).fit(pair, target)
        X["a"] += 1
    assert kept_of(pair) == [2, 2]


def test_rows__of_datasets_that_are_gone__are_forgotten():
    X, y = worker.data()
    pair, target = stack_datasets(X, y)
    caches = [weakref.ref(PROCESS_CACHE.of(table)) for table, _ in pair.parts()]
    small_classifier(worker.frozen_experts(), max_epochs=1).fit(pair, target)
    assert kept_of(pair) == [2, 2]
    assert kept_of(pickle.loads(pickle.dumps(pair))) == [0, 0]
    del pair
    gc.collect()
    assert [cache() for cache in caches] == [None, None]


# Threads


@pytest.mark.parametrize("kind", ["plain", "network"])
def test_threads__with_one_model__get_the_answers_of_one(kind):
    X, y = worker.data()
    experts = worker.network_experts() if kind == "network" else None
    fitted = small_classifier(experts).fit(X, y)
    student = fitted.students_["a"]
    parts = [np.arange(k, 60, N_THREADS) for k in range(N_THREADS)] * 10
    alone = [student.predict_proba(X["a"][rows]) for rows in parts]
    with ThreadPoolExecutor(N_THREADS) as pool:
        found = list(pool.map(lambda rows: student.predict_proba(X["a"][rows]), parts))
    np.testing.assert_equal(found, alone)

    def whole(rows: Any) -> Any:
        return fitted.predict_proba({"a": X["a"][rows], "b": X["b"]})

    alone = [whole(rows) for rows in parts[:16]]
    with ThreadPoolExecutor(N_THREADS) as pool:
        found = list(pool.map(whole, parts[:16]))
    np.testing.assert_equal(found, alone)


def test_threads__each_with_a_fit__fit_as_one():
    alone = worker.predictions()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: worker.predictions(), range(4)))
    np.testing.assert_equal(found, [alone] * 4)


# Processes


@pytest.mark.slow
def test_searches__in_two_processes__share_a_store(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    both = [
        context.Process(target=worker.search, args=(queue, tmp_path)) for _ in range(2)
    ]
    for process in both:
        process.start()
    with ended(*both):
        found = [worker.next_answer(queue, *both) for _ in both]
        for process in both:
            process.join(SECONDS)
    assert found[0] == found[1]
    noted = (tmp_path / "log").read_text().split("\n")[:-1]
    assert len(noted) == len(set(noted)) == N_ROWS


@pytest.fixture
def two_threads():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(n_threads)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["plain", "network"])
def test_child__of_a_process_that_has_fitted__fits_the_same(two_threads, method, kind):
    """The threads of torch do not live on in a fork: nobody may wait for them."""
    experts = worker.network_experts() if kind == "network" else None
    expected = worker.predictions(experts)
    found = worker.answer_of(method, worker.put_predictions, experts)
    np.testing.assert_equal(found, expected)


@pytest.mark.skipif("fork" not in METHODS, reason="no fork here")
@pytest.mark.parametrize("kind", ["plain", "network"])
def test_forked_child__predicts_with_its_parents_model(two_threads, kind):
    X, y = worker.data()
    experts = worker.network_experts() if kind == "network" else None
    fitted = small_classifier(experts).fit(X, y)
    expected = fitted.predict_proba(X)
    found = worker.answer_of("fork", worker.put_call, fitted.predict_proba, X)
    np.testing.assert_equal(found, expected)
    student = fitted.students_["a"]
    found = worker.answer_of("fork", worker.put_call, student.predict_proba, X["a"])
    np.testing.assert_equal(found, expected["a"])


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_backend__of_joblib__finds_the_same(backend):
    pair = stack_datasets(*worker.data())
    clf = small_classifier(worker.frozen_experts())
    expected = cross_val_score(clf, *pair, cv=3)
    with joblib.parallel_config(backend, n_jobs=2):
        np.testing.assert_equal(cross_val_score(clf, *pair, cv=3), expected)


def test_model__on_its_way_to_a_process__is_whole():
    X, y = worker.data()
    fitted = small_classifier(worker.network_experts()).fit(X, y)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_equal(copy.predict_proba(X), fitted.predict_proba(X))
