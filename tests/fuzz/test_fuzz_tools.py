"""Stacked pairs, splitters and transformers, with rows and labels of any kind."""

from __future__ import annotations

import pickle
from typing import Any

import faults
import numpy as np
from budget import driver
from hypothesis import strategies as st
from outcomes import Refused, content, outcome
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from strategies import World, worlds
from test_fuzz_fit import FAULTS

from jedi_sklearn import MultiDataset, stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold
from jedi_sklearn.preprocessing import PerDataset

OF_DATA = FAULTS.filter(lambda f: f[0] in ("rows", "labels", "name", "label name"))


def broken(world: World, some: list[Any], seed: int) -> World:
    random = np.random.default_rng(seed)
    for kind, what in some:
        faults.break_one(world, kind, what, random)
        world.faults.append(f"{kind}: {what}")
    return world


BROKEN = st.builds(
    broken, worlds(), st.lists(OF_DATA, max_size=2), st.integers(0, 1000)
)


@driver("stack_datasets", world=BROKEN, seed=st.integers(0, 1000))
def test_stack_datasets(world: World, seed: int) -> None:
    def stack() -> Any:
        X, y = stack_datasets(world.X, world.y)
        return X, y, np.asarray(y)

    stacked = outcome(stack, world.names, world.X, world.y)
    if isinstance(stacked, Refused):
        assert world.faults, f"a world without faults was refused: {stacked}"
        return
    X, y, labels = stacked
    assert list(X) == list(y) == sorted(world.X)
    assert X.shape[0] == y.shape[0] == len(labels) == len(X.groups)
    for name in X:
        assert content(X[name]) == content(_sliced(world.X[name]))
    for label, name in zip(labels.tolist(), X.groups.tolist(), strict=True):
        assert label == name or label.startswith(f"{name}/")
    order = np.random.default_rng(seed).permutation(len(labels))
    np.testing.assert_array_equal(np.asarray(y[order]), labels[order])
    np.testing.assert_array_equal(X[order].groups, X.groups[order])
    for view in (X[order], y[order][::2], X[labels == labels[0]]):
        again = pickle.loads(pickle.dumps(view))
        assert content(again) == content(view)


def _sliced(values: Any) -> Any:
    return values.iloc[:] if hasattr(values, "iloc") else values[:]


@driver(
    "tools",
    world=BROKEN,
    container=st.sampled_from(["dict", "MultiDataset", "stacked"]),
    n_splits=st.sampled_from([2, 3, 1, 0, -1, 40, 2.5, "2", None, True]),
    tool=st.sampled_from(["fold", "scale", "same"]),
)
def test_tools(world: World, container: str, n_splits: Any, tool: str) -> None:
    world.container = container
    names = [*world.names, "n_splits"]
    given = outcome(world.given, names)
    if isinstance(given, Refused):
        return
    X, y = given
    if tool == "fold":
        folds = outcome(
            lambda: list(MultiDatasetKFold(n_splits).split(X, y)), names, X, y
        )
        if not isinstance(folds, Refused):
            _check_folds(folds, MultiDataset(X) if isinstance(X, dict) else X, n_splits)
        return
    transformer = StandardScaler() if tool == "scale" else FunctionTransformer()
    per_dataset = PerDataset(transformer)
    changed = outcome(lambda: per_dataset.fit(X, y).transform(X), names, X, y)
    if not isinstance(changed, Refused):
        assert list(changed) == sorted(X)
        for name in changed:
            assert faults.n_rows_of(changed[name]) == faults.n_rows_of(X[name])


def _check_folds(folds: list[Any], X: MultiDataset, n_splits: Any) -> None:
    assert len(folds) == n_splits
    everything = np.arange(X.shape[0])
    for train, test in folds:
        np.testing.assert_array_equal(
            np.sort(np.concatenate([train, test])), everything
        )
    tested = np.concatenate([test for _, test in folds])
    assert len(tested) == len(set(tested.tolist()))
