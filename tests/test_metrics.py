"""The table of experts, students and teachers against scores computed without it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    top_k_accuracy_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import JEDIClassifier, evaluate, stack_datasets

MODELS = ["expert", "student", "teacher"]
COLUMNS = ["accuracy", "top_5_accuracy", "mean_average_precision"]


def make_datasets(seed: int):
    """Seven classes by number, two by name, far from easy."""
    rng = np.random.default_rng(seed)
    X_dict, y_dict = {}, {}
    for name, n_classes in {"many": 7, "few": 2}.items():
        codes = np.arange(70) % n_classes
        X_dict[name] = np.eye(7)[codes] + rng.normal(size=(70, 7))
        y_dict[name] = codes * 10 if name == "many" else np.array(["no", "yes"])[codes]
    return X_dict, y_dict


@pytest.fixture(scope="module")
def test_set():
    return make_datasets(1)


@pytest.fixture(scope="module", params=[LogisticRegression(), RidgeClassifier()])
def clf(request):
    # The second head has no probabilities, and one score for two classes.
    experts = [
        (name, make_pipeline(StandardScaler(), request.param))
        for name in ("many", "few")
    ]
    clf = JEDIClassifier(experts, max_epochs=3, adjustment_units=8, random_state=0)
    return clf.fit(*make_datasets(0))


def models_of(clf, name):
    return dict(
        zip(
            MODELS,
            (clf.experts_[name], clf.students_[name], clf.teachers_[name]),
            strict=True,
        )
    )


def class_scores(model, X):
    scores = model.decision_function(X)
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def test_table_has_a_row_for_each_dataset_and_model(clf, test_set):
    table = evaluate(clf, *test_set)
    assert table.columns.tolist() == COLUMNS
    assert table.index.names == ["dataset", "model"]
    assert table.index.tolist() == [(n, m) for n in ("few", "many") for m in MODELS]
    assert table.dtypes.tolist() == [np.float64] * 3


def test_accuracies(clf, test_set):
    table = evaluate(clf, *test_set)
    X_dict, y_dict = test_set
    for name in X_dict:
        for kind, model in models_of(clf, name).items():
            predicted = model.predict(X_dict[name])
            expected = accuracy_score(y_dict[name], predicted)
            assert table.loc[(name, kind), "accuracy"] == pytest.approx(expected)


def test_top_5_accuracies(clf, test_set):
    table = evaluate(clf, *test_set)
    X_dict, y_dict = test_set
    for kind, model in models_of(clf, "many").items():
        expected = top_k_accuracy_score(
            y_dict["many"],
            class_scores(model, X_dict["many"]),
            k=5,
            labels=model.classes_,
        )
        assert 0.6 < expected < 1
        assert table.loc[("many", kind), "top_5_accuracy"] == pytest.approx(expected)


def test_top_5_of_fewer_classes_is_always_right(clf, test_set):
    assert (evaluate(clf, *test_set).loc["few", "top_5_accuracy"] == 1).all()


def test_mean_average_precisions(clf, test_set):
    table = evaluate(clf, *test_set)
    X_dict, y_dict = test_set
    for name in X_dict:
        for kind, model in models_of(clf, name).items():
            # By the scores that the model ranks with: probabilities where it has any.
            ranks = class_scores(model, X_dict[name])
            if hasattr(model, "predict_proba"):
                ranks = model.predict_proba(X_dict[name])
            expected = np.mean(
                [
                    average_precision_score(y_dict[name] == label, ranks[:, column])
                    for column, label in enumerate(model.classes_)
                ]
            )
            value = table.loc[(name, kind), "mean_average_precision"]
            assert value == pytest.approx(expected)
            assert 0.3 < value < 1


def test_unlabelled_rows_are_left_out(clf, test_set):
    X_dict, y_dict = test_set
    labelled = np.arange(70) % 3 > 0
    marked = {
        "many": np.where(labelled, y_dict["many"], -1),
        "few": np.where(labelled, y_dict["few"].astype(object), None),
    }
    expected = evaluate(
        clf,
        {name: rows[labelled] for name, rows in X_dict.items()},
        {name: labels[labelled] for name, labels in y_dict.items()},
    )
    pd.testing.assert_frame_equal(evaluate(clf, X_dict, marked), expected)


def test_dataset_without_labels_has_no_row(clf, test_set):
    X_dict, y_dict = test_set
    # A dataset that no student knows does no harm either.
    X_dict = {**X_dict, "other": np.ones((3, 7))}
    table = evaluate(clf, X_dict, {"few": y_dict["few"]})
    pd.testing.assert_frame_equal(table, evaluate(clf, *test_set).loc[["few"]])


def test_classes_that_are_not_in_y_have_no_average_precision(clf, test_set):
    X_dict, y_dict = test_set
    rows = np.isin(y_dict["many"], [0, 10, 60])
    X, y = X_dict["many"][rows], y_dict["many"][rows]
    table = evaluate(clf, {"many": X}, {"many": y})
    student = clf.students_["many"]
    ranks = student.predict_proba(X)
    expected = np.mean(
        [average_precision_score(y == c * 10, ranks[:, c]) for c in (0, 1, 6)]
    )
    value = table.loc[("many", "student"), "mean_average_precision"]
    assert value == pytest.approx(expected)


def test_label_that_no_model_knows_counts_as_wrong(clf, test_set):
    X_dict, y_dict = test_set
    before = evaluate(clf, *test_set)
    strange = np.where(np.arange(70) < 35, y_dict["many"], 999)
    table = evaluate(clf, X_dict, {**y_dict, "many": strange})
    for kind, model in models_of(clf, "many").items():
        right = model.predict(X_dict["many"])[:35] == y_dict["many"][:35]
        assert table.loc[("many", kind), "accuracy"] == right.sum() / 70
    pd.testing.assert_frame_equal(table.loc[["few"]], before.loc[["few"]])


def test_stacked_rows_give_the_same_table(clf, test_set):
    expected = evaluate(clf, *test_set)
    X, y = stack_datasets(*test_set)
    rows = np.random.default_rng(0).permutation(140)
    for labels in (y[rows], np.asarray(y)[rows]):
        pd.testing.assert_frame_equal(evaluate(clf, X[rows], labels), expected)


def test_array_is_the_only_dataset():
    X, y = (values["many"] for values in make_datasets(0))
    clf = JEDIClassifier(max_epochs=2, adjustment_units=8, random_state=0).fit(X, y)
    table = evaluate(clf, X, y)
    assert table.index.tolist() == [("dataset", model) for model in MODELS]
    assert table.loc[("dataset", "student"), "accuracy"] == clf.score(X, y)


def test_score_is_the_mean_of_the_students_accuracies(clf, test_set):
    X_dict, y_dict = test_set
    accuracies = [
        accuracy_score(y_dict[name], clf.students_[name].predict(rows))
        for name, rows in X_dict.items()
    ]
    assert accuracies[0] != accuracies[1]
    assert clf.score(X_dict, y_dict) == pytest.approx(np.mean(accuracies))
    table = evaluate(clf, X_dict, y_dict)
    students = table.xs("student", level="model")["accuracy"]
    assert clf.score(X_dict, y_dict) == pytest.approx(students.mean())
    # Datasets count alike, whatever their sizes.
    X_few = {"many": X_dict["many"][:7], "few": X_dict["few"]}
    y_few = {"many": y_dict["many"][:7], "few": y_dict["few"]}
    accuracies[0] = accuracy_score(
        y_few["many"], clf.students_["many"].predict(X_few["many"])
    )
    assert clf.score(X_few, y_few) == pytest.approx(np.mean(accuracies))
