"""The same seed gives the same bits, whatever else is different.

What tests/test_training.py has of one classifier is here with experts that draw random
numbers in all their ways, and in other processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import determinism_worker as worker
import joblib
import numpy as np
import pytest
import torch
from determinism_worker import NAMES, classifier, data, digest, fitted_digest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from jedi_sklearn import evaluate, stack_datasets
from jedi_sklearn.datasets import load_glyphs, make_expert_embeddings
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders import torch_expert
from jedi_sklearn.encoders.video import TSN, ViewProtocol, video_expert

BACKWARDS = NAMES[::-1]


@pytest.fixture(scope="module")
def expected() -> str:
    return fitted_digest()


def backwards(mapping: dict[str, Any]) -> dict[str, Any]:
    return {name: mapping[name] for name in BACKWARDS}


def test_another_seed__gives_others(expected):
    """Otherwise what is compared here would not see what is drawn."""
    assert fitted_digest(random_state=4) != expected


@pytest.mark.parametrize("name", NAMES)
def test_another_seed__of_one_expert__gives_others(expected, name):
    experts = worker.experts()
    [expert] = [expert for own, expert in experts if own == name]
    expert[0].set_params(random_state=77)
    assert fitted_digest(experts=experts) != expected


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
def test_n_jobs__of_any_number__gives_the_same(expected, n_jobs):
    assert fitted_digest(n_jobs=n_jobs) == expected


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_backend__of_joblib__gives_the_same(expected, backend):
    with joblib.parallel_config(backend, n_jobs=2):
        assert fitted_digest(n_jobs=2) == expected


def test_order__of_datasets_and_experts_and_labels__changes_nothing(expected):
    X, y = data()
    for experts in (worker.experts(), worker.experts()[::-1]):
        for X_given, y_given in ((X, backwards(y)), (backwards(X), y)):
            fitted = classifier(experts=experts).fit(X_given, y_given)
            assert digest(fitted, X) == expected


def test_order__of_weights_and_validation__changes_nothing():
    X, y = data()
    weights = {name: np.linspace(0.5, 2, len(rows)) for name, rows in X.items()}
    further = make_expert_embeddings(
        20, n_classes=2, n_features=3, n_datasets=4, random_state=1
    )[0]
    X_val = dict(zip(NAMES, further.values(), strict=True))
    y_val = {name: np.array(["clap", "run"] * 10, dtype=object) for name in NAMES}
    params = {"early_stopping": True, "max_epochs": 3}
    one = classifier(**params).fit(
        X, y, sample_weight=weights, X_val=X_val, y_val=y_val
    )
    other = classifier(**params).fit(
        X,
        y,
        sample_weight=backwards(weights),
        X_val=backwards(X_val),
        y_val=backwards(y_val),
    )
    assert digest(one, X) == digest(other, X)
    without = classifier(**params).fit(X, y, X_val=X_val, y_val=y_val)
    assert digest(one, X) != digest(without, X)


def test_clone_and_stacked_rows__give_the_same(expected):
    X, y = data()
    model = classifier()
    assert digest(clone(model).fit(*stack_datasets(X, y)), X) == expected


@pytest.mark.parametrize("seed", [0, 1])
def test_global_seeds__of_any_value__change_nothing(expected, seed):
    assert fitted_digest(seed) == expected


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_new_process__with_any_seed_of_hashes__gives_the_same(expected, hash_seed):
    tests = Path(worker.__file__).parent
    places = [str(tests.parent), str(tests)]
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            worker.__file__,
            hash_seed.replace("r", "1")[0],
        ],
        env=os.environ
        | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == expected, done.stderr


# Global random states


@pytest.mark.usefixtures("global_random_states_stay")
class TestGlobalRandomStates:
    def test_fit_predict_and_evaluate(self) -> None:
        X, y = data()
        fitted = classifier(n_jobs=2).fit(X, y)
        fitted.predict(X)
        fitted.students_["ucf"].predict_proba(X["ucf"])
        evaluate(fitted, X, y)
        fitted.score(X, y)

    def test_without_a_seed(self) -> None:
        X, y = data()
        one, other = (classifier(random_state=None).fit(X, y) for _ in range(2))
        assert digest(one, X) != digest(other, X)

    def test_neural_experts_of_its_own(self) -> None:
        X, y = data()
        classifier(early_stopping=False).set_params(experts=None).fit(X, y)

    def test_alternating_and_further_training(self) -> None:
        X, y = data()
        fitted = classifier(schedule="alternating", n_rounds=2, max_epochs=4).fit(X, y)
        fitted.partial_fit(X, y)

    def test_store(self, tmp_path: Path) -> None:
        X, y = data()
        fitted = [
            (name, e.fit(X[name][:-5], y[name][:-5].astype(str))) for name, e in SEEDED
        ]
        store = EmbeddingStore(tmp_path).extract(fitted, X, n_jobs=2)
        store.features(fitted[0], X["ucf"])
        frozen = [(name, FrozenEstimator(expert)) for name, expert in fitted]
        classifier(experts=frozen, memory=store, early_stopping=False).fit(X, y)

    def test_torch_experts(self) -> None:
        with torch.random.fork_rng(devices=[]):
            module = torch.nn.Sequential(torch.nn.Linear(12, 4), torch.nn.Linear(4, 3))
        torch_expert(module, classes=["a", "b", "c"]).predict(np.zeros((3, 12), "f4"))

    def test_video_experts(self) -> None:
        with torch.random.fork_rng(devices=[]):
            network = TSN(3, depths=(1, 1, 1, 1), width=8)
        video_expert(network, protocol=ViewProtocol(n_frames=1, crop_size=32))

    def test_data(self) -> None:
        load_glyphs("test")
        make_expert_embeddings(30, random_state=None)


SEEDED = [
    (
        name,
        expert.set_params(
            **{key: 0 for key in expert.get_params() if key.endswith("__random_state")}
        ),
    )
    for name, expert in worker.experts()
]


# Threads of torch


@pytest.mark.slow
def test_threads_of_torch__of_another_number__change_no_more_than_last_digits():
    X, y = data()
    many = {name: np.repeat(rows, 40, axis=0) for name, rows in X.items()}
    labels = {name: np.repeat(own, 40) for name, own in y.items()}
    found = []
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            params = {"experts": SEEDED, "batch_size": 1000, "early_stopping": False}
            fitted = classifier(**params).fit(many, labels)
            found.append(fitted.predict_proba(X))
    finally:
        torch.set_num_threads(before)
    for name in NAMES:
        np.testing.assert_allclose(found[0][name], found[1][name], atol=1e-4)
