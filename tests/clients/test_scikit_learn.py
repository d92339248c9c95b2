"""scikit-learn's meta-estimators and inspection that no other test has."""

from __future__ import annotations

import numpy as np
import pytest
from client_fits import classifier
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.feature_selection import RFECV
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier


def members():
    return [(f"gamma={g}", classifier(gamma=g)) for g in (0.0, 5.0)]


@pytest.mark.parametrize("form", ["pair", "frame"])
def test_voting__is_the_mean_of_the_members_probabilities(request, form):
    X, y = request.getfixturevalue(form)
    vote = VotingClassifier(members(), voting="soft").fit(X, y)
    fitted = [clf.fit(X, y) for _, clf in members()]
    mean = np.mean([clf.predict_proba(X) for clf in fitted], axis=0)
    np.testing.assert_array_equal(vote.predict_proba(X), mean)
    np.testing.assert_array_equal(vote.predict(X), np.unique(y)[mean.argmax(axis=1)])


def test_bagging__counts_a_row_as_often_as_it_drew_it(table):
    X, y = table
    bag = BaggingClassifier(classifier("digits"), n_estimators=2, random_state=0)
    bag.fit(X, y)
    # What takes weights is given the draws as weights, and a seed of its own.
    fitted = [
        clone(member).fit(X, y, sample_weight=np.bincount(rows, minlength=len(X)))
        for member, rows in zip(bag.estimators_, bag.estimators_samples_, strict=True)
    ]
    mean = np.mean([clf.predict_proba(X) for clf in fitted], axis=0)
    np.testing.assert_allclose(bag.predict_proba(X), mean)


def test_bagging__of_a_stacked_pair__says_that_it_is_no_array(pair):
    with pytest.raises(TypeError, match="is not an array"):
        BaggingClassifier(classifier()).fit(*pair)


def test_bagging__of_a_frame__loses_the_datasets_and_is_told(frame):
    with pytest.raises(ValueError, match="'dataset' is labelled but has no expert"):
        BaggingClassifier(classifier()).fit(*frame)


def test_one_vs_rest__has_a_classifier_for_each_label(table):
    X, y = table
    clf = OneVsRestClassifier(classifier("digits")).fit(X, y)
    one_each = [classifier("digits").fit(X, y == label) for label in range(3)]
    scores = np.transpose([one.predict_proba(X)[:, 1] for one in one_each])
    np.testing.assert_array_equal(clf.predict(X), scores.argmax(axis=1))


def test_one_vs_rest__of_a_stacked_pair__has_a_dataset_without_the_label(pair):
    with pytest.raises(ValueError, match="Dataset 'fashion' has only one class"):
        OneVsRestClassifier(classifier()).fit(*pair)


def test_tuned_threshold__moves_the_threshold_alone(table):
    X, y = table[0], table[1] == 2
    tuned = TunedThresholdClassifierCV(
        classifier("digits"), scoring="f1", cv=2, random_state=0
    ).fit(X, y)
    probabilities = classifier("digits").fit(X, y).predict_proba(X)[:, 1]
    np.testing.assert_array_equal(
        tuned.predict(X), probabilities >= tuned.best_threshold_
    )
    assert tuned.best_threshold_ != 0.5


def test_permutation_importance__of_a_frame_with_its_datasets(frame):
    X, y = frame
    clf = classifier().fit(X, y)
    found = permutation_importance(clf, X, y, n_repeats=2, random_state=0)
    rng, expected = np.random.RandomState(0), []
    seed = rng.randint(np.iinfo(np.int32).max + 1)
    for column in X:
        rng, changed = np.random.RandomState(seed), X.copy()
        order, scores = np.arange(len(X)), []
        for _ in range(2):
            rng.shuffle(order)
            changed[column] = changed[column].to_numpy()[order]
            scores.append(clf.score(X, y) - clf.score(changed, y))
        expected.append(scores)
    np.testing.assert_allclose(found.importances, expected)


def test_permutation_importance__of_a_stacked_pair__says_that_it_is_no_array(pair):
    with pytest.raises(TypeError, match="is not an array"):
        permutation_importance(classifier().fit(*pair), *pair)


@pytest.mark.parametrize("of_student", [True, False])
def test_partial_dependence__is_the_mean_with_one_value_for_all(table, of_student):
    X, y = table
    clf = classifier("digits").fit(X, y)
    clf = clf.students_["digits"] if of_student else clf
    found = partial_dependence(clf, X, [1], grid_resolution=3)
    for value, mean in zip(found["grid_values"][0], found["average"].T, strict=True):
        changed = X.copy()
        changed[:, 1] = value
        np.testing.assert_allclose(mean, clf.predict_proba(changed).mean(axis=0))


def test_feature_elimination__asks_a_way_to_rate_features(table):
    X, y = table
    with pytest.raises(ValueError, match=r"should have `coef_`"):
        RFECV(classifier("digits"), cv=2).fit(X, y)

    def first_is_best(clf):
        return np.arange(clf.n_features_in_)[::-1]

    selected = RFECV(classifier("digits"), cv=2, importance_getter=first_is_best).fit(
        X, y
    )
    n = selected.n_features_
    np.testing.assert_array_equal(selected.support_, np.arange(4) < n)
    best = classifier("digits").fit(X[:, :n], y)
    np.testing.assert_array_equal(selected.predict(X), best.predict(X[:, :n]))
