"""Students and teachers after fit: classifiers that stand alone, without torch."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from jedi_sklearn import JEDIClassifier

ROOT = Path(__file__).resolve().parents[1]

Data = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
MODELS = [(kind, name) for kind in ("students_", "teachers_") for name in ("a", "b")]


@pytest.fixture(scope="module")
def data() -> Data:
    """Rows of dataset a have three classes, those of b two."""
    X, y = make_blobs([30, 30, 30], n_features=6, cluster_std=3.0, random_state=0)
    y_dict = {"a": np.array(["x", "y", "z"])[y[:50]], "b": np.minimum(y[50:], 1) + 4}
    return {"a": X[:50], "b": X[50:]}, y_dict


@pytest.fixture(scope="module")
def clf(data) -> JEDIClassifier:
    experts = [
        ("a", make_pipeline(StandardScaler(), PCA(4), LogisticRegression())),
        ("b", StandardScaler()),
        # Lends its features to the teachers alone.
        ("c", FrozenEstimator(PCA(3, random_state=0).fit(data[0]["a"]))),
    ]
    return _fit(experts, data)


def _fit(experts: Any, data: Data, **params: Any) -> JEDIClassifier:
    clf = JEDIClassifier(
        experts,
        max_epochs=5,
        learning_rate=0.03,
        adjustment_units=5,
        random_state=0,
        device="cpu",
        **params,
    )
    return clf.fit(*data)


@pytest.fixture(params=MODELS, ids=".".join)
def model(request, clf) -> Any:
    kind, name = request.param
    return getattr(clf, kind)[name]


# --------------------------------------------------------------------------------------
# As classifiers.
# --------------------------------------------------------------------------------------


def test_predict_proba__rows_sum_to_one(data, model):
    for X in data[0].values():
        probabilities = model.predict_proba(X)
        assert probabilities.shape == (len(X), len(model.classes_))
        assert probabilities.dtype == np.float64
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("kind", ["students_", "teachers_"])
def test_decision_function__multiclass__softmax_and_argmax(data, clf, kind):
    model, X = getattr(clf, kind)["a"], data[0]["a"]
    scores = model.decision_function(X)
    assert scores.shape == (50, 3)
    exponents = np.exp(scores)
    np.testing.assert_allclose(
        model.predict_proba(X), exponents / exponents.sum(axis=1, keepdims=True)
    )
    np.testing.assert_array_equal(
        model.predict(X), np.array(["x", "y", "z"])[scores.argmax(axis=1)]
    )


@pytest.mark.parametrize("kind", ["students_", "teachers_"])
def test_decision_function__two_classes__one_score_with_sigmoid(data, clf, kind):
    model, X = getattr(clf, kind)["b"], data[0]["b"]
    scores = model.decision_function(X)
    assert scores.shape == (40,)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-scores)))
    np.testing.assert_array_equal(model.predict(X), np.where(scores > 0, 5, 4))


def test_predict__own_labels(data, model, clf):
    expected = {3: ["x", "y", "z"], 2: [4, 5]}[len(model.classes_)]
    assert model.classes_.tolist() == expected
    assert set(model.predict(data[0]["a"])) <= set(expected)


def test_student__is_what_the_classifier_predicts_by(data, clf):
    X_dict = data[0]
    labels, probabilities = clf.predict(X_dict), clf.predict_proba(X_dict)
    for name, student in clf.students_.items():
        np.testing.assert_array_equal(student.predict(X_dict[name]), labels[name])
        np.testing.assert_array_equal(
            student.predict_proba(X_dict[name]), probabilities[name]
        )


def test_scores__written_out_from_the_weights(data, model):
    # Fig. 2 and the linear map on top: two layers with SiLU between, added.
    X = data[0]["a"]
    adjusted = []
    for branch in model.branches:
        embedding = branch.encoder.transform(X)
        (down, bias_down), (up, bias_up) = branch.adjustment
        hidden = embedding @ down.T + bias_down
        hidden = hidden / (1 + np.exp(-hidden))
        adjusted.append(embedding + hidden @ up.T + bias_up)
    scores = np.hstack(adjusted) @ model.coef_.T + model.intercept_
    given = model.decision_function(X)
    expected = scores if scores.shape[1] > 2 else scores[:, 1] - scores[:, 0]
    np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize("teacher_input", ["base", "predictions"])
def test_teacher_input__written_out_from_the_weights(data, teacher_input):
    # Of the embeddings a teacher of "base" sees each as its expert makes it; one of
    # "predictions" sees them adjusted, by the weights of the students' heads.
    experts = [("a", StandardScaler()), ("b", PCA(4, random_state=0))]
    clf = _fit(experts, data, teacher_input=teacher_input)
    for teacher in _round_trip(clf.teachers_).values():
        seen = []
        for branch in teacher.branches:
            embedding = branch.encoder.transform(data[0]["a"])
            if teacher_input == "predictions":
                (down, bias_down), (up, bias_up) = branch.adjustment
                hidden = embedding @ down.T + bias_down
                hidden = hidden / (1 + np.exp(-hidden))
                embedding = embedding + hidden @ up.T + bias_up
            seen.append(embedding)
        scores = np.hstack(seen) @ teacher.coef_.T + teacher.intercept_
        expected = scores if scores.shape[1] > 2 else scores[:, 1] - scores[:, 0]
        given = teacher.decision_function(data[0]["a"])
        np.testing.assert_allclose(given, expected, atol=1e-5)
    if teacher_input == "predictions":
        # What a head makes of its embedding is all that there is of it.
        stacked = np.vstack([teacher.coef_ for teacher in clf.teachers_.values()])
        for columns, name in ((slice(0, 6), "a"), (slice(6, 10), "b")):
            head = clf.students_[name].coef_.astype(np.float64)
            mixed = stacked[:, columns] @ np.linalg.pinv(head) @ head
            np.testing.assert_allclose(mixed, stacked[:, columns], atol=1e-5)


def test_teacher__sees_all_experts__student_its_own(clf):
    for name, teacher in clf.teachers_.items():
        assert [branch.name for branch in teacher.branches] == ["a", "b", "c"]
        assert teacher.coef_.shape == (len(teacher.classes_), 4 + 6 + 3)
        assert teacher.intercept_.shape == (len(teacher.classes_),)
        (branch,) = clf.students_[name].branches
        assert branch.name == name
        assert clf.students_[name].coef_.shape[1] == {"a": 4, "b": 6}[name]


def test_one_row__as_among_others(data, model):
    X = data[0]["a"]
    together = model.predict_proba(X)
    alone = np.vstack([model.predict_proba(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(alone, together, rtol=1e-6)


def test_large_scores__no_overflow(data, model):
    # Warnings are errors here.
    probabilities = model.predict_proba(data[0]["a"] * 1e4)
    assert np.isfinite(probabilities).all()


# --------------------------------------------------------------------------------------
# In scikit-learn's hands.
# --------------------------------------------------------------------------------------


def test_clone__is_itself(model):
    assert clone(model) is model


def test_fit__changes_nothing(data, model):
    before = pickle.dumps(model)
    assert model.fit(data[0]["b"], data[1]["b"]) is model
    assert pickle.dumps(model) == before


def test_is_a_fitted_classifier(model):
    assert is_classifier(model)
    check_is_fitted(model)


def test_repr__short(model):
    assert len(repr(model)) < 2000


def test_score__accuracy(data, clf):
    X, y = data[0]["a"], data[1]["a"]
    student = clf.students_["a"]
    assert student.score(X, y) == accuracy_score(y, student.predict(X))


def test_cross_val_score__scores_without_training(data, clf):
    X, y = data[0]["a"], data[1]["a"]
    student = clf.students_["a"]
    scores = cross_val_score(student, X, y, cv=2)
    assert scores.mean() == pytest.approx(student.score(X, y), abs=0.01)


@pytest.mark.parametrize("name", ["a", "b"])
def test_calibration__frozen_student(data, clf, name):
    X, y = data[0][name], data[1][name]
    calibrated = CalibratedClassifierCV(FrozenEstimator(clf.students_[name]))
    probabilities = calibrated.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(calibrated.classes_, clf.students_[name].classes_)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert accuracy_score(y, calibrated.predict(X)) > 0.5


def test_student__is_an_expert_of_the_next_fit(data, clf):
    # A frozen student's encoder and head, as any other expert.
    student = clf.students_["a"]
    encoder = FunctionTransformer(lambda X: student.branches[0].encoder.transform(X))
    again = _fit([("a", encoder)], ({"a": data[0]["a"]}, {"a": data[1]["a"]}))
    assert again.students_["a"].score(data[0]["a"], data[1]["a"]) > 0.5


# --------------------------------------------------------------------------------------
# On disk.
# --------------------------------------------------------------------------------------


def _round_trip(thing: Any) -> Any:
    buffer = io.BytesIO()
    joblib.dump(thing, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def test_joblib__model__same_bits(data, model):
    loaded = _round_trip(model)
    for X in data[0].values():
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_joblib__classifier__same_bits(data, clf):
    loaded = _round_trip(clf)
    X_dict, y_dict = data
    np.testing.assert_equal(loaded.predict_proba(X_dict), clf.predict_proba(X_dict))
    assert loaded.score(X_dict, y_dict) == clf.score(X_dict, y_dict)
    for kind, name in MODELS:
        np.testing.assert_array_equal(
            getattr(loaded, kind)[name].predict_proba(X_dict[name]),
            getattr(clf, kind)[name].predict_proba(X_dict[name]),
        )
    assert loaded.history_.equals(clf.history_)
    np.testing.assert_array_equal(loaded.classes_, clf.classes_)
    # It can be fitted again, to the same.
    np.testing.assert_equal(
        loaded.fit(X_dict, y_dict).predict_proba(X_dict), clf.predict_proba(X_dict)
    )


def test_pickle__student__holds_nothing_of_other_experts():
    rng = np.random.default_rng(0)
    heavy = rng.normal(size=(500, 500))
    X = {name: rng.normal(size=(20, 500)) for name in ("a", "b")}
    y = {name: np.arange(20) % 2 for name in X}
    experts = [
        ("a", FunctionTransformer(_first_three)),
        ("b", FrozenEstimator(FunctionTransformer(_Heavy(heavy)).fit(X["b"]))),
    ]
    clf = _fit(experts, (X, y))
    sizes = {
        (kind, name): len(pickle.dumps(getattr(clf, kind)[name]))
        for kind, name in MODELS
    }
    assert sizes["students_", "a"] < 5_000
    for heavy_one in MODELS[1:]:
        assert sizes[heavy_one] > heavy.nbytes
    # The classifier holds every expert once.
    assert len(pickle.dumps(clf)) < 1.2 * heavy.nbytes


def _first_three(X: np.ndarray) -> np.ndarray:
    return X[:, :3]


class _Heavy:
    """A function with much to remember."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return (X @ self.matrix)[:, :2]


WITHOUT_TORCH = """
import importlib.abc
import sys

class NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "skorch"}:
            raise ImportError(f"{name} cannot be imported here")

sys.meta_path.insert(0, NoTorch())

import joblib

things = joblib.load(sys.argv[1])
X_dict = things["X_dict"]
answers = {
    (kind, name): (model.predict(X_dict[name]), model.predict_proba(X_dict[name]))
    for (kind, name), model in things["models"].items()
}
answers["clf"] = things["clf"].predict(X_dict), things["clf"].predict_proba(X_dict)
assert not {"torch", "skorch"} & sys.modules.keys()
try:
    import torch
except ImportError:
    joblib.dump(answers, sys.argv[2])
"""


@pytest.mark.parametrize("experts", ["given", "default"])
def test_process_without_torch__loads_and_predicts_the_same(
    data, clf, tmp_path, experts
):
    if experts == "default":
        clf = _fit(None, data)
    models = {(kind, name): getattr(clf, kind)[name] for kind, name in MODELS}
    there, back = tmp_path / "models.joblib", tmp_path / "answers.joblib"
    joblib.dump({"models": models, "clf": clf, "X_dict": data[0]}, there)
    subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, there, back],
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    answers = joblib.load(back)
    for (kind, name), model in models.items():
        labels, probabilities = answers[kind, name]
        np.testing.assert_array_equal(labels, model.predict(data[0][name]))
        np.testing.assert_array_equal(probabilities, model.predict_proba(data[0][name]))
    labels, probabilities = answers["clf"]
    np.testing.assert_equal(labels, clf.predict(data[0]))
    np.testing.assert_equal(probabilities, clf.predict_proba(data[0]))


# --------------------------------------------------------------------------------------
# Rows that an expert cannot embed, or embeds otherwise than in training.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_another_width__error_names_the_expert(data, method):
    X_dict, y_dict = {"a": data[0]["a"]}, {"a": data[1]["a"]}
    # It passes on whatever it gets.
    clf = _fit([("a", FunctionTransformer())], (X_dict, y_dict))
    for model in (clf.students_["a"], clf.teachers_["a"]):
        with pytest.raises(ValueError, match=r"'a'.* 4 features.* 6"):
            getattr(model, method)(X_dict["a"][:, :4])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "encoder", [FunctionTransformer(), StandardScaler()], ids=["passes on", "checks"]
)
def test_not_finite__error_names_the_expert(data, encoder, bad):
    X_dict, y_dict = {"a": data[0]["a"]}, {"a": data[1]["a"]}
    clf = _fit([("a", encoder)], (X_dict, y_dict))
    X = X_dict["a"].copy()
    X[7, 2] = bad
    for model in (clf.students_["a"], clf.teachers_["a"]):
        with pytest.raises(ValueError, match=r"(?s)'a'.*(NaN|infinity)"):
            model.predict(X)
    with pytest.raises(ValueError, match=r"(?s)'a'.*(NaN|infinity)"):
        clf.predict({"a": X})


def test_text_where_numbers_are_due__error_names_the_expert(data):
    X_dict, y_dict = {"a": data[0]["a"]}, {"a": data[1]["a"]}
    clf = _fit([("a", FunctionTransformer())], (X_dict, y_dict))
    with pytest.raises(ValueError, match=r"'a'.*could not convert string"):
        clf.students_["a"].predict(np.array([["one"] * 6]))


def test_error_of_an_expert__keeps_its_kind_and_names_the_expert(data):
    def transform(X: np.ndarray) -> np.ndarray:
        if len(X) == 1:
            raise OSError("no such file")
        return X

    X_dict, y_dict = {"a": data[0]["a"]}, {"a": data[1]["a"]}
    clf = _fit([("a", FunctionTransformer(transform))], (X_dict, y_dict))
    with pytest.raises(OSError, match="no such file") as error:
        clf.students_["a"].predict(X_dict["a"][:1])
    assert any("'a'" in note for note in error.value.__notes__)


def test_not_fitted__classifier_has_no_students():
    with pytest.raises(NotFittedError):
        JEDIClassifier().predict({"a": np.zeros((2, 2))})
    assert not hasattr(JEDIClassifier(), "students_")
