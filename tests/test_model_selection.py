"""Folds that know of datasets and of unlabelled rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, check_cv

from jedi_sklearn import stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold


def make_pair(labels, unlabelled=0):
    """Rows for the labels, and as many as asked for of a dataset without any."""
    X = {name: np.zeros((len(part), 1)) for name, part in labels.items()}
    if unlabelled:
        X["c"] = np.zeros((unlabelled, 1))
    return stack_datasets(X, labels)


@given(
    n_splits=st.integers(2, 5),
    counts=st.lists(st.integers(5, 12), min_size=4, max_size=4),
    unlabelled=st.integers(0, 10),
    seed=st.one_of(st.none(), st.integers(0, 99)),
    data=st.data(),
)
def test_each_label_of_each_dataset_is_spread_evenly(
    n_splits, counts, unlabelled, seed, data
):
    labels = {
        "a": [0] * counts[0] + [1] * counts[1] + [-1] * unlabelled,
        "b": [0] * counts[2] + [1] * counts[3],
    }
    X, y = make_pair(labels, unlabelled)
    order = np.array(data.draw(st.permutations(range(X.shape[0]))))
    X, y = X[order], y[order]
    composite = np.asarray(y)
    splitter = MultiDatasetKFold(n_splits, shuffle=seed is not None, random_state=seed)
    tested = np.zeros(len(composite), dtype=int)
    per_fold = []
    for train, test in splitter.split(X, y):
        assert sorted([*train, *test]) == list(range(len(composite)))
        tested[test] += 1
        names, numbers = np.unique(composite[test], return_counts=True)
        per_fold.append(dict(zip(names, numbers, strict=True)))
    np.testing.assert_array_equal(tested, np.char.count(composite, "/"))
    for name in ("a/0", "a/1", "b/0", "b/1"):
        numbers = [fold.get(name, 0) for fold in per_fold]
        assert max(numbers) - min(numbers) <= 1


def test_folds_are_those_of_the_labelled_rows():
    labels = np.array([0, 1, 2] * 8)
    labels[::5] = -1
    X, y = make_pair({"a": labels})
    known = np.flatnonzero(labels != -1)
    expected = StratifiedKFold(3).split(known, labels[known])
    for (_, test), (_, other) in zip(
        MultiDatasetKFold(3).split(X, y), expected, strict=True
    ):
        np.testing.assert_array_equal(test, known[other])


def test_shuffles_are_repeatable():
    pair = make_pair({"a": [0, 1] * 10, "b": ["x", "y"] * 10})

    def tests_of(seed):
        splitter = MultiDatasetKFold(4, shuffle=True, random_state=seed)
        return [test.tolist() for _, test in splitter.split(*pair)]

    assert tests_of(0) == tests_of(0)
    assert tests_of(0) != tests_of(1)


@pytest.mark.parametrize("kind", ["composite array", "list", "series", "frame"])
def test_labels_of_any_accepted_kind(kind):
    X, y = make_pair({"a": [0, 0, 1, 1, -1, -1], "b": ["x", "y"] * 3})
    expected = [test.tolist() for _, test in MultiDatasetKFold(2).split(X, y)]
    labels = np.asarray(y)
    if kind == "list":
        labels = labels.tolist()
    if kind in ("series", "frame"):
        index = pd.Index(X.groups, name="dataset")
        labels = pd.Series(labels, index)
        X = pd.DataFrame({"u": 0.0}, index) if kind == "frame" else X
    folds = [test.tolist() for _, test in MultiDatasetKFold(2).split(X, labels)]
    assert folds == expected


def test_array_is_one_dataset():
    y = np.array([0, 1, -1] * 4)
    tests = [test for _, test in MultiDatasetKFold(2).split(np.zeros((12, 1)), y)]
    assert sorted(np.concatenate(tests)) == np.flatnonzero(y >= 0).tolist()


def test_scikit_learn_takes_it_for_a_splitter():
    splitter = MultiDatasetKFold(4, shuffle=True, random_state=0)
    assert check_cv(splitter) is splitter
    assert splitter.get_n_splits() == MultiDatasetKFold(4).get_n_splits() == 4
    assert (
        repr(splitter) == "MultiDatasetKFold(n_splits=4, random_state=0, shuffle=True)"
    )
    copied = clone(splitter, safe=False)
    assert vars(copied) == vars(splitter)
