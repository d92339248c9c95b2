"""Encoders as transformers of scikit-learn."""

from __future__ import annotations

import pickle
import random
import warnings
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from jedi_sklearn.encoders import MLPEncoder


@parametrize_with_checks([MLPEncoder(max_iter=5)])
def test_sklearn_compatible(estimator, check):
    check(estimator)


def test_battery_is_whole():
    assert len(list(estimator_checks_generator(MLPEncoder()))) > 30


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    return make_classification(
        n_samples=60, n_features=12, n_informative=6, n_classes=3, random_state=0
    )


def _encoder(**params: Any) -> MLPEncoder:
    return MLPEncoder(**({"n_units": 7, "max_iter": 10, "random_state": 0} | params))


def test_transform__shape_and_activations_of_relu(data):
    X, y = data
    embedding = _encoder().fit(X, y).transform(X)
    assert embedding.shape == (60, 7)
    assert (embedding >= 0).all()
    assert (embedding > 0).any()


def test_transform__is_the_hidden_layer_of_a_network_on_standardised_rows(data):
    # Written out with what scikit-learn's network holds after as many passes.
    X, y = data
    X = 5.0 * X + np.linspace(-100, 100, 12)
    X[:, 4] = 3.0
    network = MLPClassifier((7,), max_iter=10, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network)
    with pytest.warns(ConvergenceWarning):
        pipeline.fit(X, y)
    hidden = pipeline[0].transform(X) @ network.coefs_[0] + network.intercepts_[0]
    np.testing.assert_allclose(
        _encoder().fit(X, y).transform(X), np.maximum(hidden, 0), atol=1e-9
    )


def test_transform__rows_of_more_dimensions__as_flattened(data):
    X, y = data
    images = X.reshape(60, 2, 3, 2)
    expected = _encoder().fit(X, y).transform(X)
    encoder = _encoder().fit(images, y)
    assert encoder.n_features_in_ == 12
    np.testing.assert_array_equal(encoder.transform(images), expected)
    np.testing.assert_array_equal(encoder.transform(X), expected)


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_array, sp.coo_array])
def test_fit_transform__sparse__same_as_the_same_rows_dense(data, kind):
    X, y = data
    X = np.where(np.abs(X) > 1, X, 0)
    encoder = _encoder().fit(kind(X), y)
    embedding = encoder.transform(kind(X))
    assert isinstance(embedding, np.ndarray)
    np.testing.assert_allclose(embedding, encoder.transform(X), atol=1e-10)


def test_transform__sparse_rows_after_a_fit_on_dense_ones(data):
    X, y = data
    encoder = _encoder().fit(X, y)
    np.testing.assert_allclose(
        encoder.transform(sp.csr_array(X)), encoder.transform(X), atol=1e-10
    )


@pytest.mark.parametrize("labels", [np.array(["x", "y", "z"]), np.array([10, 7, 3])])
def test_fit__labels_of_any_kind(data, labels):
    X, y = data
    assert _encoder().fit(X, labels[y]).transform(X).shape == (60, 7)


def test_fit__too_few_passes_to_converge__no_warning(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _encoder(max_iter=1).fit(*data)


def test_fit__in_threads__no_warning_and_filters_as_before(data):
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside = list(warnings.filters)
        for _ in range(5):
            joblib.Parallel(n_jobs=4, backend="threading")(
                joblib.delayed(_encoder(random_state=i, max_iter=3).fit)(*data)
                for i in range(12)
            )
            assert warnings.filters == inside
    assert warnings.filters == before


def test_fit__interrupted__stops(data, monkeypatch):
    passes = []

    def backprop(self, *args):
        passes.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(MLPClassifier, "_backprop", backprop)
    with (
        pytest.warns(UserWarning, match="interrupted"),
        pytest.raises(KeyboardInterrupt),
    ):
        _encoder().fit(*data)
    assert len(passes) == 1


def test_fit__int_seed__same_bits_and_global_state_untouched(data):
    X, y = data
    before = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    first = _encoder().fit(X, y).transform(X)
    after = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    np.testing.assert_equal(after, before)
    np.testing.assert_array_equal(clone(_encoder()).fit(X, y).transform(X), first)
    assert (_encoder(random_state=1).fit(X, y).transform(X) != first).any()


def test_embedding__serves_a_linear_classifier():
    X, y = load_digits(return_X_y=True)
    expert = make_pipeline(
        MLPEncoder(random_state=0, max_iter=10), LogisticRegression(max_iter=2000)
    )
    # By chance 0.1.
    assert expert.fit(X[:500], y[:500]).score(X[500:1000], y[500:1000]) > 0.75


@pytest.mark.parametrize("params", [{"n_units": 0}, {"max_iter": 0}, {"max_iter": -3}])
def test_fit__parameter_out_of_range__error(data, params):
    with pytest.raises(ValueError, match=r"must be"):
        _encoder(**params).fit(*data)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_transform__not_finite__error(data, bad):
    X, y = data
    encoder = _encoder().fit(X, y)
    X = X.copy()
    X[3, 2] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        encoder.transform(X)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        _encoder().fit(X, y)


def test_transform__another_number_of_values__error(data):
    X, y = data
    encoder = _encoder().fit(X, y)
    with pytest.raises(ValueError, match=r"5 features.*expecting 12"):
        encoder.transform(X[:, :5])


def test_transform__not_fitted__error(data):
    with pytest.raises(NotFittedError):
        _encoder().transform(data[0])


def test_pickle__same_bits(data):
    X, y = data
    encoder = _encoder().fit(X, y)
    loaded = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))


def test_pickle__little_more_than_the_weights():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3000)), np.arange(40) % 2
    encoder = _encoder(n_units=64, max_iter=2).fit(X, y)
    weights = 3000 * 64 * X.itemsize
    assert len(pickle.dumps(encoder)) < 1.5 * weights
