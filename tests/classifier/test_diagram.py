"""Estimators in notebooks: their diagrams, and a text that stays short."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.encoders import MLPEncoder
from jedi_sklearn.preprocessing import PerDataset

X = {name: np.random.default_rng(0).normal(size=(12, 4)) for name in "abc"}
Y = {"a": np.arange(12) % 2, "b": np.arange(12) % 3}


def experts() -> list[tuple[str, Any]]:
    columns = make_column_transformer(("passthrough", slice(0, 2)))
    return [
        ("a", make_pipeline(StandardScaler(), PCA(2))),
        ("b", columns),
        ("c", FrozenEstimator(PCA(1).fit(X["c"]))),
    ]


def model(**params: Any) -> JEDIClassifier:
    small = {"max_epochs": 1, "adjustment_units": 2, "random_state": 0, "device": "cpu"}
    return JEDIClassifier(**small | params)


@pytest.fixture(scope="module")
def fitted() -> JEDIClassifier:
    return model(experts=experts()).fit(X, Y)


def boxes(estimator: Any) -> list[str]:
    """Return the names of all boxes and labels of a diagram, in their order."""
    estimator._sk_visual_block_()  # or what fails in it would be passed over
    html = estimator_html_repr(estimator)
    found = re.findall(r"<label[^>]*>(?:<div><div>)?([^<]+)<", html)
    return [name for name in found if not name.endswith("features")]


def test_classifier__before_fit__shows_the_given_experts():
    clf = model(experts=experts())
    assert boxes(clf) == [
        *("JEDIClassifier", "a", "StandardScaler", "PCA"),
        *("b", "passthrough", "passthrough", "c", "estimator: PCA", "PCA"),
    ]
    assert "<span>Not fitted</span>" in estimator_html_repr(clf)


def test_classifier__after_fit__shows_fitted_experts_and_students(fitted):
    names = boxes(fitted)
    assert names[:5] == ["JEDIClassifier", "a", "StandardScaler", "PCA", *names[4:5]]
    assert names[4] == "LogisticRegression"  # which fit has made
    assert names[-4:] == ["a", "student", "b", "student"]  # c has no labels
    html = estimator_html_repr(fitted)
    assert "<span>Fitted</span>" in html
    assert str(fitted.students_["b"]) in html


def test_classifier__without_experts__says_what_there_will_be():
    assert boxes(model()) == ["JEDIClassifier", "each labelled dataset", "MLPEncoder"]


def test_classifier__kept_expert__is_said():
    clf = model(keep_expert=True, learning_rate=1e-9, experts=experts()[:1])
    clf.fit({"a": X["a"]}, {"a": Y["a"]})
    assert clf.kept_experts_ == ["a"]
    assert "is its expert" in estimator_html_repr(clf)


def test_classifier__experts_that_are_none__is_a_box():
    html = estimator_html_repr(model(experts="nonsense"))
    assert "JEDIClassifier" in html
    assert "nonsense" in html


def test_classifier__names_of_parameters_are_those_of_set_params():
    html = estimator_html_repr(model(experts=experts()))
    if "data-param-prefix" not in html:
        pytest.skip("scikit-learn before 1.7 has no names to copy")
    prefixes = set(re.findall(r'data-param-prefix="(\w+__)"', html))
    assert {"a__standardscaler__", "a__pca__", "c__estimator__"} <= prefixes
    assert "a__pca__n_components" in model(experts=experts()).get_params()


def test_classifier__in_a_pipeline__is_inside(fitted):
    whole = make_pipeline(PerDataset(StandardScaler()), fitted)
    html = estimator_html_repr(whole)
    assert html.count(">student<") == 2


def test_student__shows_what_it_is_made_of(fitted):
    assert boxes(fitted.students_["a"]) == [
        *("DistilledClassifier", "a", "StandardScaler", "PCA"),
        *("adjustment", "linear"),
    ]
    html = estimator_html_repr(fitted.students_["a"])
    assert "2 features, 2 hidden units" in html
    assert "2 features, 2 classes" in html


def test_teacher__shows_all_experts(fitted):
    names = boxes(fitted.teachers_["b"])
    assert [names.index(name) for name in "abc"] == [1, 5, 9]
    assert names.count("adjustment") == 3
    assert names[-1] == "linear"


def test_student_that_is_its_expert__has_no_adjustment():
    clf = model(keep_expert=True, learning_rate=1e-9, experts=experts()[:1])
    clf.fit({"a": X["a"]}, {"a": Y["a"]})
    assert "adjustment" not in boxes(clf.students_["a"])


def test_distilled__text_is_short(fitted):
    assert repr(fitted.students_["a"]) == (
        "DistilledClassifier(a: 2 features; 2 classes)"
    )
    assert repr(fitted.teachers_["b"]) == (
        "DistilledClassifier(a: 2 features, b: 2 features, c: 1 features; 3 classes)"
    )


def test_classifier__text_is_that_of_its_parameters(fitted):
    assert repr(fitted) == repr(model(experts=experts()))
    assert len(repr(fitted)) < 1500


def test_per_dataset__shows_its_clones():
    transformer = PerDataset(StandardScaler())
    assert boxes(transformer) == ["PerDataset", "transformer", "StandardScaler"]
    transformer.fit(X)
    assert boxes(transformer) == [
        *("PerDataset", "transformer: a", "StandardScaler"),
        *("transformer: b", "StandardScaler", "transformer: c", "StandardScaler"),
    ]


def test_encoder__is_a_box():
    encoder = MLPEncoder(max_iter=1, random_state=0).fit(X["a"], Y["a"])
    html = estimator_html_repr(encoder)
    assert "<span>Fitted</span>" in html
    assert "MLPEncoder" in html
