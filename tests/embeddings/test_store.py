"""EmbeddingStore: what is embedded, when again, and what of it is served."""

from __future__ import annotations

import json
import os
import pickle
import warnings
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import store_worker as worker
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from small_fits import weights_of
from store_worker import noted, notes

from jedi_sklearn import JEDIClassifier, MultiDataset, evaluate, stack_datasets
from jedi_sklearn.embeddings import EmbeddingStore, UnidentifiedError
from jedi_sklearn.embeddings._fingerprints import fingerprint, sample_ids
from jedi_sklearn.model_selection import MultiDatasetKFold
from jedi_sklearn.models import versioned_state as _state

LABELS = {name: np.arange(n) % 2 for name, n in worker.N_ROWS.items()}


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def experts(log):
    return worker.two_experts(log)


@pytest.fixture
def X():
    return worker.samples()


@pytest.fixture
def store(tmp_path, experts, X):
    """A store of all that two experts make of two datasets; the log is empty again."""
    store = EmbeddingStore(tmp_path / "store", shard_rows=8).extract(experts, X)
    (tmp_path / "log").unlink()
    return store


def classifier(experts, **params):
    defaults = {"max_epochs": 2, "adjustment_units": 4, "random_state": 0}
    return JEDIClassifier(experts, **defaults | params)


def embedded(log):
    """How often each sample was embedded, whatever heads were asked then."""
    return Counter(line for line in noted(log) if " features " in line)


def expected_features(name, rows):
    """What a noting encoder makes of rows, once more."""
    others = np.tanh(rows[:, 1:] * (1 + len(name)))
    return np.column_stack([rows[:, 0], others]).astype(np.float32)


# What is made


def test_features__of_every_expert_and_dataset__are_what_encoders_make(store, X):
    for expert in worker.N_ROWS:
        for rows in X.values():
            served = np.asarray(store.features(expert, rows))
            np.testing.assert_array_equal(served, expected_features(expert, rows))


def test_probabilities__of_heads__are_those_of_the_features(store, experts, X):
    for name, expert in experts:
        head = expert.estimator[-1]
        expected = head.predict_proba(expected_features(name, X["x"]))
        served = np.asarray(store.probabilities(name, X["x"]))
        np.testing.assert_array_equal(served, expected.astype(np.float32))
        again = np.asarray(store.probabilities((name, expert), X["x"]))
        np.testing.assert_array_equal(again, served)


def test_expert__without_probabilities__has_features_alone(tmp_path, X):
    y = LABELS["x"]
    bare = PCA(2).fit(X["x"])
    no_proba = make_pipeline(StandardScaler(), RidgeClassifier()).fit(X["x"], y)
    experts = [("bare", bare), ("no_proba", no_proba)]
    store = EmbeddingStore(tmp_path).extract(experts, X)
    assert set(store.info()["kind"]) == {"features"}
    for name, expert in experts:
        with pytest.raises(ValueError, match=f"no probabilities of an expert '{name}'"):
            store.probabilities(name, X["x"])
        with pytest.raises(ValueError, match=f"Expert '{name}' has no head"):
            store.probabilities((name, expert), X["x"])
    features = np.asarray(store.features("bare", X["x"]))
    np.testing.assert_array_equal(features, bare.transform(X["x"]).astype(np.float32))


def test_extract__of_an_array__is_one_dataset(tmp_path, X, log):
    store = EmbeddingStore(tmp_path / "store")
    store.extract([("x", worker.Noting(log, "x"))], X["x"])
    assert store.info()["dataset"].tolist() == ["dataset"]
    assert store.features("x", X["x"]).shape == (40, 4)


def test_extract__of_a_view__makes_the_wanted_stretches(tmp_path, experts, X, log):
    view = MultiDataset(X)[np.arange(9)]
    EmbeddingStore(tmp_path / "store", shard_rows=8).extract(experts[:1], view)
    # Row 8 lies in the second stretch, all of which is made; what others have
    # asked for of it then is the same shard.
    made = {line for line in noted(log) if "features" in line}
    assert made == {f"x features {n}" for n in range(16)}


def test_info__says_what_is_there(store):
    table = store.info()
    assert table.columns.tolist() == [
        "expert",
        "kind",
        "fingerprint",
        "dataset",
        "n_features",
        "n_rows",
        "n_missing",
        "n_shards",
        "n_bytes",
    ]
    of_x = table[(table["expert"] == "x") & (table["kind"] == "features")]
    assert of_x["dataset"].tolist() == ["x", "y"]
    assert of_x["n_rows"].tolist() == [40, 35]
    assert of_x["n_shards"].tolist() == [5, 5]
    assert of_x["n_features"].tolist() == [4, 4]
    assert (table["n_missing"] == 0).all()
    on_disk = sum(path.stat().st_size for path in store.path.rglob("*.npy"))
    assert table["n_bytes"].sum() == on_disk


def test_npy_files__are_arrays_for_any_program(store, X):
    (first,) = store.path.glob("x-features-*/x/00000000-*.npy")
    np.testing.assert_array_equal(np.load(first), expected_features("x", X["x"][:8]))


def test_store__without_anything__says_that_extract_makes_one(tmp_path, X):
    store = EmbeddingStore(tmp_path / "nothing")
    for ask in (
        store.info,
        store.verify,
        lambda: store.features("x", X["x"]),
        lambda: store.probabilities("x", X["x"]),
    ):
        with pytest.raises(ValueError, match=r"nothing; extract makes one|There is no"):
            ask()
    assert not store.path.exists()


@pytest.mark.parametrize(
    "name", ["a/b", "..", ".", ".hidden", "a b", "ä" * 120, "a*[b]?", "con:|<>", "x-y"]
)
def test_names__of_any_kind__have_directories_of_their_own(tmp_path, name, log):
    X = worker.samples()["x"][:3]
    inside = tmp_path / "deep" / "store"
    dataset = name.replace("/", "_")
    experts = [(name, worker.Noting(log, "x")), ("other", worker.Noting(log, "o"))]
    store = EmbeddingStore(inside).extract(experts, {dataset: X, "d": X[:2] + 9})
    assert sorted(store.info()["expert"].unique()) == sorted([name, "other"])
    np.testing.assert_array_equal(
        store.features(name, X)[0],
        np.asarray(store.features((name, worker.Noting(log, "x")), X))[0],
    )
    store.extract(experts, {dataset: X})
    assert set(notes(log).values()) == {1}
    assert {path.name for path in tmp_path.iterdir()} == {"deep", "log"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"store"}


def test_verbose__shows_rows_on_standard_error(tmp_path, experts, X, capsys):
    store = EmbeddingStore(tmp_path / "store").extract(experts[:1], X)
    assert capsys.readouterr() == ("", "")
    store.extract(experts[1:], X, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "75/75" in err


# When nothing is embedded again


def test_again__of_the_same__embeds_nothing(store, experts, X, log):
    before = worker.contents(store.path)
    assert store.extract(experts, X) is store
    EmbeddingStore(store.path).extract(pickle.loads(pickle.dumps(experts)), X)
    assert noted(log) == []
    assert worker.contents(store.path) == before


def test_again__by_any_view_of_the_samples__embeds_nothing(store, experts, X, log):
    rng = np.random.default_rng(0)
    stacked = MultiDataset(X)
    rows = rng.permutation(75)
    backwards = {name: values[::-1] for name, values in X.items()}
    for view in (
        stacked,
        stacked[rows],
        stacked[rows[:20]],
        stacked[rng.integers(0, 75, 200)],
        pickle.loads(pickle.dumps(stacked[rows[:50]])),
        {name: values[3:9] for name, values in X.items()},
        {name: np.repeat(values, 3, axis=0) for name, values in X.items()},
        {name: np.asfortranarray(values) for name, values in X.items()},
        {"another name": X["x"], "x": X["y"]},
        backwards,
    ):
        store.extract(experts, view)
        for values in view.values():
            served = np.asarray(store.features("x", values))
            np.testing.assert_array_equal(served, expected_features("x", values))
    assert noted(log) == []


def test_again__by_experts_of_other_names__embeds_nothing(store, experts, X, log):
    renamed = [("p", experts[0][1]), ("q", experts[1][1])]
    store.extract(renamed, X)
    assert noted(log) == []
    served = np.asarray(store.features(renamed[0], X["x"]))
    np.testing.assert_array_equal(served, expected_features("x", X["x"]))


def test_again__by_experts_that_are_not_frozen__embeds_nothing(store, experts, X, log):
    store.extract([(name, expert.estimator) for name, expert in experts], X)
    assert noted(log) == []


def test_again__with_another_log_and_pace__embeds_nothing(store, X, tmp_path):
    # The fingerprint of these encoders has neither.
    store.extract(worker.two_experts(tmp_path / "other_log", seconds=0.5), X)
    assert noted(tmp_path / "other_log") == []


def test_again__of_a_dataset_that_has_grown__embeds_what_is_new(store, experts, log):
    grown = worker.samples({"x": 50, "y": 35})
    # Its old rows are those of before, and the numbers say which are new.
    old = worker.samples()
    grown["x"][:40], grown["y"] = old["x"], old["y"]
    store.extract(experts, grown)
    assert {line.split()[2] for line in noted(log)} == {str(n) for n in range(40, 50)}
    assert set(notes(log).values()) == {1}
    served = np.asarray(store.features("x", grown["x"]))
    np.testing.assert_array_equal(served, expected_features("x", grown["x"]))


def test_again__after_a_killed_manifest__embeds_that_shard(store, experts, X, log):
    before = worker.contents(store.path)
    (manifest,) = store.path.glob("x-features-*/y/00000008-*.json")
    manifest.unlink()
    store.extract(experts, X)
    assert notes(log) == {f"x features {1000 + n}": 1 for n in range(8, 16)}
    assert worker.contents(store.path) == before


@pytest.mark.parametrize("through", ["extract", "fit"])
def test_once__by_an_encoder_that_two_experts_share__is_enough(
    tmp_path, X, log, through
):
    shared = worker.Noting(log, "x")
    heads = [worker.NotingHead(log, name) for name in X]
    experts = [
        (name, FrozenEstimator(make_pipeline(shared, head)))
        for name, head in zip(X, heads, strict=True)
    ]
    if through == "extract":
        EmbeddingStore(tmp_path / "store").extract(experts, X)
    else:
        classifier(experts, memory=tmp_path / "store").fit(X, LABELS)
    assert set(embedded(log).values()) == {1}
    store = EmbeddingStore(tmp_path / "store")
    assert store.features(experts[1], X["x"]).shape == (40, 4)
    assert store.features("x", X["x"]).shape == (40, 4)
    with pytest.raises(ValueError, match=r"'y', but of \['x'\]. One that shares"):
        store.features("y", X["x"])


@pytest.mark.parametrize("where", ["two datasets", "two stretches"])
def test_once__of_a_sample_that_is_there_twice__is_enough(
    tmp_path, experts, X, log, where
):
    twice = {"x": np.vstack([X["x"], X["x"]])}
    if where == "two datasets":
        twice = {"x": X["x"], "y": X["x"]}
    EmbeddingStore(tmp_path / "store", shard_rows=8).extract(experts[:1], twice)
    assert set(notes(log).values()) == {1}


# When all is embedded again


class Scaled(TransformerMixin, BaseEstimator):
    """Known by its parameters and weights, as most encoders are."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, X, y=None):
        self.mean_ = np.asarray(X).mean(axis=0)
        return self

    def transform(self, X):
        return (np.asarray(X) - self.mean_) * self.scale


class Recording(Scaled):
    """Known by what it says itself, and with a log that is no part of that."""

    log = None

    def fingerprint(self):
        return self.scale, self.mean_

    def transform(self, X):
        worker.note(self.log, ["row"] * len(X))
        return super().transform(X)


@pytest.mark.parametrize("change", ["parameter", "weights"])
def test_changed_expert__embeds_anew_and_is_never_served_the_old(tmp_path, X, change):
    old, new = (Scaled().fit(X["x"]) for _ in range(2))
    if change == "parameter":
        new.set_params(scale=2.0)
    else:
        new.mean_ = np.nextafter(new.mean_, 9)
    store = EmbeddingStore(tmp_path).extract([("e", old)], X)
    with pytest.raises(ValueError, match=r"no features of expert 'e' as it is now"):
        store.features(("e", new), X["x"])
    with pytest.warns(UserWarning, match="Expert 'e' is not the one whose embeddings"):
        store.extract([("e", new)], X)
    with pytest.raises(ValueError, match=r"2 experts named 'e'.*\(name, estimator\)"):
        store.features("e", X["x"])
    for expert in (old, new):
        served = np.asarray(store.features(("e", expert), X["x"]))
        expected = expert.transform(X["x"]).astype(np.float32)
        np.testing.assert_array_equal(served, expected)
    # Both are there now, so that neither is a surprise.
    store.extract([("e", new)], X).extract([("e", old)], X)


def test_changed_expert__in_fit__is_embedded_with_anew(tmp_path, X, log):
    memory, scaled = tmp_path / "store", Recording().fit(X["x"])
    for scale, n_embedded in ((1.0, 75), (3.0, 150), (1.0, 150)):
        scaled.scale = scale
        experts = [("x", FrozenEstimator(scaled)), ("y", FrozenEstimator(PCA(2)))]
        experts[1][1].estimator.fit(X["y"])
        scaled.log = log
        with_store = classifier(experts, memory=memory).fit(X, LABELS)
        assert len(noted(log)) == n_embedded
        scaled.log = tmp_path / "other_log"
        without = classifier(experts).fit(X, LABELS)
        np.testing.assert_equal(
            weights_of(with_store.teachers_), weights_of(without.teachers_)
        )


def test_version_of_scikit_learn__in_an_expert__does_not_matter(
    tmp_path, X, monkeypatch
):
    expert = make_pipeline(StandardScaler(), LogisticRegression())
    expert.fit(X["x"], LABELS["x"])
    store = EmbeddingStore(tmp_path).extract([("e", expert)], X)
    before = fingerprint(expert)
    monkeypatch.setattr("sklearn.base.__version__", "99.0")
    assert fingerprint(expert) == before
    assert store.probabilities(("e", expert), X["x"]).shape == (40, 2)


def test_frozen__whole_or_in_part__is_the_same_expert(X):
    scaler = StandardScaler().fit(X["x"])
    assert fingerprint(FrozenEstimator(scaler)) == fingerprint(scaler)
    assert fingerprint(FrozenEstimator(FrozenEstimator(scaler))) == fingerprint(scaler)
    frozen, bare = (Pipeline([("s", s)]) for s in (FrozenEstimator(scaler), scaler))
    assert fingerprint(frozen) == fingerprint(bare)


def test_fingerprint__of_another_class_or_value__is_another(X):
    class Same(Scaled):
        pass

    fitted = Scaled().fit(X["x"])
    others = [
        Scaled(2.0).fit(X["x"]),
        Scaled().fit(X["y"]),
        Scaled(np.float32(1)).fit(X["x"]),
        StandardScaler().fit(X["x"]),
    ]
    assert len({fingerprint(e) for e in [fitted, *others]}) == 5
    assert fingerprint(fitted) == fingerprint(clone(fitted).fit(X["x"]))
    assert fingerprint(fitted) == fingerprint(pickle.loads(pickle.dumps(fitted)))
    noting = [worker.Noting(Path("p"), "n"), worker.Noting(Path("q"), "n", 3.0)]
    assert len({*map(fingerprint, noting)}) == 1
    # What its own fingerprint says is not all: another class makes something else.
    assert fingerprint(noting[0]) != fingerprint("n")


def test_fingerprint__of_a_vectorizer__stays_when_it_is_used():
    texts = ["some words", "other words"]
    vectorizer = TfidfVectorizer().fit(texts)
    before = fingerprint(vectorizer)
    vectorizer.transform(texts)
    # The address of an object, which is another one in another process.
    vectorizer._stop_words_id = -1
    assert fingerprint(vectorizer) == before


def test_fingerprint__of_a_student__is_not_of_the_version(X, monkeypatch):
    experts = [(name, StandardScaler()) for name in LABELS]
    classifier = JEDIClassifier(experts, max_epochs=0, random_state=0).fit(X, LABELS)
    student = next(iter(classifier.students_.values()))
    before = fingerprint(student)
    monkeypatch.setattr(_state, "__version__", "77.0")
    assert fingerprint(student) == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_fingerprint__of_torch_weights__is_of_their_numbers(dtype):
    weights = torch.arange(6).reshape(2, 3).to(dtype)
    there = pickle.loads(pickle.dumps(weights))
    assert fingerprint([weights]) == fingerprint([there])
    assert fingerprint([weights]) == fingerprint([torch.nn.Parameter(weights).data])
    assert fingerprint([weights]) != fingerprint([weights + 1])
    assert fingerprint([weights]) != fingerprint([weights.to(torch.float64)])


# Files


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{n}.txt" for n in range(6)]
    for n, path in enumerate(paths):
        path.write_text(str(n))
    return paths


def read_numbers(paths):
    return np.array([[float(Path(path).read_text()), 1.0] for path in paths])


READER = FunctionTransformer(read_numbers)


@pytest.mark.parametrize("change", ["size", "mtime"])
def test_file__that_has_changed__is_embedded_anew_and_named(tmp_path, files, change):
    store = EmbeddingStore(tmp_path / "store").extract([("e", READER)], {"d": files})
    # Written at another time: the clock of a file system may be coarse.
    files[3].write_text("77" if change == "size" else "8")
    os.utime(files[3], ns=(0, 12345))
    with pytest.raises(ValueError, match=r"of 1 of the 6 samples \(first: '.*3.txt'\)"):
        store.features("e", files)
    with pytest.warns(UserWarning, match=r"1 files of dataset 'd' .*3\.txt"):
        store.extract([("e", READER)], {"d": files})
    served = np.asarray(store.features("e", files))
    np.testing.assert_array_equal(served, read_numbers(files))
    store.extract([("e", READER)], {"d": files})


def test_file__that_is_as_it_was_once_more__is_there_already(tmp_path, files):
    store = EmbeddingStore(tmp_path / "store").extract([("e", READER)], {"d": files})
    state = files[0].stat()
    files[0].write_text("99")
    with pytest.warns(UserWarning, match="1 files of dataset 'd' have changed"):
        store.extract([("e", READER)], {"d": files})
    files[0].write_text("0")
    os.utime(files[0], ns=(state.st_atime_ns, state.st_mtime_ns))
    before = worker.contents(store.path)
    store.extract([("e", READER)], {"d": files})
    assert worker.contents(store.path) == before
    assert store.features("e", files)[0][0] == 0


def test_file__by_str_or_path__is_one_sample(tmp_path, files):
    store = EmbeddingStore(tmp_path / "store").extract([("e", READER)], {"d": files})
    as_str = [str(path) for path in files]
    for same in (as_str, np.array(as_str), np.array(as_str, dtype=object), files[::-1]):
        assert store.features("e", same).shape == (6, 2)


def test_file__that_cannot_be_read__is_named_with_what_to_do(tmp_path, files):
    files[4].unlink()
    store = EmbeddingStore(tmp_path / "store", shard_rows=2)
    with pytest.raises(
        ValueError,
        match=r"Row 4 of dataset 'd', '.*4\.txt', cannot be embedded \(FileNotFound.*"
        r"Repair it or leave it out; .*on_error='skip'",
    ):
        store.extract([("e", READER)], {"d": files})
    assert store.features("e", files[:4]).shape == (4, 2)
    skipping = EmbeddingStore(store.path, on_error="skip")
    rows = skipping.extract([("e", READER)], {"d": files}).features("e", files)
    assert np.flatnonzero(rows.missing).tolist() == [4]
    np.testing.assert_array_equal(rows[[5]], [[5.0, 1.0]])
    # A file that is back is another sample than one that was not there.
    files[4].write_text("4")
    again = EmbeddingStore(store.path)
    again.extract([("e", READER)], {"d": files})
    np.testing.assert_array_equal(
        again.features("e", files)[:, ...], read_numbers(files)
    )


# Ids of samples


DTYPES = ["f2", "f4", "f8", ">f8", "i1", "i4", "u8", "?", "c8", "M8[s]", "m8[ms]"]


@st.composite
def arrays(draw):
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    elements = None
    if dtype.kind in "fc":
        elements = {"allow_nan": False}
    return draw(hnp.arrays(dtype, shape, elements=elements))


@settings(deadline=None)
@given(values=arrays(), data=st.data())
def test_ids__of_arrays__are_those_of_their_rows_in_any_layout(values, data):
    ids = sample_ids(values)
    by_row = {row.tobytes(): own for row, own in zip(values, ids, strict=True)}
    # Different rows have different ids, and equal ones the same.
    assert len(set(ids)) == len(by_row)
    assert ids == [by_row[row.tobytes()] for row in values]
    assert all(len(own) == 32 for own in ids)
    spread = np.repeat(values, 2, axis=-1)[..., ::2]
    for same in (np.asfortranarray(values), spread, values[::-1][::-1], values.copy()):
        assert sample_ids(same) == ids
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=6))
    assert sample_ids(values[rows]) == [ids[row] for row in rows]
    # A pickle has numbers as this machine has them, whatever they were.
    native = values.astype(values.dtype.newbyteorder("="))
    assert sample_ids(pickle.loads(pickle.dumps(native))) == sample_ids(native)


def test_ids__of_big_endian_numbers__are_those_of_their_pickle():
    values = np.arange(3, dtype=">f8")
    assert sample_ids(pickle.loads(pickle.dumps(values))) == sample_ids(values)


def test_ids__of_records__tell_fields_apart():
    first, second = (np.ones(2, dtype=[(n, "i4"), (m, "i4")]) for n, m in ("ab", "ba"))
    assert set(sample_ids(first)).isdisjoint(sample_ids(second))


@settings(deadline=None)
@given(values=arrays())
def test_ids__of_arrays__tell_dtypes_and_shapes_apart(values):
    ids = set(sample_ids(values))
    assert ids.isdisjoint(sample_ids(values[:, None]))
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        other = values.astype("f4" if values.dtype != "f4" else "f8")
    assert ids.isdisjoint(sample_ids(other))


def test_ids__of_memory_maps__are_those_of_arrays(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 2, 3))
    np.save(tmp_path / "a.npy", values)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert sample_ids(mapped) == sample_ids(values) == sample_ids(mapped[::-1])[::-1]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool"])
def test_ids__of_tensors__are_those_of_arrays(dtype):
    values = np.arange(12).reshape(4, 3).astype(dtype)
    assert sample_ids(torch.from_numpy(values)) == sample_ids(values)


def test_ids__of_bfloat16_tensors__tell_rows_apart():
    values = torch.arange(12.0).reshape(4, 3).to(torch.bfloat16)
    assert len(set(sample_ids(values))) == 4


CELLS = {
    "float": st.floats(allow_nan=False).filter(lambda x: x != 0) | st.just(np.nan),
    "int": st.integers(-(2**63), 2**63 - 1),
    "str": st.text(max_size=4),
    "category": st.sampled_from(["a", "b", "ccc"]),
    "object": st.one_of(
        st.none(), st.text(max_size=3), st.integers(-5, 5), st.tuples(st.integers(0, 2))
    ),
    "bool": st.booleans(),
}


@st.composite
def frames(draw):
    kinds = draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=4))
    n = draw(st.integers(1, 5))
    cells = [draw(st.lists(CELLS[k], min_size=n, max_size=n)) for k in kinds]
    columns = {}
    for number, (kind, column) in enumerate(zip(kinds, cells, strict=True)):
        if kind == "category":
            of_kind = pd.Categorical(column, ["b", "a", "ccc"])
        else:
            dtype = {"float": "f8", "int": "i8", "str": "str", "bool": "?"}.get(kind)
            of_kind = pd.Series(column, dtype=dtype or object)
        columns[f"c{number}"] = of_kind
    rows = [repr(row) for row in zip(*cells, strict=True)]
    return pd.DataFrame(columns), rows


@settings(deadline=None, max_examples=60)
@given(table=frames(), data=st.data())
def test_ids__of_data_frames__are_those_of_their_rows(table, data):
    frame, rows = table
    ids = sample_ids(frame)
    by_row = dict(zip(rows, ids, strict=True))
    assert len(set(ids)) == len(by_row)
    assert ids == [by_row[row] for row in rows]
    order = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6))
    assert sample_ids(frame.iloc[order]) == [ids[row] for row in order]
    shuffled = frame.set_index(pd.Index([f"i{n}" for n in range(len(frame))]))
    assert sample_ids(shuffled) == ids
    assert sample_ids(pickle.loads(pickle.dumps(frame))) == ids
    assert set(ids).isdisjoint(sample_ids(frame.rename(columns={"c0": "other"})))


def test_ids__of_categories__do_not_depend_on_how_pandas_shows_them():
    names = [f"category {n}" for n in range(50)]
    frame = pd.DataFrame({"c": pd.Categorical(names[:3], names)})
    ids = sample_ids(frame)
    with pd.option_context("display.max_categories", 3, "display.width", 20):
        assert sample_ids(frame) == ids


def test_features__of_many_categories__are_those_of_their_codes(tmp_path):
    names = [f"c{n}" for n in range(120)]
    others = names[:50] + names[60:50:-1] + names[50:51] + names[61:]
    encoder = FunctionTransformer(codes_of_categories)
    store = EmbeddingStore(tmp_path)
    for categories in (names, others):
        frame = pd.DataFrame({"c": pd.Categorical(["c52"], categories)})
        store.extract([("e", encoder)], {"d": frame})
        served = np.asarray(store.features("e", frame))
        np.testing.assert_array_equal(served, codes_of_categories(frame))


def codes_of_categories(frame):
    return frame["c"].cat.codes.to_numpy()[:, None].astype(float)


@settings(deadline=None)
@given(
    dense=hnp.arrays(
        "f8",
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        elements=st.sampled_from([0.0, 1.0, -2.5]),
    ),
    seed=st.integers(0, 100),
)
def test_ids__of_sparse_rows__do_not_depend_on_how_they_are_stored(dense, seed):
    matrix = csr_array(dense)
    ids = sample_ids(matrix)
    by_row = {tuple(row): own for row, own in zip(dense, ids, strict=True)}
    assert len(set(ids)) == len(by_row)
    messy = with_messy_storage(matrix, np.random.default_rng(seed))
    np.testing.assert_array_equal(messy.toarray(), dense)
    for same in (
        messy,
        csr_matrix(matrix),
        matrix.tocsc(),
        matrix.tocoo(),
        matrix[::-1][::-1],
    ):
        assert sample_ids(same) == ids
    assert not messy.has_canonical_format or matrix.nnz == 0


def with_messy_storage(matrix, rng):
    """Store the same in another order, with each number in two parts."""
    data, indices, starts = [], [], [0]
    for first, last in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        order = rng.permutation(np.repeat(np.arange(first, last), 2))
        data += (matrix.data[order] / 2).tolist()
        indices += matrix.indices[order].tolist()
        starts.append(len(data))
    arrays = np.array(data), np.array(indices, "i8"), np.array(starts, "i8")
    return csr_array(arrays, shape=matrix.shape)


def test_ids__of_sparse_rows_with_stored_zeros__are_those_without():
    matrix = csr_array(([1.0, 0.0], [0, 2], [0, 2]), shape=(1, 3))
    assert sample_ids(matrix) == sample_ids(csr_array([[1.0, 0.0, 0.0]]))


PLAIN = st.one_of(
    st.text(max_size=3),
    st.binary(max_size=3),
    st.integers(-9, 9),
    st.floats(-3, 3, allow_nan=False).filter(lambda x: x != 0),
    st.none(),
)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.one_of(
            PLAIN,
            st.tuples(PLAIN, PLAIN),
            st.lists(PLAIN, max_size=3),
            st.dictionaries(st.text(max_size=2), PLAIN, max_size=3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_ids__of_python_objects__are_those_of_their_values(rows):
    ids = sample_ids(rows)
    # repr tells 1 from 1.0, which == does not.
    assert len(set(ids)) == len({canonical(row) for row in rows})
    there = pickle.loads(pickle.dumps(rows))
    assert sample_ids(there) == ids
    assert sample_ids(rows[::-1]) == ids[::-1]


def canonical(row):
    if isinstance(row, dict):
        return f"dict {sorted(row.items())}"
    return repr(row)


def test_ids__of_lists_of_arrays__are_those_of_their_numbers():
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(n + 1, 4)) for n in range(3)]
    ids = sample_ids(rows)
    assert len(set(ids)) == 3
    spread = [np.repeat(row, 2, axis=1)[:, ::2] for row in rows]
    assert sample_ids(spread) == ids
    assert sample_ids([row.copy() for row in rows]) == ids


def test_ids__of_lists_of_arrays__do_not_depend_on_memory_order():
    rows = [np.arange(12.0).reshape(3, 4)]
    assert sample_ids([np.asfortranarray(rows[0])]) == sample_ids(rows)


def test_ids__of_texts__are_those_of_any_container():
    words = ["a", "b", "a", "ä", ""]
    ids = sample_ids(words)
    assert [ids[0] == own for own in ids] == [True, False, True, False, False]
    for same in (np.array(words), np.array(words, dtype=object), tuple(words)):
        assert sample_ids(same) == ids


def test_ids__of_file_names_in_any_encoding__tell_them_apart():
    names = [os.fsdecode(b"a\xff"), os.fsdecode(b"a\xfe")]
    assert len(set(sample_ids(names))) == 2


def test_ids__of_rows_of_texts__do_not_depend_on_other_rows():
    rows = np.array([["a", "b"], ["c", "longer"]])
    assert sample_ids(np.array([["a", "b"]])) == sample_ids(rows)[:1]


def test_ids__in_another_process__are_the_same(tmp_path):
    values = worker.samples_of_all_kinds()
    ids = [sample_ids(value) for value in values]
    output = tmp_path / "ids.json"
    process = worker.start(worker.ids_elsewhere, "samples_of_all_kinds", output)
    assert worker.finish(process) == [0]
    assert json.loads(output.read_text()) == ids
    # Those of one kind are not those of another, but for texts and an array that are in
    # two containers each.
    different = {own for of_kind in ids for own in of_kind}
    assert len(different) == 4 * (len(values) - 1) - 1


def test_ids__of_what_has_no_pickle__say_so():
    with pytest.raises(UnidentifiedError, match="cannot be pickled"):
        sample_ids([lambda: None])


# Settings


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dtype": "float64"}, "dtype='float64'.*'float32', 'float16', 'bfloat16'"),
        ({"dtype": np.float32}, "dtype=<class"),
        ({"shard_rows": 0}, "shard_rows=0.*integers of 1 or more"),
        ({"shard_rows": True}, "shard_rows=True"),
        ({"shard_rows": 2.5}, "shard_rows=2.5"),
        ({"on_error": "ignore"}, "on_error='ignore'.*'raise', 'skip'"),
    ],
)
def test_parameter__out_of_range__is_named(tmp_path, params, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingStore(tmp_path, **params)
    assert not any(tmp_path.iterdir())


def test_settings__of_the_store_that_is_there__hold(store):
    assert EmbeddingStore(store.path, shard_rows=8, dtype="float32").dtype == "float32"
    with pytest.raises(
        ValueError, match=r"dtype='float16'. The store in .* 'float32'|dtype='float16'"
    ):
        EmbeddingStore(store.path, dtype="float16")
    with pytest.raises(ValueError, match=r"shard_rows=9.*has shard_rows=8"):
        EmbeddingStore(store.path, shard_rows=9)


def test_settings__that_two_stores_choose_apart__are_those_of_the_first(
    tmp_path, experts, X
):
    first = EmbeddingStore(tmp_path / "store", dtype="float16")
    second = EmbeddingStore(tmp_path / "store", dtype="bfloat16")
    first.extract(experts[:1], {"x": X["x"]})
    with pytest.raises(ValueError, match=r"bfloat16.*has dtype='float16'"):
        second.extract(experts[:1], {"y": X["y"]})
    assert EmbeddingStore(tmp_path / "store").dtype == "float16"


def test_store__pickled_and_cloned__is_the_same(store):
    again = pickle.loads(pickle.dumps(store))
    assert repr(again) == repr(store)
    pd.testing.assert_frame_equal(again.info(), store.info())
    assert "float32" in repr(store)
    assert str(store.path) in repr(store)


def test_path__that_is_relative__stays_where_it_was(tmp_path, monkeypatch, experts, X):
    monkeypatch.chdir(tmp_path)
    store = EmbeddingStore("store")
    monkeypatch.chdir("/")
    store.extract(experts[:1], X)
    assert (tmp_path / "store" / "store.json").exists()


# Bad experts and samples


class Failing(TransformerMixin, BaseEstimator):
    """Fails for samples whose first number is one of some."""

    def __init__(self, numbers=(), how="raise", log=None):
        self.numbers = numbers
        self.how = how
        self.log = log

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def fingerprint(self):
        # Whether it fails does not change what it makes.
        return "failing"

    def transform(self, X):
        X = np.asarray(X)
        if self.log is not None:
            worker.note(self.log, [f"{x:g}" for x in X[:, 0]])
        bad = np.isin(X[:, 0], self.numbers)
        if self.how == "raise" and bad.any():
            raise RuntimeError("a broken sample")
        made = np.array(X[:, :3])
        made[bad] = {"nan": np.nan, "inf": np.inf}.get(self.how, 0)
        return made


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("how", ["raise", "nan", "inf"])
def test_sample__that_cannot_be_embedded__is_named(tmp_path, X, how, n_jobs):
    store = EmbeddingStore(tmp_path / "store", shard_rows=8)
    text = {"raise": "RuntimeError: a broken sample"}.get(how, "NaN or infinity")
    with pytest.raises(
        ValueError, match=rf"Row 13 of dataset 'y' cannot be embedded .*{text}"
    ):
        store.extract([("e", Failing([1013], how))], X, n_jobs=n_jobs)
    # What was finished before it stays good, and is served. Of two processes, one may
    # have been busy with the last rows before it.
    assert store.verify() == []
    n_finished = 40 if n_jobs is None else 24
    assert store.features("e", X["x"][:n_finished]).shape == (n_finished, 3)
    store.extract([("e", Failing([], how, tmp_path / "log"))], X)
    assert "1" not in noted(tmp_path / "log")
    served = np.asarray(store.features("e", X["y"]))
    np.testing.assert_array_equal(served, X["y"][:, :3].astype(np.float32))


class Widening(Failing):
    """Makes more features of some samples than of others."""

    def transform(self, X):
        X = np.asarray(X)
        return X[:, : 2 + int(np.isin(X[:, 0], self.numbers).any())]


@pytest.mark.parametrize(("number", "place"), [(20, "shards"), (1000, "datasets")])
def test_width__that_changes__is_refused(tmp_path, X, number, place):
    store = EmbeddingStore(tmp_path, shard_rows=8)
    with pytest.raises(ValueError, match=r"'e' returned 3 features.*of 2 .*one width"):
        store.extract([("e", Widening([number]))], X)
    assert store.verify() == []
    assert store.features("e", X["x"][:16]).shape == (16, 2)


class Wrong(Failing):
    """Makes what is no embedding."""

    def transform(self, X):
        X = np.asarray(X)
        return {
            "flat": X[:, 0],
            "short": X[1:],
            "no numbers": np.array([["a"]] * len(X)),
            "too large": X * 1e39,
        }[self.how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("flat", r"embedding of shape \(1,\).*must be of shape \(1, n_features\)"),
        ("short", r"embedding of shape \(0, 4\).*must be of shape"),
        ("no numbers", "could not convert string to float"),
        ("too large", "NaN or infinity"),
    ],
)
def test_embedding__that_is_none__is_refused(tmp_path, X, how, message):
    store = EmbeddingStore(tmp_path, shard_rows=8)
    with pytest.raises(ValueError, match=f"Row 0 of dataset 'x' cannot .*{message}"):
        store.extract([("e", Wrong(how=how))], {"x": X["x"] + 1})
    assert not list(tmp_path.rglob("*.npy"))


class Hungry(Failing):
    def transform(self, X):
        raise MemoryError


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_out_of_memory__is_not_blamed_on_a_sample(tmp_path, X, on_error):
    with pytest.raises(MemoryError):
        EmbeddingStore(tmp_path, on_error=on_error).extract([("e", Hungry())], X)
    assert not list(tmp_path.rglob("*.npy"))


def test_expert__that_is_not_fitted__is_named(tmp_path, X):
    with pytest.raises((ValueError, NotFittedError), match="Expert 'e' is not fitted"):
        EmbeddingStore(tmp_path).extract([("e", PCA(2))], X)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("names", [["e", "e"], [3]])
def test_expert_names__that_are_wrong__are_named(tmp_path, X, names):
    experts = [(name, Scaled(n).fit(X["x"])) for n, name in enumerate(names)]
    with pytest.raises(ValueError, match=f"name {names[0]!r}"):
        EmbeddingStore(tmp_path).extract(experts, X)


def test_expert__without_a_pickle__is_refused_by_extract(tmp_path, X):
    unknown = FunctionTransformer(lambda rows: rows[:, ::-1])
    with pytest.raises(
        UnidentifiedError, match=r"Expert 'e' cannot be kept: .*pickled"
    ):
        EmbeddingStore(tmp_path).extract([("e", unknown)], X)


def test_expert__without_a_pickle__is_trained_on_and_not_kept(tmp_path, X):
    unknown = FunctionTransformer(lambda rows: rows[:, ::-1])
    experts = [(name, FrozenEstimator(unknown)) for name in X]
    clf = classifier(experts, memory=tmp_path / "store")
    with pytest.warns(UserWarning, match="Embeddings are not kept in .*Expert 'x'"):
        clf.fit(X, LABELS)
    expected = classifier(experts).fit(X, LABELS)
    np.testing.assert_equal(weights_of(clf.students_), weights_of(expected.students_))
    assert not (tmp_path / "store").exists()


def test_expert__without_a_pickle__leaves_the_others_kept(tmp_path, X):
    unknown = FunctionTransformer(lambda rows: rows[:, ::-1])
    known = Scaled(2.0).fit(X["x"])
    experts = [("x", FrozenEstimator(known)), ("y", FrozenEstimator(unknown))]
    clf = classifier(experts, memory=tmp_path / "store")
    with pytest.warns(UserWarning, match="Embeddings are not kept in .*Expert 'y'"):
        clf.fit(X, LABELS)
    assert set(EmbeddingStore(tmp_path / "store").info()["expert"]) == {"x"}
    expected = classifier(experts).fit(X, LABELS)
    np.testing.assert_equal(weights_of(clf.students_), weights_of(expected.students_))


# Rows that are skipped


BAD = {"x": [3, 17, 18, 39], "y": [1000, 1034]}


@pytest.fixture
def failing(tmp_path):
    numbers = BAD["x"] + BAD["y"]
    encoder = Failing(numbers, log=tmp_path / "log")
    return [(name, FrozenEstimator(encoder)) for name in worker.N_ROWS]


@pytest.fixture
def skipping(tmp_path):
    return EmbeddingStore(tmp_path / "store", shard_rows=8, on_error="skip")


def good_rows(X):
    return {name: ~np.isin(rows[:, 0], BAD[name]) for name, rows in X.items()}


def test_skip__marks_rows_as_missing_with_the_reason(skipping, failing, X, tmp_path):
    failing = failing[:1]
    skipping.extract(failing, X)
    for name, rows in X.items():
        stored = skipping.features("x", rows)
        np.testing.assert_array_equal(~stored.missing, good_rows(X)[name])
        there = rows[good_rows(X)[name]]
        served = np.asarray(stored[~stored.missing])
        np.testing.assert_array_equal(served, there[:, :3].astype(np.float32))
        with pytest.raises(ValueError, match=f"{len(BAD[name])} of the rows could not"):
            np.asarray(stored)
    assert skipping.info()["n_rows"].tolist() == [36, 33]
    assert skipping.info()["n_missing"].tolist() == [4, 2]
    manifests = skipping.path.glob("*/*/*.json")
    reasons = [json.loads(path.read_text())["missing"] for path in manifests]
    texts = [text for reason in reasons for text in reason.values()]
    assert len(texts) == 6
    assert all("a broken sample" in text for text in texts)
    assert skipping.verify() == []
    # They are not tried again by one that skips.
    (tmp_path / "log").unlink()
    skipping.extract(failing, X)
    assert noted(tmp_path / "log") == []


def test_skip__with_a_head__leaves_the_same_rows_without_probabilities(
    skipping, X, tmp_path
):
    expert = make_pipeline(Failing(BAD["x"] + BAD["y"]), LogisticRegression())
    expert.steps[-1][1].fit(X["x"][:, :3], LABELS["x"])
    skipping.extract([("e", expert)], X)
    for name, rows in X.items():
        stored = skipping.probabilities("e", rows)
        np.testing.assert_array_equal(~stored.missing, good_rows(X)[name])
        there = rows[good_rows(X)[name], :3].astype(np.float32)
        expected = expert.steps[-1][1].predict_proba(there).astype(np.float32)
        served = np.asarray(stored[~stored.missing])
        np.testing.assert_allclose(served, expected, rtol=1e-6)


def test_missing_rows__for_a_store_that_raises__are_tried_again(
    skipping, failing, X, tmp_path
):
    failing = failing[:1]
    skipping.extract(failing, X)
    log = tmp_path / "log"
    log.unlink()
    raising = EmbeddingStore(skipping.path)
    with pytest.raises(ValueError, match="Row 3 of dataset 'x' cannot be embedded"):
        raising.extract(failing, X)
    assert notes(log)["3"]
    assert "4" not in notes(log)
    log.unlink()
    raising.extract([("x", Failing(log=log))], X)
    assert sorted(map(int, noted(log))) == BAD["x"] + BAD["y"]
    for rows in X.values():
        stored = skipping.features("x", rows)
        assert not stored.missing.any()
        np.testing.assert_array_equal(np.asarray(stored), rows[:, :3].astype("f4"))


def test_info__after_missing_rows_were_made__counts_none_as_missing(
    skipping, failing, X
):
    skipping.extract(failing[:1], X)
    store = EmbeddingStore(skipping.path).extract([("x", Failing())], X)
    assert store.info()["n_rows"].tolist() == [40, 35]
    assert store.info()["n_missing"].tolist() == [0, 0]


@pytest.fixture
def fitted_skipping(skipping, failing, X):
    clf = classifier(failing, memory=skipping)
    with pytest.warns(UserWarning, match=r"left out: \{'x': 4, 'y': 2\}"):
        return clf.fit(X, LABELS)


def test_fit__with_missing_rows__is_the_fit_without_them(fitted_skipping, failing, X):
    good = good_rows(X)
    expected = classifier(failing).fit(
        {name: rows[good[name]] for name, rows in X.items()},
        {name: labels[good[name]] for name, labels in LABELS.items()},
    )
    for attribute in ("students_", "teachers_"):
        np.testing.assert_equal(
            weights_of(getattr(fitted_skipping, attribute)),
            weights_of(getattr(expected, attribute)),
        )
    pd.testing.assert_frame_equal(fitted_skipping.history_, expected.history_)


def test_score__with_missing_rows__leaves_them_out(fitted_skipping, X):
    good = good_rows(X)
    X_good = {name: rows[good[name]] for name, rows in X.items()}
    y_good = {name: labels[good[name]] for name, labels in LABELS.items()}
    assert fitted_skipping.score(X, LABELS) == fitted_skipping.score(X_good, y_good)
    weights = {name: np.arange(len(rows)) + 1.0 for name, rows in X.items()}
    of_good = {name: w[good[name]] for name, w in weights.items()}
    assert fitted_skipping.score(X, LABELS, weights) == fitted_skipping.score(
        X_good, y_good, of_good
    )
    pd.testing.assert_frame_equal(
        evaluate(fitted_skipping, X, LABELS), evaluate(fitted_skipping, X_good, y_good)
    )
    with pytest.raises(ValueError, match="No labelled row of dataset 'x' could be emb"):
        fitted_skipping.score({"x": X["x"][[3, 17]]}, {"x": [0, 1]})


def test_predict__of_a_missing_row__names_it(fitted_skipping, X):
    good = good_rows(X)["x"]
    for predict in (fitted_skipping.predict, fitted_skipping.predict_proba):
        with pytest.raises(
            ValueError, match=r"4 rows of dataset 'x' .* \(first: row 3\).*leave them"
        ):
            predict({"x": X["x"]})
        assert len(predict({"x": X["x"][good]})["x"]) == 36


def test_missing_rows__of_the_validation__are_left_out(skipping, failing, X):
    good = good_rows(X)
    clean = {name: rows[good[name]] for name, rows in X.items()}
    y_clean = {name: labels[good[name]] for name, labels in LABELS.items()}
    clf, expected = (classifier(failing, memory=skipping) for _ in range(2))
    with pytest.warns(UserWarning, match=r"left out: \{'x': 4, 'y': 2\}"):
        clf.fit(clean, y_clean, X_val=X, y_val=LABELS)
    expected.fit(clean, y_clean, X_val=clean, y_val=y_clean)
    pd.testing.assert_frame_equal(clf.history_, expected.history_)


def test_dataset__of_which_all_rows_are_missing__is_named(skipping, X):
    encoder = FrozenEstimator(Failing(X["y"][:, 0].tolist()))
    clf = classifier([(name, encoder) for name in X], memory=skipping)
    with (
        pytest.warns(UserWarning, match=r"\{'y': 35\}"),
        pytest.raises(ValueError, match="All labelled rows of dataset 'y' could not"),
    ):
        clf.fit(X, LABELS)
    assert not hasattr(clf, "students_")


# The parameter memory


def memory_of(kind, path):
    return {
        "str": lambda: str(path),
        "Path": lambda: path,
        "EmbeddingStore": lambda: EmbeddingStore(path),
        "float16": lambda: EmbeddingStore(path, dtype="float16"),
        "joblib": lambda: joblib.Memory(path, verbose=0),
    }[kind]()


@pytest.mark.parametrize("kind", ["str", "Path", "EmbeddingStore", "float16", "joblib"])
def test_memory__of_any_kind__keeps_what_experts_make(tmp_path, experts, X, log, kind):
    memory = memory_of(kind, tmp_path / "memory")
    clf = classifier(experts, memory=memory).fit(X, LABELS)
    clf.predict(X)
    clf.score(X, LABELS)
    evaluate(clf, X, LABELS)
    # As another session would have it.
    again = classifier(experts, memory=memory_of(kind, tmp_path / "memory"))
    again.fit(X, LABELS)
    assert embedded(log) == worker.everything(["features"])
    np.testing.assert_equal(weights_of(again.students_), weights_of(clf.students_))
    (settings_file,) = (tmp_path / "memory").rglob("store.json")
    assert EmbeddingStore(settings_file.parent).info()["n_rows"].sum() == 150


@pytest.mark.parametrize("memory", [None, joblib.Memory(None)])
def test_memory__that_keeps_nothing__is_none(tmp_path, experts, X, monkeypatch, memory):
    monkeypatch.chdir(tmp_path)
    classifier(experts, memory=memory).fit(X, LABELS)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_memory__of_joblib__is_cleared_with_all_else(tmp_path, experts, X, log):
    memory = joblib.Memory(tmp_path / "memory", verbose=0)
    classifier(experts, memory=memory).fit(X, LABELS)
    memory.clear(warn=False)
    classifier(experts, memory=memory).fit(X, LABELS)
    assert set(notes(log).values()) == {2}


@pytest.mark.parametrize("memory", [3, True, b"path", {"path": "x"}, EmbeddingStore])
def test_memory__of_another_kind__is_refused(experts, X, log, memory):
    with pytest.raises(ValueError, match=r"memory=.*Valid values are paths"):
        classifier(experts, memory=memory).fit(X, LABELS)
    assert noted(log) == []


def test_predict__of_new_rows__keeps_them_too(tmp_path, experts, X, log):
    clf = classifier(experts, memory=tmp_path / "store").fit(X, LABELS)
    log.unlink()
    new = {"x": worker.samples({"x": 50})["x"][45:]}
    first, second = (clf.predict_proba(new)["x"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert noted(log) == [f"x features {n}" for n in range(45, 50)]


def test_evaluate__of_rows_that_no_store_has__embeds_them_once(experts, X, log):
    clf = classifier(experts).fit(X, LABELS)
    log.unlink()
    evaluate(clf, X, LABELS)
    assert embedded(log) == worker.everything(["features"])


def test_experts__of_which_some_are_frozen__keep_what_those_make(tmp_path, X, log):
    frozen = FrozenEstimator(worker.Noting(log, "x"))
    experts = [("x", frozen), ("y", PCA(2))]
    with_store, without = (
        classifier(experts, memory=memory).fit(X, LABELS)
        for memory in (tmp_path / "store", None)
    )
    np.testing.assert_equal(
        weights_of(with_store.teachers_), weights_of(without.teachers_)
    )
    table = EmbeddingStore(tmp_path / "store").info()
    assert table["expert"].tolist() == ["x", "x"]


@pytest.mark.slow
def test_search__of_27_candidates_in_5_folds__embeds_each_sample_once(
    tmp_path, experts, X, log
):
    stacked, y = stack_datasets(X, LABELS)
    grid = {name: [0.5, 1.0, 2.0] for name in ("alpha", "beta", "gamma")}
    clf = classifier(experts, memory=str(tmp_path / "store"), max_epochs=1)
    search = GridSearchCV(clf, grid, cv=MultiDatasetKFold(5), error_score="raise")
    search.fit(stacked, y)
    search.predict(stacked)
    search.score(stacked[::2], y[::2])
    # A plain dict has no embeddings of its own.
    search.best_estimator_.predict({name: rows[::3] for name, rows in X.items()})
    assert len(search.cv_results_["params"]) == 27
    assert notes(log) == worker.everything(["features"])
