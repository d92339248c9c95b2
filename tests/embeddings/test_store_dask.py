"""Stores filled by workers of Dask, one of which is killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest
import store_worker as worker
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV
from store_worker import contents, noted, notes

from jedi_sklearn import JEDIClassifier, stack_datasets
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.model_selection import MultiDatasetKFold

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="sends signals"),
]


@pytest.fixture(scope="module")
def client():
    # Port 0 is any that is free: others may run a cluster on this machine.
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_dask__of_a_search__embeds_every_sample_once(tmp_path, client):
    labels = {name: np.arange(n) % 2 for name, n in worker.N_ROWS.items()}
    X, y = stack_datasets(worker.samples(), labels)
    clf = JEDIClassifier(
        worker.two_experts(tmp_path / "log", seconds=0.02),
        memory=EmbeddingStore(tmp_path / "store", shard_rows=worker.SHARD_ROWS),
        max_epochs=1,
        adjustment_units=4,
        random_state=0,
    )
    search, here = (
        GridSearchCV(clf, {"gamma": [0.1, 0.4]}, cv=MultiDatasetKFold(2))
        for _ in range(2)
    )
    with parallel_config(backend="dask"):
        search.fit(X, y)
    search.predict(X)
    assert notes(tmp_path / "log") == worker.everything(["features"])
    here.fit(X, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"]
    )
    counts = EmbeddingStore(tmp_path / "store").info()["n_rows"]
    assert Counter(counts.tolist()) == {40: 2, 35: 2}


def test_dask__with_a_worker_killed_midway__loses_and_doubles_nothing(tmp_path, client):
    worker.fill(tmp_path / "whole", tmp_path / "other_log")
    path, log = tmp_path / "store", tmp_path / "log"
    client.run(worker.forget_shards)
    filling = threading.Thread(target=worker.fill_on, args=("dask", path, log, 0.05))
    filling.start()
    while not all(client.run(worker.n_shards_made).values()):
        time.sleep(0.01)
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    done, n_lines = worker.finished(path), len(noted(log))
    assert len(done) < worker.everything().total()
    filling.join()
    assert contents(path) == contents(tmp_path / "whole")
    assert EmbeddingStore(path).verify() == []
    # What was finished is not made again, and of the rest what the dead was at alone.
    assert not done & set(noted(log)[n_lines:])
    again = notes(log) - worker.everything()
    assert again.total() <= worker.SHARD_ROWS
    assert set(notes(log)) == set(worker.everything())
