"""scikit-optimize: its Bayesian search."""

from __future__ import annotations

import numpy as np
import pytest
from client_fits import classifier
from sklearn.model_selection import cross_val_score

from jedi_sklearn.model_selection import MultiDatasetKFold

pytest.importorskip("skopt")
from skopt import BayesSearchCV
from skopt.space import Categorical, Integer, Real

CV = MultiDatasetKFold(2)
SPACE = {
    "alpha": Real(0.5, 2),
    "gamma": Real(0.1, 10, prior="log-uniform"),
    "teacher_input": Categorical(["adjusted", "base"]),
    "target_dropout": Categorical([True, False]),
    "max_epochs": Integer(1, 3),
    "digits__logisticregression__C": Real(0.01, 1, prior="log-uniform"),
}


def bayes_search(clf, cv, n_iter):
    return BayesSearchCV(
        clf,
        SPACE,
        cv=cv,
        n_iter=n_iter,
        scoring="neg_log_loss",
        optimizer_kwargs={"base_estimator": "RF", "n_initial_points": 2},
        random_state=0,
        error_score="raise",
    )


def test_bayes_search__finds_what_plain_scores_say(pair):
    X, y = pair
    search = bayes_search(classifier(), CV, n_iter=3).fit(X, y)
    scores = [
        cross_val_score(
            classifier(**params), X, y, cv=CV, scoring="neg_log_loss"
        ).mean()
        for params in search.cv_results_["params"]
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], scores)
    assert search.best_index_ == np.argmax(scores)
    assert max(scores) > min(scores)
    best = classifier(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), best.predict_proba(X))
    np.testing.assert_array_equal(search.classes_, best.classes_)


def test_bayes_search__of_one_table(table):
    X, y = table
    search = bayes_search(classifier("digits"), 2, n_iter=2).fit(X, y)
    best = classifier("digits", **search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), best.predict_proba(X))


def test_dicts_that_are_not_stacked__fail_in_the_search(dicts):
    with pytest.raises(ValueError, match="Expected array-like"):
        bayes_search(classifier(), 2, n_iter=1).fit(*dicts)
