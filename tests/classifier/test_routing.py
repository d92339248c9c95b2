"""Metadata routing: weights of rows, and rows of one's own, through other tools.

The classifier takes them itself, and hands nothing on by requests of its experts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metadata_routing import get_routing_for_object

from jedi_sklearn import JEDIClassifier, stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold
from jedi_sklearn.preprocessing import PerDataset

RANDOM = np.random.default_rng(0)
ROWS = {name: RANDOM.normal(size=(24, 3)) for name in "ab"}
LABELS = {"a": np.arange(24) % 2, "b": np.arange(24) % 3}
WEIGHTS = RANDOM.uniform(0.1, 3.0, size=48)
X, Y = stack_datasets(ROWS, LABELS)
FOLDS = MultiDatasetKFold(2)


@pytest.fixture(autouse=True)
def routing() -> Iterator[None]:
    with config_context(enable_metadata_routing=True):
        yield


def model(**params: Any) -> JEDIClassifier:
    small = {"max_epochs": 2, "adjustment_units": 2, "random_state": 0, "device": "cpu"}
    experts = [("a", make_pipeline(StandardScaler(), LogisticRegression()))]
    experts.append(("b", StandardScaler()))
    return JEDIClassifier(**{"experts": experts} | small | params)


def same(one: Any, other: Any) -> bool:
    return np.array_equal(one.predict_proba(X), other.predict_proba(X))


def requests(estimator: Any, method: str) -> dict[str, Any]:
    return dict(getattr(get_routing_for_object(estimator), method).requests)


@pytest.fixture(scope="module")
def weighted() -> JEDIClassifier:
    return model().fit(X, Y, sample_weight=WEIGHTS)


def test_requests_are_of_what_the_methods_take():
    clf = model()
    assert requests(clf, "fit") == dict.fromkeys(["X_val", "sample_weight", "y_val"])
    assert requests(clf, "partial_fit") == dict.fromkeys(["classes", "sample_weight"])
    assert requests(clf, "score") == {"sample_weight": None}
    assert requests(clf, "predict") == {}
    clf.set_fit_request(sample_weight=True, X_val="rows", y_val=False)
    clf.set_partial_fit_request(sample_weight=True).set_score_request(
        sample_weight="importance"
    )
    expected = {"sample_weight": True, "X_val": "rows", "y_val": False}
    assert requests(clone(clf), "fit") == expected
    assert requests(clone(clf), "score") == {"sample_weight": "importance"}


def test_per_dataset_takes_none():
    assert requests(PerDataset(StandardScaler()), "fit") == {}


def test_weights_that_nobody_has_asked_for__refused():
    search = GridSearchCV(model(), {"alpha": [1.0]}, cv=FOLDS)
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        search.fit(X, Y, sample_weight=WEIGHTS)


def test_grid_search__weights_of_each_fold(weighted):
    clf = model().set_fit_request(sample_weight=True)
    clf.set_score_request(sample_weight=True)
    search = GridSearchCV(clf, {"alpha": [1.0]}, cv=FOLDS)
    search.fit(X, Y, sample_weight=WEIGHTS)
    assert same(search.best_estimator_, weighted)
    assert not same(weighted, model().fit(X, Y))
    for number, (train, test) in enumerate(FOLDS.split(X, Y)):
        fold = model().fit(X[train], Y[train], sample_weight=WEIGHTS[train])
        score = fold.score(X[test], Y[test], sample_weight=WEIGHTS[test])
        assert search.cv_results_[f"split{number}_test_score"][0] == score


def test_cross_validate__by_another_name():
    clf = model().set_fit_request(sample_weight="importance")
    clf.set_score_request(sample_weight=False)
    found = cross_validate(
        clf, X, Y, cv=FOLDS, params={"importance": WEIGHTS}, return_estimator=True
    )
    train, test = next(FOLDS.split(X, Y))
    expected = model().fit(X[train], Y[train], sample_weight=WEIGHTS[train])
    assert same(found["estimator"][0], expected)
    assert found["test_score"][0] == expected.score(X[test], Y[test])


def test_pipeline__weights_and_rows_of_ones_own():
    own = {name: rows[:6] for name, rows in ROWS.items()}
    own_labels = {name: labels[:6] for name, labels in LABELS.items()}
    clf = model().set_fit_request(sample_weight=True, X_val=True, y_val=True)
    steps = [("scale", PerDataset(StandardScaler())), ("clf", clf)]
    whole = Pipeline(steps, transform_input=["X_val"])
    whole.fit(X, Y, sample_weight=WEIGHTS, X_val=own, y_val=own_labels)

    scaled = PerDataset(StandardScaler()).fit(X)
    expected = model().fit(
        scaled.transform(X),
        Y,
        sample_weight=WEIGHTS,
        X_val=scaled.transform(own),
        y_val=own_labels,
    )
    assert same(whole[-1], expected)
    assert whole[-1].history_.equals(expected.history_)
    assert "val_student_accuracy" in whole[-1].history_


def test_pipeline__without_routing__as_ever(weighted):
    with config_context(enable_metadata_routing=False):
        whole = Pipeline([("none", "passthrough"), ("clf", model())])
        whole.fit(X, Y, clf__sample_weight=WEIGHTS)
        assert same(whole[-1], weighted)
        with pytest.raises(RuntimeError, match="enable_metadata_routing"):
            model().set_fit_request(sample_weight=True)


def test_heads_are_weighted_without_requests_of_their_own(weighted):
    head = LogisticRegression().set_fit_request(sample_weight=False)
    experts = [("a", make_pipeline(StandardScaler(), head)), model().experts[1]]
    clf = model(experts=experts).fit(X, Y, sample_weight=WEIGHTS)
    assert same(clf, weighted)
