"""Names of features: what fit has seen, what it is given later, what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from jedi_sklearn import JEDIClassifier, stack_datasets
from jedi_sklearn.encoders import MLPEncoder, TorchEncoder
from jedi_sklearn.preprocessing import PerDataset

NAMES = ["u", "v", "w"]
ROWS = np.random.default_rng(0).normal(size=(12, 3))
FRAME = pd.DataFrame(ROWS, columns=NAMES)
X = {"a": FRAME, "b": FRAME.iloc[::-1]}
Y = {"a": np.arange(12) % 2, "b": np.arange(12) % 3}


def model(**params: Any) -> JEDIClassifier:
    small = {"max_epochs": 1, "adjustment_units": 2, "random_state": 0, "device": "cpu"}
    experts = [("a", StandardScaler()), ("b", PCA(2))]
    return JEDIClassifier(**{"experts": experts} | small | params)


@pytest.fixture(scope="module")
def fitted() -> JEDIClassifier:
    return model().fit(X, Y)


@pytest.fixture(scope="module")
def nameless() -> JEDIClassifier:
    return model().fit({name: rows.to_numpy() for name, rows in X.items()}, Y)


def test_datasets_of_the_same_columns__names_are_theirs(fitted):
    assert fitted.feature_names_in_.tolist() == NAMES
    assert fitted.n_features_in_ == 3
    stacked, labels = stack_datasets(X, Y)
    assert model().fit(stacked, labels).feature_names_in_.tolist() == NAMES


def test_datasets_of_other_columns__no_names():
    other = {"a": FRAME, "b": FRAME.rename(columns={"w": "x"})}
    experts = [(name, FunctionTransformer()) for name in X]
    clf = model(experts=experts).fit(other, Y)
    assert not hasattr(clf, "feature_names_in_")
    assert clf.predict(other)["b"].shape == (12,)
    mixed = model(experts=experts).fit({"a": FRAME, "b": ROWS}, Y)
    assert not hasattr(mixed, "feature_names_in_")


def test_fit_again_without_names__they_are_gone():
    clf = model().fit(X, Y).fit({"a": ROWS, "b": ROWS}, Y)
    assert not hasattr(clf, "feature_names_in_")


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_other_names__refused_by_dataset(fitted, method):
    renamed = {"a": FRAME, "b": FRAME.rename(columns={"w": "x"})}
    with pytest.raises(ValueError, match="Dataset 'b': The feature names should match"):
        getattr(fitted, method)(renamed)
    with pytest.raises(
        ValueError, match=r"(?s)Dataset 'a': .*unseen at fit time:\n- x"
    ):
        fitted.score({"a": renamed["b"]}, {"a": Y["a"]})
    stacked = stack_datasets(renamed, Y)[0]
    with pytest.raises(ValueError, match="Dataset 'b': The feature names should match"):
        getattr(fitted, method)(stacked)


def test_other_order__refused(fitted):
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.predict({"a": FRAME[NAMES[::-1]]})


def test_partial_fit__other_names__refused(fitted):
    clf = model().fit(X, Y)
    with pytest.raises(ValueError, match="Dataset 'a': The feature names"):
        clf.partial_fit({"a": FRAME.add_prefix("x")}, {"a": Y["a"]})
    assert clf.n_iter_ == 1


def test_no_names_after_fit_with_names__warned_of(fitted):
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        fitted.predict({"a": ROWS})


def test_names_after_fit_without__as_before(nameless):
    # Of one table scikit-learn warns; what a dataset's rows are is its expert's affair.
    with pytest.warns(UserWarning, match="X has feature names, but StandardScaler"):
        nameless.predict({"a": FRAME})


def test_students_know_the_names_of_their_encoders(fitted, nameless):
    for distilled in (*fitted.students_.values(), *fitted.teachers_.values()):
        assert distilled.feature_names_in_.tolist() == NAMES
        assert distilled.n_features_in_ == 3
    student = nameless.students_["a"]
    assert not hasattr(student, "feature_names_in_")
    assert student.n_features_in_ == 3
    frozen = FrozenEstimator(TorchEncoder(torch.nn.Linear(3, 2), layer=""))
    clf = model(experts=[("a", frozen)]).fit({"a": ROWS}, {"a": Y["a"]})
    assert not hasattr(clf.students_["a"], "n_features_in_")


def test_mlp_encoder__names_in_and_out():
    encoder = MLPEncoder(2, max_iter=1, random_state=0).fit(FRAME, Y["a"])
    assert encoder.feature_names_in_.tolist() == NAMES
    assert encoder.get_feature_names_out().tolist() == ["mlpencoder0", "mlpencoder1"]
    with pytest.raises(ValueError, match="The feature names should match"):
        encoder.transform(FRAME.add_prefix("x"))
    given = encoder.transform(FRAME)
    frame = encoder.set_output(transform="pandas").transform(FRAME)
    assert frame.columns.tolist() == ["mlpencoder0", "mlpencoder1"]
    assert np.array_equal(frame.to_numpy(), given)


def test_mlp_encoder__default_experts__know_names():
    clf = JEDIClassifier(max_epochs=1, random_state=0, device="cpu").fit(X, Y)
    assert clf.students_["a"].feature_names_in_.tolist() == NAMES


def test_torch_encoder__names_where_the_width_is_known():
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 4))
    encoder = TorchEncoder(module, layer="1").set_output(transform="pandas")
    frame = encoder.transform(FRAME)
    assert frame.columns.tolist() == ["torchencoder0", "torchencoder1"]
    assert frame.index.equals(FRAME.index)
    # Elsewhere it shows when the module runs.
    unknown = TorchEncoder(module, layer="")
    assert not hasattr(unknown, "get_feature_names_out")
    with config_context(transform_output="pandas"):
        assert unknown.transform(FRAME).shape == (12, 4)


def test_per_dataset__frames_of_each_dataset():
    transformer = PerDataset(PCA(2, svd_solver="full")).set_output(transform="pandas")
    changed = transformer.fit_transform(X)
    assert sorted(changed) == ["a", "b"]
    for name, frame in changed.items():
        assert frame.columns.tolist() == ["pca0", "pca1"]
        assert frame.index.equals(X[name].index)
    assert transformer.feature_names_in_.tolist() == NAMES
    assert transformer.get_feature_names_out().tolist() == ["pca0", "pca1"]
    assert isinstance(transformer.set_output().transform(X)["a"], pd.DataFrame)
    transformer.set_output(transform="default")
    assert isinstance(transformer.transform(X)["a"], np.ndarray)


def test_per_dataset__one_table():
    transformer = PerDataset(StandardScaler()).set_output(transform="pandas")
    changed = transformer.fit_transform(FRAME)
    assert isinstance(changed, pd.DataFrame)
    assert changed.columns.tolist() == NAMES
    assert transformer.n_features_in_ == 3


def test_per_dataset__datasets_with_other_features_out__said():
    letters = {"a": pd.DataFrame({"k": ["p", "q"]}), "b": pd.DataFrame({"k": ["r"]})}
    encoder = PerDataset(OneHotEncoder(sparse_output=False)).fit(letters)
    with pytest.raises(ValueError, match=r"'a' and 'b' put out other features.*k_p"):
        encoder.get_feature_names_out()


def test_pipeline_of_frames__trains_on_them():
    columns = make_column_transformer(("passthrough", ["u", "v"]))
    clf = model(experts=[("a", columns), ("b", columns)])
    whole = make_pipeline(PerDataset(StandardScaler()), clf)
    whole.set_output(transform="pandas").fit(X, Y)
    assert whole.predict(X)["a"].shape == (12,)
    assert whole[-1].feature_names_in_.tolist() == NAMES


def test_frames_by_configuration__same_students(fitted):
    with config_context(transform_output="pandas"):
        other = model().fit(X, Y)
        given = other.predict_proba(X)
    for name, expected in fitted.predict_proba(X).items():
        assert np.array_equal(given[name], expected)
