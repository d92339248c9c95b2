"""Hyperopt: its minimizer over the weights of the loss."""

from __future__ import annotations

import numpy as np
import pytest
from client_fits import classifier
from sklearn.model_selection import cross_val_score

from jedi_sklearn.model_selection import MultiDatasetKFold

hyperopt = pytest.importorskip("hyperopt", reason="Hyperopt is not among what CI has")
from hyperopt import Trials, fmin, hp, tpe  # noqa: E402
from hyperopt.pyll import scope  # noqa: E402


def loss(pair, params):
    scores = cross_val_score(
        classifier(**params), *pair, cv=MultiDatasetKFold(2), scoring="neg_log_loss"
    )
    return -scores.mean()


def minimize(pair, space, trials=None):
    return fmin(
        lambda params: loss(pair, params),
        space,
        algo=tpe.suggest,
        max_evals=4,
        trials=trials,
        rstate=np.random.default_rng(0),
        show_progressbar=False,
        return_argmin=False,
    )


def test_minimum__is_what_plain_scores_say(pair):
    space = {
        "gamma": hp.loguniform("gamma", np.log(0.1), np.log(10)),
        "teacher_input": hp.choice("teacher_input", ["adjusted", "base"]),
        "max_epochs": scope.int(hp.quniform("max_epochs", 1, 3, 1)),
    }
    trials = Trials()
    best = minimize(pair, space, trials)
    losses = trials.losses()
    assert loss(pair, best) == min(losses) < max(losses)


def test_whole_numbers_that_are_floats__say_what_is_asked(pair):
    space = {"max_epochs": hp.quniform("max_epochs", 1, 3, 1)}
    with pytest.raises(
        ValueError, match=r"max_epochs=\d\.0. Valid values are integers"
    ):
        minimize(pair, space)
