"""Optuna: studies, its search and its pruning."""

from __future__ import annotations

import numpy as np
import pytest
from client_fits import classifier
from sklearn.model_selection import cross_val_score

from jedi_sklearn import stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold

optuna = pytest.importorskip("optuna")
pytest.importorskip("optuna_integration")
from optuna.distributions import (  # noqa: E402
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna_integration import OptunaSearchCV, SkorchPruningCallback  # noqa: E402

CV = MultiDatasetKFold(2)

# What Optuna says of its own search, and of a module that its search uses.
pytestmark = [
    pytest.mark.filterwarnings("ignore:OptunaSearchCV is experimental"),
    pytest.mark.filterwarnings("ignore:.optuna.terminator. module has been deprecated"),
]


@pytest.fixture(autouse=True, scope="module")
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_study_over_the_weights_of_the_loss(pair, n_jobs):
    def objective(trial):
        weights = {
            name: trial.suggest_float(name, 0.1, 10, log=True)
            for name in ("alpha", "beta", "gamma")
        }
        return cross_val_score(
            classifier(**weights), *pair, cv=CV, scoring="neg_log_loss"
        ).mean()

    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=4, n_jobs=n_jobs)
    values = [
        cross_val_score(classifier(**t.params), *pair, cv=CV, scoring="neg_log_loss")
        for t in study.trials
    ]
    values = np.mean(values, axis=1)
    # With two threads as with one.
    np.testing.assert_array_equal([trial.value for trial in study.trials], values)
    assert study.best_value == values.max() > values.min()


SPACE = {
    "gamma": FloatDistribution(0.1, 10, log=True),
    "teacher_input": CategoricalDistribution(["adjusted", "base"]),
    "target_dropout": CategoricalDistribution([True, False]),
    "max_epochs": IntDistribution(1, 3),
    "digits__logisticregression__C": FloatDistribution(0.01, 1, log=True),
}


@pytest.mark.parametrize("form", ["pair", "frame"])
def test_optuna_search__finds_what_plain_scores_say(request, form):
    X, y = request.getfixturevalue(form)
    search = OptunaSearchCV(
        classifier(), SPACE, cv=CV, n_trials=4, random_state=0, error_score="raise"
    ).fit(X, y)
    scores = [
        cross_val_score(classifier(**trial.params), X, y, cv=CV).mean()
        for trial in search.trials_
    ]
    np.testing.assert_array_equal([trial.value for trial in search.trials_], scores)
    assert search.best_score_ == max(scores) > min(scores)
    best = classifier(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), best.predict_proba(X))
    assert search.score(X, y) == best.score(X, y)
    np.testing.assert_array_equal(search.classes_, best.classes_)


def test_optuna_search__of_one_table(table):
    search = OptunaSearchCV(
        classifier("digits"), {"gamma": SPACE["gamma"]}, cv=2, n_trials=2
    ).fit(*table)
    best = classifier("digits", **search.best_params_).fit(*table)
    np.testing.assert_array_equal(search.predict(table[0]), best.predict(table[0]))


def test_optuna_search__with_pruning__trains_by_partial_fit(pair):
    X, y = pair
    space = {"gamma": FloatDistribution(0.1, 1)}
    search = OptunaSearchCV(
        classifier(), space, cv=CV, n_trials=1, enable_pruning=True, max_iter=2
    ).fit(X, y)
    scores = []
    for train, test in CV.split(X, y):
        clf = classifier(**search.best_params_)
        for _ in range(2):
            clf.partial_fit(X[train], y[train], classes=np.unique(y))
        scores.append(clf.score(X[test], y[test]))
    assert search.best_score_ == np.mean(scores)


def test_skorch_pruning__sees_every_epoch_and_may_end_a_fit(pair):
    def objective(trial):
        stop = SkorchPruningCallback(trial, "train_loss")
        clf = classifier(max_epochs=4, callbacks=[stop]).fit(*pair)
        return clf.history_["loss", "all"].iloc[-1]

    patient = optuna.create_study(pruner=optuna.pruners.NopPruner())
    patient.optimize(objective, n_trials=1)
    losses = classifier(max_epochs=4).fit(*pair).history_["loss", "all"]
    seen = patient.trials[0].intermediate_values
    assert list(seen.values()) == losses.tolist()
    # A loss of nothing is out of reach.
    hasty = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=1e-9))
    hasty.optimize(objective, n_trials=1)
    (trial,) = hasty.trials
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert list(trial.intermediate_values) == [0]


def test_dicts_that_are_not_stacked__fail_in_the_search(dicts):
    search = OptunaSearchCV(
        classifier(), {"gamma": FloatDistribution(0.1, 1)}, cv=2, n_trials=1
    )
    with pytest.raises(KeyError):
        search.fit(*dicts)
    search.fit(*stack_datasets(*dicts))
