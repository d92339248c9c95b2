"""Training on further rows of datasets that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer
from small_fits import ONE_BATCH, small_classifier

from benchmarks.fit_kills import bits_of
from jedi_sklearn import evaluate, stack_datasets
from jedi_sklearn.classifier import fit
from jedi_sklearn.training import from_params


def problem(seed, n_rows=(60, 40)):
    random = np.random.default_rng(seed)
    X = {name: random.normal(size=(n, 5)) for name, n in zip("ab", n_rows, strict=True)}
    X = {name: rows.round(3) for name, rows in X.items()}
    y = {name: np.where(rows[:, 0] + rows[:, 1] > 0, 1, 0) for name, rows in X.items()}
    return X, y


X, Y = problem(0)
X_MORE, Y_MORE = problem(1, (30, 20))


@pytest.fixture
def fitted():
    return small_classifier(max_epochs=2).fit(X, Y)


def test_it_is_an_epoch_from_the_last_weights_on(fitted):
    """On the rows of fit, it is the epoch that a warm start has."""
    warm = clone(fitted).set_params(**ONE_BATCH).fit(X, Y)
    partial = clone(fitted).set_params(**ONE_BATCH).fit(X, Y)
    warm.set_params(warm_start=True, max_epochs=1).fit(X, Y)
    partial.partial_fit(X, Y)
    # By its sizes Eq. (2) has the same shares. Rows are in another order in the sums.
    for name, student in warm.students_.items():
        np.testing.assert_allclose(student.coef_, partial.students_[name].coef_, 1e-4)


def test_the_history_goes_on(fitted):
    before = fitted.history_
    fitted.partial_fit(X_MORE, Y_MORE).partial_fit(X_MORE, Y_MORE)
    assert fitted.n_iter_ == 4
    assert fitted.history_.index.tolist() == [1, 2, 3, 4]
    pd.testing.assert_frame_equal(fitted.history_.iloc[:2], before)
    assert np.isfinite(fitted.history_.to_numpy()).all()


def test_further_rows_help():
    X_test, y_test = problem(2, (400, 400))
    few = {name: rows[:12] for name, rows in X.items()}
    classifier = small_classifier(max_epochs=2, learning_rate=0.03)
    classifier.fit(few, {name: labels[:12] for name, labels in Y.items()})
    before = classifier.score(X_test, y_test)
    for seed in range(10, 22):
        classifier.partial_fit(*problem(seed))
    assert classifier.score(X_test, y_test) > before + 0.02


def test_the_experts_and_the_classes_stay(fitted):
    experts = [e.encoder for e in fitted._state.experts]
    classes, kept = fitted.classes_, clone(fitted).get_params(deep=False)
    fitted.partial_fit(X_MORE, {"a": Y_MORE["a"]})
    assert all(
        e.encoder is o for e, o in zip(fitted._state.experts, experts, strict=True)
    )
    assert fitted.classes_ is classes
    assert fitted.datasets_ == ["a", "b"]
    assert list(fitted.students_) == ["a", "b"]
    assert fitted.get_params(deep=False).keys() == kept.keys()
    evaluate(fitted, X, Y)


def test_rows_of_one_dataset_leave_the_others_head_alone(fitted):
    fitted.set_params(gamma=0.0, weight_decay=0.0)
    before = fitted.students_
    fitted.partial_fit({"a": X_MORE["a"]}, {"a": Y_MORE["a"]})
    assert (fitted.students_["a"].coef_ != before["a"].coef_).any()
    np.testing.assert_allclose(
        fitted.students_["b"].coef_, before["b"].coef_, rtol=1e-5, atol=1e-6
    )
    assert fitted.history_.loc[3].isna()["student_loss", "b"]
    assert np.isfinite(fitted.history_.loc[3]["student_loss", "a"])


def test_rows_without_labels_serve_the_distillation(fitted):
    unlabelled = {name: np.full(len(rows), -1) for name, rows in X_MORE.items()}
    before = bits_of(fitted)
    fitted.partial_fit(X_MORE, unlabelled)
    assert bits_of(fitted) != before
    assert np.isfinite(fitted.history_.loc[3]["distillation_loss", "a"])
    assert np.isfinite(fitted.predict_proba(X)["a"]).all()


def test_a_single_row_is_enough(fitted):
    fitted.partial_fit({"b": X_MORE["b"][:1]}, {"b": Y_MORE["b"][:1]})
    assert np.isfinite(fitted.predict_proba(X)["b"]).all()


def test_sizes_in_equation_2_are_those_of_all_rows(fitted, monkeypatch):
    sizes = []

    def weights(of_datasets):
        sizes.append(list(of_datasets))
        return usual(of_datasets)

    usual = from_params.distillation_weights
    monkeypatch.setattr(from_params, "distillation_weights", weights)
    fitted.partial_fit(X_MORE, Y_MORE)
    fitted.partial_fit({"b": X_MORE["b"]}, {"b": Y_MORE["b"]})
    np.testing.assert_allclose(sizes, [[90, 60], [90, 80]])


def test_the_scaling_is_that_of_fit(fitted):
    scaling = fitted._state.scaling
    fitted.partial_fit({n: 10 * rows + 3 for n, rows in X_MORE.items()}, Y_MORE)
    for before, after in zip(scaling, fitted._state.scaling, strict=True):
        np.testing.assert_array_equal(before, after)


def test_calls_draw_other_masks_and_same_seeds_the_same(fitted):
    twice = small_classifier(max_epochs=2).fit(X, Y)
    for classifier in (fitted, twice):
        classifier.partial_fit(X_MORE, Y_MORE).partial_fit(X_MORE, Y_MORE)
    assert bits_of(fitted) == bits_of(twice)


def test_calls_shuffle_differently(fitted, monkeypatch):
    seeds = []

    def train(*args, **kwargs):
        seeds.append(args[4].seed)
        return usual(*args, **kwargs)

    usual = fit.train
    monkeypatch.setattr(fit, "train", train)
    for _ in range(3):
        fitted.partial_fit(X_MORE, Y_MORE)
    assert len(set(seeds)) == 3


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_the_alternating_schedule_trains_both(schedule, fitted):
    fitted.set_params(schedule=schedule, max_epochs=50, warmup_epochs=3)
    before = fitted.students_, fitted.teachers_
    fitted.partial_fit(X_MORE, Y_MORE)
    assert fitted.n_iter_ == 2 + (1 if schedule == "joint" else 2)
    for models, old in zip((fitted.students_, fitted.teachers_), before, strict=True):
        assert all((models[n].coef_ != old[n].coef_).any() for n in models)


def test_the_first_call_fits_the_experts():
    classifier = small_classifier(max_epochs=50, early_stopping=True)
    classifier.partial_fit(X, Y, classes={"a": [0, 1]})
    assert classifier.n_iter_ == 1
    expected = small_classifier(max_epochs=1).fit(X, Y)
    assert bits_of(classifier) == bits_of(expected)


def test_stacked_rows_and_arrays(fitted):
    stacked = clone(fitted).fit(*stack_datasets(X, Y))
    stacked.partial_fit(*stack_datasets(X_MORE, Y_MORE), classes=stacked.classes_)
    fitted.partial_fit(X_MORE, Y_MORE)
    assert bits_of(stacked) == bits_of(fitted)
    array = small_classifier([("a", PCA(2))])
    array.partial_fit(X["a"], Y["a"], [0, 1]).partial_fit(X_MORE["a"], Y_MORE["a"])
    assert array.predict(X["a"]).shape == (60,)


def test_weights_and_a_mapping_of_them(fitted):
    weights = {"a": np.r_[np.zeros(10), np.ones(20)]}
    expected = clone(fitted).fit(X, Y)
    fitted.partial_fit(X_MORE, Y_MORE, sample_weight=weights)
    some = {"a": X_MORE["a"][10:], "b": X_MORE["b"]}
    expected.partial_fit(some, {"a": Y_MORE["a"][10:], "b": Y_MORE["b"]})
    assert bits_of(fitted) == bits_of(expected)


def test_minus_one_stays_a_class_where_it_was_one():
    signs = np.where(Y["a"] == 1, 1, -1)
    classifier = small_classifier([("a", PCA(2))]).fit(X["a"], signs)
    negative = signs == -1
    classifier.partial_fit(X["a"][negative], signs[negative])
    assert np.isfinite(classifier.history_.to_numpy()).all()
    assert 0 <= classifier.score(X["a"][negative], signs[negative]) <= 1
    table = evaluate(classifier, X["a"][negative], signs[negative])
    assert np.isfinite(table["accuracy"]).all()
    classifier.fit(X["a"], signs, X_val=X["a"][negative], y_val=signs[negative])


@pytest.mark.parametrize("some", [["b"], ["a", "b"]])
def test_class_weights_are_of_all_classes(some):
    params = {"class_weight": {"a": {0: 2.0, 1: 1.0}}}
    classifier = small_classifier(**params).fit(X, Y)
    ones = {name: Y_MORE[name] == 1 for name in some}
    rows = {name: X_MORE[name][ones[name]] for name in some}
    classifier.partial_fit(rows, {name: Y_MORE[name][ones[name]] for name in some})
    assert classifier.n_iter_ == 4


def test_experts_that_were_kept_stay_kept():
    classifier = small_classifier(max_epochs=1, keep_expert=True, learning_rate=1e-9)
    classifier.fit(X, Y, X_val=X, y_val=Y)
    assert classifier.kept_experts_ == ["a", "b"]
    classifier.partial_fit(X_MORE, Y_MORE)
    assert classifier.kept_experts_ == ["a", "b"]


@pytest.mark.parametrize(
    ("rows", "labels", "more", "message"),
    [
        ({"c": X["a"]}, {"c": Y["a"]}, {}, r"Dataset 'c' was not in fit.*\['a', 'b'\]"),
        ({"a": X["a"]}, {"a": Y["a"] + 5}, {}, r"'a' has the label 5.*knows \[0, 1\]"),
        (X["a"], Y["a"], {}, "X does not say whose rows these are"),
        ({"a": X["a"][:, :3]}, {"a": Y["a"]}, {}, "Expert 'a' .*3 features"),
        (X, Y, {"classes": {"a": [0, 1, 2]}}, "'a' has the label 2, which its student"),
        (X, Y, {"classes": {"z": [0, 1]}}, "Dataset 'z' has no student"),
        (X, Y, {"classes": ["a/0", "b/7"]}, "has the label 'b/7'"),
        (X, {"a": Y["a"][:3]}, {}, "'a' has 60 rows .*3 labels"),
        ({"a": X["a"] * np.nan}, {"a": Y["a"]}, {}, "dataset 'a'"),
    ],
)
def test_what_cannot_be_learnt_is_refused_by_name(rows, labels, more, message, fitted):
    before = bits_of(fitted)
    with pytest.raises(ValueError, match=message):
        fitted.partial_fit(rows, labels, **more)
    assert bits_of(fitted) == before
    assert fitted.n_iter_ == 2


def test_classes_that_the_first_call_has_not_seen_are_refused():
    with pytest.raises(ValueError, match=r"'a' has the label 2.*must have seen all"):
        small_classifier().partial_fit(X, Y, classes={"a": [0, 1, 2]})


def test_a_dataset_without_a_student_cannot_get_labels():
    classifier = small_classifier()
    classifier.fit(X | {"c": X["a"]}, Y).partial_fit(X | {"c": X["b"]}, Y)
    with pytest.raises(ValueError, match="Dataset 'c' has no student"):
        classifier.partial_fit({"c": X["a"]}, {"c": Y["a"]})


def test_another_width_is_refused_by_name():
    experts = [(name, FunctionTransformer()) for name in "ab"]
    classifier = small_classifier(experts).fit(X, Y)
    with pytest.raises(ValueError, match="'a' returned an embedding of 4 features"):
        classifier.partial_fit({"a": X["a"][:, :4]}, {"a": Y["a"]})
