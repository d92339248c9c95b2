"""mlxtend: ensembles, selection of features, pictures and tests of predictions."""

from __future__ import annotations

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from client_fits import classifier
from scipy.stats import binomtest
from sklearn.model_selection import cross_val_score

pytest.importorskip("mlxtend")
from mlxtend.classifier import EnsembleVoteClassifier
from mlxtend.evaluate import bias_variance_decomp, mcnemar, mcnemar_table
from mlxtend.feature_selection import SequentialFeatureSelector
from mlxtend.plotting import plot_decision_regions


@pytest.fixture
def members():
    return [classifier("digits", gamma=gamma) for gamma in (0.0, 5.0)]


def test_vote__is_the_mean_of_the_members_probabilities(table, members):
    X, y = table
    vote = EnsembleVoteClassifier(members, voting="soft").fit(X, y)
    mean = np.mean([clf.fit(X, y).predict_proba(X) for clf in members], axis=0)
    np.testing.assert_array_equal(vote.predict_proba(X), mean)
    np.testing.assert_array_equal(vote.predict(X), mean.argmax(axis=1))


def test_vote__of_a_fitted_student_and_teacher(dicts):
    X, y = dicts[0]["digits"], dicts[1]["digits"]
    clf = classifier().fit(*dicts)
    members = [clf.students_["digits"], clf.teachers_["digits"]]
    vote = EnsembleVoteClassifier(
        members, voting="soft", use_clones=False, fit_base_estimators=False
    ).fit(X, y)
    mean = np.mean([member.predict_proba(X) for member in members], axis=0)
    np.testing.assert_array_equal(vote.predict_proba(X), mean)


def test_vote__on_a_stacked_pair(pair):
    X, y = pair
    members = [classifier(gamma=gamma) for gamma in (0.0, 5.0)]
    vote = EnsembleVoteClassifier(members, voting="soft").fit(X, y)
    mean = np.mean([clf.fit(X, y).predict_proba(X) for clf in members], axis=0)
    np.testing.assert_array_equal(vote.predict_proba(X), mean)
    assert set(vote.predict(X)) <= set(np.unique(y))


def test_feature_selection__takes_the_best_of_all_pairs(table):
    X, y = table
    clf = classifier("digits", max_epochs=1)
    selector = SequentialFeatureSelector(
        clf, k_features=2, scoring="accuracy", cv=2
    ).fit(X, y)
    # Step by step, as plain scores lead.
    first = max(range(4), key=lambda i: cross_val_score(clf, X[:, [i]], y, cv=2).mean())
    pairs = [pair for pair in combinations(range(4), 2) if first in pair]
    scores = [cross_val_score(clf, X[:, pair], y, cv=2).mean() for pair in pairs]
    assert selector.k_feature_idx_ == pairs[np.argmax(scores)]
    assert selector.k_score_ == pytest.approx(max(scores))


def test_feature_selection__of_a_stacked_pair__is_not_possible(pair):
    with pytest.raises(AttributeError, match="no attribute 'ndim'"):
        SequentialFeatureSelector(classifier(), k_features=2).fit(*pair)


def test_decision_regions__show_what_is_predicted(table):
    X, y = table[0][:, :2], table[1]
    clf = classifier("digits").fit(X, y)
    asked = []

    class Recorded:
        def predict(self, rows):
            asked.append(rows)
            return clf.predict(rows)

    _, ax = plt.subplots()
    ax = plot_decision_regions(X, y, Recorded(), ax=ax)
    # A point for each row, and contours of what was predicted for a grid of points.
    assert sum(len(c.get_offsets()) for c in ax.collections) >= len(X)
    assert asked[0].shape[1] == 2
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["0", "1", "2"]
    plt.close("all")


def test_mcnemar__of_expert_and_student(dicts):
    X, y = dicts[0]["digits"], dicts[1]["digits"]
    clf = classifier(max_epochs=20, gamma=5.0).fit(*dicts)
    models = clf.experts_["digits"], clf.students_["digits"]
    right = [model.predict(X) == y for model in models]
    table = mcnemar_table(y, *(model.predict(X) for model in models))
    expected = [
        [np.sum((right[0] == a) & (right[1] == b)) for b in (True, False)]
        for a in (True, False)
    ]
    np.testing.assert_array_equal(table, expected)
    only_one = expected[0][1], expected[1][0]
    assert sum(only_one) > 0
    _, p = mcnemar(table, exact=True)
    assert p == pytest.approx(binomtest(min(only_one), sum(only_one)).pvalue)


def test_bias_and_variance__add_up_as_plain_fits_say(table):
    X, y = table
    loss, bias, variance = bias_variance_decomp(
        classifier("digits"), X, y, X, y, num_rounds=3, random_seed=0
    )
    rng = np.random.RandomState(0)
    labels = []
    for _ in range(3):
        rows = rng.choice(len(X), size=len(X), replace=True)
        labels.append(classifier("digits").fit(X[rows], y[rows]).predict(X))
    main = [np.bincount(votes).argmax() for votes in np.transpose(labels)]
    assert loss == pytest.approx(np.mean(np.array(labels) != y))
    assert bias == pytest.approx(np.mean(main != y))
    assert variance == pytest.approx(np.mean(np.array(labels) != main))
