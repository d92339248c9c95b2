"""What a fitted classifier says of any rows, or why it says nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

import faults
import numpy as np
from budget import driver
from hypothesis import strategies as st
from invariants import check_predictions, check_table
from outcomes import Refused, outcome
from strategies import FAMILIES, LABELS, World, codes_of, expert_of

from jedi_sklearn import JEDIClassifier, MultiDataset

FITTED_ON = ["numeric", "frames", "sparse", "cubes", "texts", "tables"]
KINDS = [(family, kind) for family, kinds in FAMILIES.items() for kind in kinds]


@cache
def fitted(family: str, n_datasets: int) -> JEDIClassifier:
    random = np.random.default_rng(n_datasets)
    world = World(family, "dict")
    world.experts = []
    for name, labels in zip("abc"[:n_datasets], ["int", "str", "bool"], strict=False):
        kind = next(iter(FAMILIES[family].values()))
        world.X[name] = kind(random, 9)
        world.y[name] = LABELS[labels](codes_of(random, 9))
        world.experts.append((name, expert_of(family, random, world.X[name], None)))
    return world.classifier().fit(world.X, world.y)


@st.composite
def rows(draw: st.DrawFn) -> Any:
    """Draw rows of any kind, in half of the cases broken ones."""
    n_rows = draw(st.integers(1, 6))
    if draw(st.booleans()):
        return faults.ROWS[draw(st.sampled_from(list(faults.ROWS)))](n_rows)
    family, kind = draw(st.sampled_from(KINDS))
    return FAMILIES[family][kind](np.random.default_rng(n_rows), n_rows)


CALLS = {
    "predict": lambda clf, X, y: check_predictions(clf, X),
    "score": lambda clf, X, y: clf.score(X, y),
    "evaluate": check_table,
    "student": lambda clf, X, y: clf.students_["a"].predict_proba(X),
    "teacher": lambda clf, X, y: clf.teachers_["a"].predict_proba(X),
}


@driver(
    "fitted",
    family=st.sampled_from(FITTED_ON),
    n_datasets=st.integers(1, 3),
    given=st.dictionaries(
        st.sampled_from(["a", "b", "c", "d", "", "a/b", 1]), rows(), max_size=3
    ),
    labels=st.dictionaries(
        st.sampled_from(["a", "b", "c", "d", None]),
        st.sampled_from(list(faults.LABELS)),
        max_size=3,
    ),
    container=st.sampled_from(["dict", "MultiDataset", "first"]),
    call=st.sampled_from(list(CALLS)),
)
def test_rows_of_any_kind(
    family: str,
    n_datasets: int,
    given: dict[Any, Any],
    labels: dict[Any, Any],
    container: str,
    call: str,
) -> None:
    clf = fitted(family, n_datasets)
    names = [*given, *labels, *clf.students_]
    X: Any = given
    if container == "first" or call in ("student", "teacher"):
        X = next(iter(given.values()), None)
    elif container == "MultiDataset":
        X = outcome(lambda: MultiDataset(given), names)
        if isinstance(X, Refused):
            return
    y = {name: faults.LABELS[what](4) for name, what in labels.items()}
    for name in y.keys() & given.keys():
        n_rows = len(given[name]) if isinstance(given[name], list) else 4
        y[name] = faults.LABELS[labels[name]](n_rows)
    result = outcome(lambda: CALLS[call](clf, X, y), names, X, y)
    if call == "score" and not isinstance(result, Refused):
        assert 0 <= result <= 1
    if call in ("student", "teacher") and not isinstance(result, Refused):
        np.testing.assert_allclose(result.sum(axis=1), 1, rtol=1e-6)
