"""Models in pickles and skops files: what they hold, and those of older versions."""

from __future__ import annotations

import copy
import io
import json
import pickle
import pickletools
from collections.abc import Callable
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skops import io as skops
from small_fits import Data, small_classifier

from jedi_sklearn import JEDIClassifier, evaluate, load_student, stack_datasets
from jedi_sklearn.encoders import MLPEncoder
from jedi_sklearn.models import versioned_state as _state
from jedi_sklearn.models.distilled_classifier import DistilledClassifier

MODELS = Path(__file__).parent / "data" / "models"
VERSIONS = sorted(path.name for path in MODELS.iterdir())


def experts() -> list[tuple[str, Any]]:
    """Return one of each kind that scikit-learn and this package have."""
    frozen = PCA(2, random_state=0).fit(np.random.default_rng(0).normal(size=(9, 5)))
    return [
        ("a", make_pipeline(StandardScaler(), PCA(3), LogisticRegression())),
        ("b", make_column_transformer(("passthrough", slice(1, 4)))),
        ("frozen", FrozenEstimator(frozen)),
        ("mlp", make_pipeline(FunctionTransformer(), MLPEncoder(3))),
    ]


@pytest.fixture(scope="module")
def data_of_all(data: Data) -> Data:
    X, y = data
    return X | {"mlp": X["b"] - 1.0}, y | {"mlp": y["b"] + 0.5 - 0.5}


@pytest.fixture(scope="module")
def clf(data_of_all) -> JEDIClassifier:
    X, y = data_of_all
    return small_classifier(experts()).fit(X, y, X_val=X, y_val=y)


def assert_same(loaded: JEDIClassifier, clf: JEDIClassifier, data: Data) -> None:
    """Assert that two classifiers are alike to the bit."""
    X, y = data
    pd.testing.assert_frame_equal(loaded.history_, clf.history_)
    np.testing.assert_array_equal(loaded.classes_, clf.classes_)
    assert loaded.classes_.dtype == clf.classes_.dtype
    assert loaded.score(X, y) == clf.score(X, y)
    for kind in ("students_", "teachers_"):
        for name, model in getattr(clf, kind).items():
            other = getattr(loaded, kind)[name]
            np.testing.assert_array_equal(
                other.predict_proba(X[name]), model.predict_proba(X[name])
            )
            np.testing.assert_array_equal(other.classes_, model.classes_)
            assert other.classes_.dtype == model.classes_.dtype
    assert repr(loaded) == repr(clf)
    np.testing.assert_equal(evaluate(loaded, X, y).values, evaluate(clf, X, y).values)


# --------------------------------------------------------------------------------------
# Pickles.
# --------------------------------------------------------------------------------------

COPIES: dict[str, Callable[[Any], Any]] = {
    **{
        f"protocol {n}": lambda clf, n=n: pickle.loads(pickle.dumps(clf, protocol=n))
        for n in range(2, 6)
    },
    "cloudpickle": lambda clf: pickle.loads(cloudpickle.dumps(clf)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_pickle__same_bits(clf, data_of_all, copied):
    assert_same(copied(clf), clf, data_of_all)


@pytest.mark.parametrize("compress", [0, 3, ("lzma", 3)])
def test_joblib__same_bits(clf, data_of_all, tmp_path, compress):
    joblib.dump(clf, tmp_path / "model", compress=compress)
    assert_same(joblib.load(tmp_path / "model"), clf, data_of_all)


def test_joblib__mapped_from_disk__predicts_from_there(clf, data_of_all, tmp_path):
    joblib.dump(clf, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    weights = mapped.students_["a"].branches[0].adjustment.down.coef
    assert isinstance(weights, np.memmap)
    assert not weights.flags.writeable
    assert_same(mapped, clf, data_of_all)
    # It can be trained again, too.
    X, y = data_of_all
    assert_same(mapped.fit(X, y), clone(clf).fit(X, y), data_of_all)


def test_warm_start__goes_on_after_a_pickle(data_of_all):
    X, y = data_of_all
    first = small_classifier(experts(), warm_start=True).fit(X, y)
    loaded = pickle.loads(pickle.dumps(first))
    assert_same(loaded.fit(X, y), first.fit(X, y), data_of_all)


def names_in(data: bytes) -> set[str]:
    """Return the modules whose names a pickle has."""
    strings, found = [], set()
    for code, argument, _ in pickletools.genops(data):
        if code.name == "GLOBAL":
            found.add(str(argument).split(" ", maxsplit=1)[0])
        elif code.name == "STACK_GLOBAL":
            found.add(strings[-2])
        if isinstance(argument, str) and "MEMO" not in code.name:
            strings.append(argument)
    return found


def test_pickle__names_neither_torch_nor_pandas(clf):
    # So that neither a device nor a version of theirs is needed to read it.
    modules = names_in(pickle.dumps(clf, protocol=2))
    roots = {module.partition(".")[0] for module in modules}
    assert "jedi_sklearn" in roots
    assert roots <= {
        "__builtin__",
        "_codecs",
        "collections",
        "copy_reg",
        "jedi_sklearn",
        "numpy",
        "sklearn",
    }


# --------------------------------------------------------------------------------------
# What a state says of itself.
# --------------------------------------------------------------------------------------


def test_state__has_the_version__loaded_model_has_it_not(clf):
    for model in (clf, clf.students_["a"]):
        state = model.__getstate__()
        assert state["_version"] == _state.__version__
        assert state["_format"] == _state.FORMAT
        assert vars(pickle.loads(pickle.dumps(model))).keys() == vars(model).keys()


@pytest.mark.parametrize("kind", ["classifier", "student"])
def test_state__of_a_newer_format__refused(clf, monkeypatch, kind):
    model = clf if kind == "classifier" else clf.students_["a"]
    with monkeypatch.context() as patch:
        patch.setattr(_state, "FORMAT", _state.FORMAT + 1)
        patch.setattr(_state, "__version__", "99.0")
        data = pickle.dumps(model)
    with pytest.raises(ValueError, match=r"was written by jedi_sklearn 99\.0") as info:
        pickle.loads(data)
    assert 'pip install --upgrade "jedi_sklearn>=99.0"' in str(info.value)


def test_state__of_a_newer_version_and_the_same_format__loads(
    clf, data_of_all, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(_state, "__version__", "99.0")
        data = pickle.dumps(clf)
    assert_same(pickle.loads(data), clf, data_of_all)


def test_state__without_a_parameter__has_its_default(clf):
    defaults = JEDIClassifier().get_params()
    for name in set(defaults) - {"experts"}:
        state = clf.__getstate__()
        del state[name]
        loaded = JEDIClassifier.__new__(JEDIClassifier)
        loaded.__setstate__(state)
        expected = clf.get_params(deep=False) | {name: defaults[name]}
        assert loaded.get_params(deep=False) == expected
        clone(loaded)


def test_state__without_a_version__loads(clf, data_of_all):
    # As models were written before there was one.
    state = dict(vars(clf))
    loaded = JEDIClassifier.__new__(JEDIClassifier)
    loaded.__setstate__(state)
    assert_same(loaded, clf, data_of_all)
    assert state == vars(clf)


class Own(JEDIClassifier):
    """A user's own, with one parameter more."""

    def __init__(self, experts: Any = None, *, extra: int = 1, max_epochs: int = 1):
        super().__init__(experts, max_epochs=max_epochs)
        self.extra = extra


def test_state__of_a_subclass__defaults_of_its_own():
    state = Own(extra=2, max_epochs=3).__getstate__()
    del state["extra"]
    loaded = Own.__new__(Own)
    loaded.__setstate__(state)
    assert (loaded.extra, loaded.max_epochs) == (1, 3)


# --------------------------------------------------------------------------------------
# skops.
# --------------------------------------------------------------------------------------


def through_skops(model: Any, *others: str) -> Any:
    """Return a model as it comes back, with only this and other packages trusted."""
    data = skops.dumps(model)
    untrusted = skops.get_untrusted_types(data=data)
    packages = {name.partition(".")[0] for name in untrusted}
    assert packages <= {"jedi_sklearn", *others}
    return skops.loads(data, trusted=untrusted)


def test_skops__unfitted():
    clf = small_classifier(experts(), class_weight={"a": "balanced"})
    loaded = through_skops(clf)
    assert repr(loaded) == repr(clf)
    assert through_skops(JEDIClassifier()).get_params() == JEDIClassifier().get_params()


def test_skops__fitted__same_bits(clf, data_of_all, tmp_path):
    assert_same(through_skops(clf), clf, data_of_all)
    # And by way of a file.
    path = tmp_path / "model.skops"
    skops.dump(clf, path)
    untrusted = skops.get_untrusted_types(file=path)
    assert_same(skops.load(path, trusted=untrusted), clf, data_of_all)


def test_skops__fitted_again__the_same(clf, data_of_all):
    X, y = data_of_all
    assert_same(through_skops(clf).fit(X, y), clone(clf).fit(X, y), data_of_all)


@pytest.mark.parametrize("kind", ["students_", "teachers_"])
@pytest.mark.parametrize("name", ["a", "b", "mlp"])
def test_skops__student_and_teacher__same_bits(clf, data_of_all, kind, name):
    model, X = getattr(clf, kind)[name], data_of_all[0][name]
    loaded = through_skops(model)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_skops__of_one_dataset_in_a_pipeline__same_bits(data):
    X, y = data[0]["b"], data[1]["b"]
    pipeline = make_pipeline(StandardScaler(), small_classifier([("b", PCA(2))]))
    loaded = through_skops(pipeline.fit(X, y))
    np.testing.assert_array_equal(loaded.predict_proba(X), pipeline.predict_proba(X))


def test_skops__search__same_bits(data_of_all):
    X, y = data_of_all
    X, y = stack_datasets({name: X[name] for name in y}, y)
    search = GridSearchCV(small_classifier(experts()), {"gamma": [0.0, 0.4]}, cv=2)
    search.fit(X, y)
    # skops asks about the scorer and the splitter of any search.
    loaded = through_skops(search, "sklearn")
    np.testing.assert_array_equal(loaded.predict(X), search.predict(X))
    through_skops(search.best_estimator_)


def test_skops__of_a_newer_format__refused(clf, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_state, "FORMAT", _state.FORMAT + 1)
        patch.setattr(_state, "__version__", "99.0")
        data = skops.dumps(clf)
    with pytest.raises(ValueError, match=r"written by jedi_sklearn 99\.0"):
        skops.loads(data, trusted=skops.get_untrusted_types(data=data))


# --------------------------------------------------------------------------------------
# Models of older versions.
# --------------------------------------------------------------------------------------

# That a model was fitted by another version of scikit-learn is meant here; what it
# predicts is compared.
other_sklearn = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.InconsistentVersionWarning"
)


def expected_of(version: str) -> Any:
    content = json.loads((MODELS / version / "expected.json").read_text("utf-8"))
    for part in ("X", "y"):
        content[part] = {n: np.array(v) for n, v in content[part].items()}
    return content


def load_old(version: str, file: str) -> Any:
    path = MODELS / version / file
    if not path.exists():
        pytest.skip(f"{version} had no {file}")
    if path.suffix == ".safetensors":
        return load_student(path)
    # Neither reads what a later one has written.
    for library, numbers in (("numpy", 1), ("scikit-learn", 2)):
        written = expected_of(version)["made_with"][library].split(".")[:numbers]
        ours = installed_version(library).split(".")[:numbers]
        if [*map(int, ours)] < [*map(int, written)]:
            pytest.skip(f"was written with {library} {'.'.join(written)}")
    if path.suffix == ".joblib":
        return joblib.load(path)
    untrusted = skops.get_untrusted_types(file=path)
    assert all(name.startswith("jedi_sklearn.") for name in untrusted)
    return skops.load(path, trusted=untrusted)


def test_old_models__some_of_this_version():
    assert _state.__version__ in VERSIONS
    for version in VERSIONS:
        assert (MODELS / version / "model.joblib").exists()
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert all(path.stat().st_size < 100_000 for path in files)


@other_sklearn
@pytest.mark.parametrize("file", ["model.joblib", "model.skops"])
@pytest.mark.parametrize("version", VERSIONS)
def test_old_model__predicts_as_it_did_and_can_be_fitted(version, file):
    clf, expected = load_old(version, file), expected_of(version)
    X, y = expected["X"], expected["y"]
    models = {"students": clf.students_, "teachers": clf.teachers_}
    for kind, by_name in expected["probabilities"].items():
        for name, probabilities in by_name.items():
            found = models[kind][name].predict_proba(X[name])
            np.testing.assert_allclose(found, probabilities, atol=1e-6)
    np.testing.assert_allclose(clf.history_, expected["history"], atol=1e-6)
    assert list(clf.history_.columns.names) == ["quantity", "dataset"]
    assert evaluate(clf, X, y).shape == (9, 3)
    assert clf.get_params(deep=False).keys() == JEDIClassifier().get_params().keys()
    again = clone(clf).fit(X, y)
    assert again.predict(X).keys() == clf.fit(X, y).predict(X).keys() == X.keys()


@other_sklearn
@pytest.mark.parametrize("version", VERSIONS)
def test_old_student__predicts_as_it_did(version):
    student, expected = load_old(version, "student.safetensors"), expected_of(version)
    found = student.predict_proba(expected["X"]["a"])
    np.testing.assert_allclose(
        found, expected["probabilities"]["students"]["a"], atol=1e-6
    )


@other_sklearn
def test_old_model__warm_start__goes_on():
    clf, expected = load_old(VERSIONS[0], "model.joblib"), expected_of(VERSIONS[0])
    before = clf.students_["a"].coef_
    clf.set_params(warm_start=True).fit(expected["X"], expected["y"])
    assert np.abs(clf.students_["a"].coef_ - before).max() < 0.1


# --------------------------------------------------------------------------------------
# Sizes.
# --------------------------------------------------------------------------------------

N_EXPERTS, WIDTH = 8, 80


@pytest.fixture(scope="module")
def many() -> JEDIClassifier:
    """A classifier of many experts, whose weights are all large."""
    rng = np.random.default_rng(0)
    X = {f"d{i}": rng.normal(size=(20, WIDTH)) for i in range(N_EXPERTS)}
    y = {name: np.arange(20) % 2 for name in X}
    encoders = [(name, FrozenEstimator(PCA(18).fit(rows))) for name, rows in X.items()]
    return small_classifier(encoders, adjustment_units=500, max_epochs=1).fit(X, y)


def arrays_in(thing: Any, seen: dict[int, Any]) -> dict[int, np.ndarray]:
    """Return all arrays that an object holds, by their numbers in memory."""
    if id(thing) in seen:
        return {}
    seen[id(thing)] = thing
    if isinstance(thing, np.ndarray):
        return {id(thing): thing}
    parts: Any = ()
    if isinstance(thing, dict):
        parts = thing.values()
    elif isinstance(thing, list | tuple):
        parts = thing
    elif hasattr(thing, "__dict__"):
        parts = vars(thing).values()
    return {k: a for part in parts for k, a in arrays_in(part, seen).items()}


def n_bytes(model: Any) -> int:
    """Return the size of the numbers in a model, each array counted once."""
    arrays = arrays_in(model, {}).values()
    return sum({array.tobytes(): array.nbytes for array in arrays}.values())


def with_joblib(model: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("dump", [pickle.dumps, with_joblib, skops.dumps])
def test_size__of_a_student__its_own_weights_and_encoder(many, dump):
    student = many.students_["d3"]
    assert n_bytes(student) > 60_000
    assert n_bytes(student) < 1.2 * n_bytes(many) / N_EXPERTS
    assert len(dump(student)) < 1.2 * n_bytes(student) + 30_000


def test_size__of_an_export__its_own_weights_and_encoder(many, tmp_path):
    student = many.students_["d3"]
    assert student.export(tmp_path / "a.safetensors") == []
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 1.2 * n_bytes(student) + 10_000


@pytest.mark.parametrize("teacher_input", ["adjusted", "predictions", "base"])
def test_size__of_a_classifier__holds_nothing_twice(many, teacher_input):
    clf = many
    if teacher_input != "adjusted":
        X = {name: np.eye(20, WIDTH) for name in many.students_}
        clf = clone(many).set_params(teacher_input=teacher_input)
        clf.fit(X, {name: np.arange(20) % 2 for name in X})
    # The students', the teachers', and those that a warm start goes on from.
    for dump in (pickle.dumps, with_joblib):
        assert len(dump(clf)) < 1.05 * n_bytes(clf) + 50_000


def test_size__of_a_loaded_classifier__stays(many):
    data = pickle.dumps(many)
    assert len(pickle.dumps(pickle.loads(data))) < 1.01 * len(data)
    through = through_skops(many)
    assert len(pickle.dumps(through)) < 1.05 * len(data)


def test_student__is_what_it_says(clf):
    assert isinstance(clf.students_["a"], DistilledClassifier)
