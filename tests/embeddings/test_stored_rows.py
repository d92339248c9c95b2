"""Rows of a store: their numbers, their views, and how little they weigh."""

from __future__ import annotations

import mmap
import pickle
import tracemalloc
import zlib

import joblib
import numpy as np
import pytest
import store_worker
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import FunctionTransformer

from jedi_sklearn.embeddings import EmbeddingStore, StoredRows
from jedi_sklearn.embeddings._dtypes import STORED_AS, decode, encode
from jedi_sklearn.embeddings._shards import BLOCK_ROWS, Shard

SMALL = ("float16", "bfloat16")
SAME = FunctionTransformer()

# Numbers on the borders: the largest of each dtype, halfway to the next, subnormals.
BORDERS = [
    *(0.0, -0.0, 1.0, 1.5, 2049.0, 2051.0, 65504.0, 65519.0, 6e-8, 2.98e-8, 2.99e-8),
    *(1e-40, 1.4e-45, 3.3895e38, 3.39e38, 1.00390625, 1.01171875, 1.1754944e-38),
]


def reference(numbers, dtype):
    """Round float32 numbers by NumPy's or torch's own cast."""
    if dtype == "float16":
        with np.errstate(over="ignore"):
            return numbers.astype(np.float16).astype(np.float32)
    if dtype == "bfloat16":
        return torch.from_numpy(numbers).to(torch.bfloat16).float().numpy()
    return numbers


def bits(numbers):
    return np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)


FLOATS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    elements=st.one_of(
        st.sampled_from(BORDERS).map(np.float32).map(float),
        st.floats(width=32, allow_nan=False, allow_infinity=False),
        # Halfway between two bfloat16, and one bit to either side of it.
        st.tuples(st.integers(0, 0x7F7F), st.integers(-1, 1)).map(
            lambda n: float(np.uint32((n[0] << 16) + 0x8000 + n[1]).view(np.float32))
        ),
    ),
)


@pytest.mark.parametrize("dtype", STORED_AS)
@settings(deadline=None, max_examples=200)
@given(numbers=FLOATS)
def test_numbers__of_any_size__are_rounded_to_the_nearest_or_refused(dtype, numbers):
    expected = reference(numbers, dtype)
    if np.isfinite(expected).all():
        stored = encode(numbers, dtype)
        assert stored.dtype == STORED_AS[dtype]
        served = decode(stored, dtype)
        assert served.dtype == np.float32
        np.testing.assert_array_equal(bits(served), bits(expected))
    else:
        with pytest.raises(OverflowError, match=f"beyond what {dtype} can hold"):
            encode(numbers, dtype)


@pytest.mark.parametrize("dtype", STORED_AS)
@settings(deadline=None)
@given(numbers=FLOATS)
def test_numbers__once_rounded__stay_as_they_are(dtype, numbers):
    rounded = reference(numbers, dtype)
    rounded = np.where(np.isfinite(rounded), rounded, np.float32(0))
    again = decode(encode(rounded, dtype), dtype)
    np.testing.assert_array_equal(bits(again), bits(rounded))


def test_bfloat16__of_all_its_numbers__is_the_upper_half_of_a_float32():
    every = np.arange(2**16, dtype=np.uint16)
    tensor = torch.from_numpy(every.view(np.int16)).view(torch.bfloat16).float()
    finite = torch.isfinite(tensor).numpy()
    served = decode(every[finite], "bfloat16")
    np.testing.assert_array_equal(bits(served), bits(tensor.numpy()[finite]))
    np.testing.assert_array_equal(encode(served, "bfloat16"), every[finite])


@pytest.mark.parametrize("dtype", STORED_AS)
def test_store__of_any_dtype__serves_float32_as_rounded_by_others(tmp_path, dtype):
    X = np.random.default_rng(0).normal(size=(150, 6), scale=100)
    store = EmbeddingStore(tmp_path, dtype=dtype, shard_rows=70)
    served = np.asarray(store.extract([("e", SAME)], {"d": X}).features("e", X))
    assert served.dtype == np.float32
    expected = reference(X.astype(np.float32), dtype)
    np.testing.assert_array_equal(bits(served), bits(expected))
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
    assert on_disk == 3 * 128 + X.size * np.dtype(STORED_AS[dtype]).itemsize


@pytest.mark.parametrize(
    ("dtype", "number"), [("float16", 7e4), ("float16", 65520.0), ("float16", -1e10)]
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_store__of_numbers_beyond_its_dtype__names_it_and_the_expert(
    tmp_path, dtype, number, on_error
):
    X = np.full((3, 2), number)
    store = EmbeddingStore(tmp_path, dtype=dtype, on_error=on_error)
    with pytest.raises(
        ValueError, match=rf"expert 'e' .*dataset 'd'.*beyond what {dtype} can hold.*dt"
    ):
        store.extract([("e", SAME)], {"d": X})
    assert not list(tmp_path.rglob("*.npy"))
    # Where they fit they are kept.
    full = EmbeddingStore(tmp_path / "full").extract([("e", SAME)], {"d": X})
    np.testing.assert_array_equal(full.features("e", X), X.astype(np.float32))


# Views


N = 150


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(1).normal(size=(N, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory, X):
    """Three shards, the first of two blocks."""
    store = EmbeddingStore(tmp_path_factory.mktemp("store"), shard_rows=70)
    return store.extract([("e", SAME)], {"d": X})


@pytest.fixture(scope="module")
def rows(store, X):
    return store.features("e", X)


KEYS = st.one_of(
    st.slices(N),
    st.lists(st.integers(-N, N - 1), max_size=20).map(lambda n: np.array(n, dtype=int)),
    st.lists(st.integers(0, N - 1), max_size=5),
    hnp.arrays(bool, N),
)


@settings(deadline=None)
@given(key=KEYS, then=st.slices(20))
def test_view__of_any_rows__is_that_of_the_array(rows, X, key, then):
    view = rows[key]
    assert isinstance(view, StoredRows)
    expected = X[key]
    assume(len(expected[then]))
    assert view.shape == expected.shape
    assert len(view) == len(expected)
    assert view.nbytes == expected.nbytes
    np.testing.assert_array_equal(np.asarray(view), expected)
    np.testing.assert_array_equal(np.asarray(view[then]), expected[then])
    there = pickle.loads(pickle.dumps(view))
    assert there.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(there), expected)


def test_view__of_no_rows__is_an_empty_array(rows):
    assert rows[:0].shape == (0, 5)
    assert np.asarray(rows[:0]).shape == (0, 5)
    assert rows.take(np.arange(0)).shape == (0, 5)
    rows.will_need(np.arange(0))


@settings(deadline=None)
@given(chosen=st.lists(st.integers(0, N - 1), min_size=1, max_size=40))
def test_take__of_rows_in_any_order__is_that_of_the_array(rows, X, chosen):
    chosen = np.array(chosen, dtype=int)
    rows.will_need(chosen)
    np.testing.assert_array_equal(rows.take(chosen), X[chosen])


def test_row__by_its_number__is_an_array(rows, X):
    for number in (0, 69, 70, N - 1, np.int64(3)):
        np.testing.assert_array_equal(rows[number], X[number])
    np.testing.assert_array_equal(np.asarray(rows[[2, 1], ...]), X[[2, 1]])


@pytest.mark.parametrize("key", [N, [0, N], -N - 1])
def test_rows__that_are_not_there__are_an_index_error(rows, key):
    with pytest.raises(IndexError):
        rows[key]


def test_last_row__by_a_negative_number__is_that_of_the_array(rows, X):
    np.testing.assert_array_equal(rows[-1], X[-1])


def test_columns__cannot_be_selected(rows):
    with pytest.raises(IndexError, match="only rows can be selected"):
        rows[:, 1]


def test_array__of_rows__follows_numpys_rules(rows, X):
    assert np.asarray(rows, dtype=np.float64).dtype == np.float64
    np.testing.assert_array_equal(np.array(rows, copy=True), X)
    if np.__version__ >= "2":  # to NumPy 1 it means: if possible
        with pytest.raises(ValueError, match="without a copy"):
            np.array(rows, copy=False)
    assert (rows.ndim, rows.dtype) == (2, np.float32)
    assert repr(rows) == "StoredRows(shape=(150, 5))"


def test_rows__of_samples_of_other_experts__are_not_mixed(tmp_path, X):
    store = EmbeddingStore(tmp_path)
    experts = [("same", SAME), ("square", FunctionTransformer(np.square))]
    store.extract(experts, {"d": X})
    np.testing.assert_array_equal(store.features("same", X), X)
    np.testing.assert_array_equal(store.features("square", X), X**2)


# Maps and pickles


def test_shard__is_mapped_read_only(store):
    (path, *_) = sorted(store.path.rglob("*.npy"))
    shard = Shard(path)
    assert isinstance(shard._map, mmap.mmap)
    assert not shard._rows.flags.writeable
    assert not shard._rows.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        shard._rows[0, 0] = 1
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        shard._rows.flags.writeable = True
    with pytest.raises(TypeError):
        shard._map[0] = 1


def test_rows__that_are_served__are_the_readers_own(rows, X):
    served = rows.take(np.arange(3))
    served[:] = 0
    np.testing.assert_array_equal(rows.take(np.arange(3)), X[:3])


class Wide(TransformerMixin, BaseEstimator):
    """512 features of two."""

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        return np.tile(X, 256)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    X = np.random.default_rng(2).normal(size=(1000, 2))
    store = EmbeddingStore(tmp_path_factory.mktemp("wide"))
    return store.extract([("e", Wide())], {"d": X}).features("e", X)


def test_pickle__of_rows__has_none_of_their_numbers(wide):
    assert wide.nbytes == 1000 * 512 * 4
    assert len(pickle.dumps(wide)) < 20_000
    np.asarray(wide)
    assert len(pickle.dumps(wide)) < 20_000
    # Of some rows it is smaller still.
    assert len(pickle.dumps(wide[:10])) < 1_000


def test_view__of_rows__reads_nothing(wide):
    tracemalloc.start()
    view = wide[::2][wide[::2].missing == 0]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100_000
    assert view._open == {}


def test_loky_workers__map_the_same_files_read_only(wide):
    first, second = joblib.Parallel(n_jobs=2)(
        joblib.delayed(store_worker.look_at)(part) for part in (wide[:500], wide[500:])
    )
    total = np.asarray(wide).sum(dtype=np.float64)
    assert first[0] + second[0] == pytest.approx(total)
    for _, text, kind in (first, second):
        assert "read-only" in text
        assert kind == "mmap"


def test_checks__of_blocks__are_made_once(store, monkeypatch):
    (path, *_) = sorted(store.path.rglob("*.npy"))
    shard, checked = Shard(path), []

    def crc32(data, original=zlib.crc32):
        checked.append(len(data))
        return original(data)

    monkeypatch.setattr(zlib, "crc32", crc32)
    shard.take(np.array([1, 5]))
    assert checked == [BLOCK_ROWS]
    shard.take(np.array([2, 69]))
    assert checked == [BLOCK_ROWS, 70 - BLOCK_ROWS]
    shard.take(np.arange(70))
    assert len(checked) == 2
