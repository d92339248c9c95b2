"""Fit, and all that follows, on data of every kind and with what can be wrong."""

from __future__ import annotations

from typing import Any

import faults
import numpy as np
from budget import N_CASES, SHARES, driver
from hypothesis import strategies as st
from invariants import (
    check_history,
    check_predictions,
    check_table,
    known_labels,
    rows_with_student,
)
from outcomes import Refused, outcome
from strategies import CONTAINERS, World, worlds

from jedi_sklearn import JEDIClassifier, stack_datasets

FAULTS = st.sampled_from(
    [(k, what) for k, named in faults.KINDS.items() for what in named]
)
WHOLE = st.sampled_from(
    [("X", what) for what in faults.WHOLE_X] + [("y", what) for what in faults.WHOLE_Y]
)
SOME = st.lists(FAULTS, max_size=2)


def test_the_shares_are_the_whole():
    np.testing.assert_allclose(sum(SHARES.values()), 1)
    assert set(N_CASES) == {"ci", "fuzz"}


def fitted_or_refused(world: World, X: Any, y: Any) -> JEDIClassifier | None:
    """Fit; return None where that is refused, which only faults may lead to."""
    clf = world.classifier()
    before = dict(vars(clf))
    result = outcome(
        lambda: clf.fit(X, y, **world.further),
        world.names,
        X,
        y,
        *world.further.values(),
    )
    if isinstance(result, Refused):
        assert world.faults, f"a world without faults was refused: {result}"
        assert vars(clf) == before
        return None
    check_history(clf)
    return clf


def check_all(world: World, clf: JEDIClassifier, X: Any, y: Any) -> None:
    """Predict, score and evaluate the rows of the fit."""
    rows = rows_with_student(clf, X)
    refused = outcome(lambda: check_predictions(clf, rows), world.names, rows)
    assert not isinstance(refused, Refused), refused
    score = outcome(lambda: clf.score(X, y), world.names, X, y)
    table = outcome(lambda: check_table(clf, X, y), world.names, X, y)
    if not world.faults:
        assert 0 <= score <= 1
        assert table is None
        for name in clf.students_ if world.container == "dict" else ():
            own = set(clf.students_[name].classes_.tolist())
            assert own == set(known_labels(world.y[name]))


@driver(
    "fit",
    world=worlds(),
    broken=SOME,
    seed=st.integers(0, 10_000),
    validate=st.booleans(),
)
def test_fit(world: World, broken: list[Any], seed: int, validate: bool) -> None:
    random = np.random.default_rng(seed)
    if validate:
        world.further.update(X_val=dict(world.X), y_val=dict(world.y))
    for kind, what in broken:
        faults.break_one(world, kind, what, random)
        world.faults.append(f"{kind}: {what}")
    given = outcome(world.given, world.names)
    if isinstance(given, Refused):
        assert world.faults, given
        return
    clf = fitted_or_refused(world, *given)
    if clf is not None:
        check_all(world, clf, *given)


@driver(
    "one_dataset",
    world=worlds(
        ("numeric", "frames", "sparse", "plain sparse"),
        containers=("one", "frame with level"),
        one_kind_of_label=True,
    ),
    broken=st.lists(WHOLE, max_size=1),
)
def test_fit_of_one_table(world: World, broken: list[Any]) -> None:
    X, y = world.given()
    for argument, what in broken:
        if argument == "X":
            X = faults.WHOLE_X[what](X)
        else:
            y = faults.WHOLE_Y[what](y)
        world.faults.append(f"{argument}: {what}")
    clf = fitted_or_refused(world, X, y)
    if clf is not None:
        check_all(world, clf, X, y)


@driver("same_result", world=worlds(), seed=st.integers(0, 100))
def test_order_and_container_change_nothing(world: World, seed: int) -> None:
    X, y = outcome(lambda: stack_datasets(world.X, world.y), [])
    backwards = [dict(reversed(list(part.items()))) for part in (world.X, world.y)]
    fits = [
        (world.X, world.y),
        backwards,
        (X, y),
        CONTAINERS["MultiDataset"](*backwards),
    ]
    models = [outcome(lambda g=g: world.classifier().fit(*g), [], *g) for g in fits]
    rows = rows_with_student(models[0], X)
    first = models[0].predict_proba(rows)
    for model in models[1:]:
        np.testing.assert_array_equal(model.classes_, models[0].classes_)
        np.testing.assert_array_equal(model.predict_proba(rows), first)
        np.testing.assert_array_equal(model.history_, models[0].history_)
    # What is said of a row does not depend on where it stands.
    order = np.random.default_rng(seed).permutation(rows.shape[0])
    mixed = models[0].predict_proba(rows[order])
    np.testing.assert_allclose(mixed, first[order], rtol=1e-5, atol=1e-7)
