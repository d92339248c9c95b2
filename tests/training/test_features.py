"""Training from a store: the same to the bit as from memory, and without filling it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hang_guards import SECONDS
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from small_fits import small_classifier, weights_of

from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.training.data import features as matrix
from jedi_sklearn.training.data import rows as layout
from jedi_sklearn.training.data.features import LazyFeatures

HERE = Path(__file__).parent


def fit_streamed(clf, *data, **further):
    """Fit with every batch read when it is trained on, from a store or from arrays."""
    taken = []
    original = matrix.StreamedFeatures.take

    def take(self, rows, there):
        taken.append(len(rows))
        return original(self, rows, there)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "IN_MEMORY_BYTES", 0)
        patch.setattr(matrix.StreamedFeatures, "take", take)
        patch.setattr(matrix.ResidentFeatures, "__init__", _refuse)
        clf.fit(*data, **further)
    assert taken
    return clf


def fit_in_memory(clf, *data, **further):
    """Fit with the features of all rows in one matrix."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix.StreamedFeatures, "__init__", _refuse)
        return clf.fit(*data, **further)


def _refuse(*args):
    raise AssertionError("the other way")


@pytest.fixture(scope="module")
def frozen(data):
    """Experts that are used as they are, two of which have no head yet."""
    X, y = data
    own = X["a"][:40], y["a"][:40].astype(str)
    whole = make_pipeline(StandardScaler(), LogisticRegression()).fit(*own)
    return [
        ("a", FrozenEstimator(whole)),
        ("b", FrozenEstimator(PCA(3, random_state=0).fit(X["b"]))),
        ("other", FrozenEstimator(FunctionTransformer(np.tanh))),
    ]


@pytest.fixture(scope="module")
def mixed(frozen):
    """Two of the experts are fitted anew in each fit, so that no store has theirs."""
    return [
        frozen[0],
        ("b", make_pipeline(StandardScaler(), LogisticRegression())),
        ("u", PCA(2, random_state=0)),
    ]


def assert_same(first, second):
    """Compare all that two classifiers have learnt, to the bit."""
    for models in ("students_", "teachers_"):
        np.testing.assert_equal(
            weights_of(getattr(first, models)), weights_of(getattr(second, models))
        )
    pd.testing.assert_frame_equal(first.history_, second.history_, check_exact=True)
    assert first.kept_experts_ == second.kept_experts_


PARAMS = [
    {},
    {"standardize": False},
    {"labelled_share": 0.5, "class_weight": "balanced"},
    {"teacher_input": "adjusted+predictions"},
    {"schedule": "alternating", "n_rounds": 2, "max_epochs": 4},
    {"batch_size": 1000},
    {"batch_size": 7, "distill_from": ["u"]},
]


@pytest.mark.parametrize("params", PARAMS, ids=str)
@pytest.mark.parametrize("experts", ["frozen", "mixed"])
def test_streamed_fit__from_float32__is_that_in_memory(
    tmp_path, data, params, experts, request
):
    experts = request.getfixturevalue(experts)
    in_memory = fit_in_memory(small_classifier(experts, **params), *data)
    stored = small_classifier(experts, memory=tmp_path, **params)
    assert_same(fit_streamed(stored, *data), in_memory)
    X = {name: data[0][name] for name in ("a", "b")}
    np.testing.assert_equal(stored.predict_proba(X), in_memory.predict_proba(X))


@pytest.mark.parametrize("params", PARAMS, ids=str)
def test_streamed_fit__from_arrays__is_that_in_memory(data, params):
    in_memory = fit_in_memory(small_classifier(**params), *data)
    assert_same(fit_streamed(small_classifier(**params), *data), in_memory)


@pytest.mark.parametrize("stored", [False, True])
def test_rows__larger_than_may_be_copied__stay_where_they_are(monkeypatch, stored):
    parts = [[np.full((n, width), n, np.float32) for width in (3, 2)] for n in (10, 20)]
    given = [[Lying(part) if stored else part for part in own] for own in parts]
    whole = np.vstack([np.hstack(own) for own in parts])
    n_bytes = 30 * 5 * 4
    for at_most, is_copied in ((n_bytes, True), (n_bytes - 1, False)):
        monkeypatch.setattr(layout, "IN_MEMORY_BYTES", at_most)
        rows = layout.stack_rows(given, [np.zeros(10, int), None])
        assert isinstance(rows.features, np.ndarray) == is_copied
        source = matrix.source_of(rows.features, "cpu", torch.float32)
        assert source.stays == is_copied
        np.testing.assert_array_equal(rows.features[:], whole)


@pytest.mark.parametrize("given", [True, False])
def test_streamed_fit__that_stops_early__is_that_in_memory(
    tmp_path, data, given, mixed
):
    X, y = data
    # Heads that fit itself makes: a frozen one would be warned of.
    experts = [("a", FrozenEstimator(StandardScaler().fit(X["a"]))), *mixed[1:]]
    params = {"early_stopping": True, "n_iter_no_change": 1, "max_epochs": 6}
    params |= {"keep_expert": True, "validation_fraction": 0.3}
    validation = {"X_val": X, "y_val": y} if given else {}
    in_memory = fit_in_memory(small_classifier(experts, **params), X, y, **validation)
    stored = small_classifier(experts, memory=tmp_path, **params)
    assert_same(fit_streamed(stored, X, y, **validation), in_memory)


def test_small_store__is_read_into_memory(tmp_path, data, frozen):
    stored = fit_in_memory(small_classifier(frozen, memory=tmp_path), *data)
    assert_same(stored, small_classifier(frozen).fit(*data))


def test_streamed_fit__with_weights_and_a_warm_start__is_that_in_memory(
    tmp_path, data, frozen
):
    weights = {name: np.arange(len(rows)) % 3 for name, rows in data[0].items()}
    in_memory, stored = (
        small_classifier(frozen, memory=memory, warm_start=True)
        for memory in (None, tmp_path)
    )
    for further in ((weights,), ()):
        fit_in_memory(in_memory, *data, *further)
        fit_streamed(stored, *data, *further)
    assert_same(stored, in_memory)


def test_streamed_fit__of_rows_in_another_order__reads_those_rows(
    tmp_path, data, frozen
):
    small_classifier(frozen, memory=tmp_path).fit(*data)
    rng = np.random.default_rng(0)
    orders = {name: rng.permutation(len(rows)) for name, rows in data[0].items()}
    X = {name: rows[orders[name]] for name, rows in data[0].items()}
    y = {name: labels[orders[name]] for name, labels in data[1].items()}
    stored = fit_streamed(small_classifier(frozen, memory=tmp_path), X, y)
    assert_same(stored, fit_in_memory(small_classifier(frozen), X, y))


# Half as many bytes


class Rounded(TransformerMixin, BaseEstimator):
    """An encoder whose features are rounded by NumPy or torch."""

    def __init__(self, encoder, dtype):
        self.encoder = encoder
        self.dtype = dtype

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        features = torch.from_numpy(self.encoder.transform(X).astype(np.float32))
        return features.to(getattr(torch, self.dtype)).float().numpy()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("fit", [fit_in_memory, fit_streamed])
def test_fit__from_small_numbers__is_that_on_rounded_features(
    tmp_path, data, dtype, fit
):
    encoders = {"a": StandardScaler(), "b": PCA(3, random_state=0)}
    for name, encoder in encoders.items():
        encoder.fit(data[0][name])
    kept = [(name, FrozenEstimator(encoder)) for name, encoder in encoders.items()]
    rounded = [
        (name, FrozenEstimator(Rounded(encoder, dtype)))
        for name, encoder in encoders.items()
    ]
    store = EmbeddingStore(tmp_path, dtype=dtype, shard_rows=16)
    stored = fit(small_classifier(kept, memory=store), *data)
    expected = fit_in_memory(small_classifier(rounded), *data)
    assert_same(stored, expected)
    X = {name: data[0][name] for name in ("a", "b")}
    np.testing.assert_equal(stored.predict_proba(X), expected.predict_proba(X))


# The matrix


class Lying:
    """Rows that lie somewhere else: all that a matrix asks of stored ones."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape
        self.asked = []

    def __len__(self):
        return len(self.array)

    def take(self, rows, out):
        out[:] = self.array[rows]

    def will_need(self, rows):
        self.asked += rows.tolist()


@st.composite
def matrices(draw):
    widths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    sizes = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    parts = [
        [rng.normal(size=(size, width)).astype(np.float32) for width in widths]
        for size in sizes
    ]
    orders = [rng.permutation(size) for size in sizes]
    stored = [
        [Lying(part) if draw(st.booleans()) else part for part in of_dataset]
        for of_dataset in parts
    ]
    return parts, orders, stored


@settings(deadline=None)
@given(made=matrices(), data=st.data())
def test_matrix__of_stored_parts__is_that_of_arrays(made, data):
    parts, orders, stored = made
    whole = np.concatenate(
        [np.hstack(own)[order] for own, order in zip(parts, orders, strict=True)]
    )
    lying = LazyFeatures(stored, orders)
    assert lying.shape == whole.shape
    assert len(lying) == len(whole)
    n = len(whole)
    numbers = st.lists(st.integers(0, n - 1), max_size=8) if n else st.just([])
    rows = np.array(sorted(data.draw(numbers)), dtype=int)
    lying.will_need(rows)
    taken = lying.take(rows)
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken, whole[rows])
    run = data.draw(st.slices(n).filter(lambda run: (run.step or 1) > 0))
    np.testing.assert_array_equal(lying[run], whole[run])
    changed = lying.changed(lambda features: features * 2)
    np.testing.assert_array_equal(changed.take(rows), whole[rows] * 2)


def test_matrix__that_will_need_rows__asks_for_them_where_they_lie():
    parts = [[Lying(np.eye(4, dtype=np.float32))], [Lying(np.eye(4, dtype=np.float32))]]
    lying = LazyFeatures(parts, [np.array([3, 2, 1, 0]), np.arange(4)])
    lying.will_need(np.array([0, 1, 6]))
    assert parts[0][0].asked == [3, 2]
    assert parts[1][0].asked == [2]


# Memory


TRAIN = """
import json, sys
import test_features as here

print(json.dumps(here.train_and_watch(sys.argv[1])))
"""
N_ROWS, WIDTH = 16384, 2048


class Wide(TransformerMixin, BaseEstimator):
    """Many features of few, in little time and memory."""

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        grid = np.linspace(-1, 1, WIDTH, dtype=np.float32)
        return X[:, :1] * grid + X[:, 1:]


def anonymous_bytes():
    """Memory of this process that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("no RssAnon")


def train_and_watch(path):
    """Train from 64 MB of features; say how much more memory that takes."""
    from skorch.callbacks import Callback

    class Watch(Callback):
        most = 0

        def on_batch_end(self, net, **kwargs):
            self.most = max(self.most, anonymous_bytes())

    torch.set_num_threads(1)
    X = np.random.default_rng(0).normal(size=(N_ROWS, 2)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    head = LogisticRegression(C=1e-6).fit(Wide().transform(X[:50]), y[:50])
    experts = [("x", FrozenEstimator(make_pipeline(Wide(), head)))]
    layout.IN_MEMORY_BYTES = 0
    store = EmbeddingStore(path, dtype="float16", shard_rows=1024)
    store.extract([("x", experts[0][1].estimator[:-1])], {"x": X})
    watch = Watch()
    clf = small_classifier(experts, memory=store, max_epochs=1, callbacks=[watch])
    clf.set_params(batch_size=64)
    clf.fit({"x": X[:256]}, {"x": y[:256]})
    before, watch.most = anonymous_bytes(), 0
    clf.fit({"x": X}, {"x": y})
    return watch.most - before, int(store.info()["n_bytes"].sum())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its memory")
def test_streamed_fit__of_64_mb__takes_less_than_a_quarter_of_that(tmp_path):
    environment = {
        "PYTHONPATH": f"{HERE}:{HERE.parent}:{HERE.parents[1]}",
        "OMP_NUM_THREADS": "1",
        # Arrays of a megabyte go back to the system when they end.
        "MALLOC_MMAP_THRESHOLD_": "1000000",
    }
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path)],
        env=environment,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    grown, on_disk = json.loads(done.stdout)
    assert on_disk > N_ROWS * WIDTH * 2
    assert grown < on_disk / 4, f"{grown / 2**20:.1f} MB more"


@pytest.mark.parametrize("kind", ["as it is", "read-only", "reversed", "every other"])
def test_matrix__of_arrays_of_any_layout__gives_their_rows(kind):
    whole = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)
    part = {
        "as it is": whole[:, 2:6],
        "read-only": whole[:, 2:6],
        "reversed": whole[::-1, 6:2:-1],
        "every other": whole[:, 2:10:2],
    }[kind]
    if kind == "read-only":
        part.flags.writeable = False
    order = np.random.default_rng(1).permutation(20)
    rows = LazyFeatures([[part, whole]], [order])
    chosen = np.array([0, 3, 4, 19])
    expected = np.column_stack([part, whole])[order[chosen]]
    np.testing.assert_array_equal(rows.take(chosen), expected)
