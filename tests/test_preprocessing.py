"""One transformer a dataset, for every kind of input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import MultiDataset, stack_datasets
from jedi_sklearn.preprocessing import PerDataset


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "metres": rng.normal(size=(30, 3)) + 5,
        "miles": 1e-3 * rng.normal(size=(20, 3)),
    }


@pytest.fixture
def scaled(arrays):
    return {name: StandardScaler().fit_transform(X) for name, X in arrays.items()}


def test_dict_in_dict_out(arrays, scaled):
    transformer = StandardScaler()
    per_dataset = PerDataset(transformer).fit(arrays)
    np.testing.assert_equal(per_dataset.transform(arrays), scaled)
    np.testing.assert_array_equal(
        per_dataset.transformers_["metres"].mean_, arrays["metres"].mean(axis=0)
    )
    assert not hasattr(transformer, "mean_")


def test_rows_of_a_container_keep_their_order(arrays, scaled):
    X, _ = stack_datasets(arrays, {"miles": np.arange(20) % 2})
    rows = np.random.default_rng(1).permutation(50)
    changed = PerDataset(StandardScaler()).fit(X).transform(X[rows])
    assert type(changed) is MultiDataset
    np.testing.assert_array_equal(changed.groups, X.groups[rows])
    np.testing.assert_array_equal(changed.labelled(), X.labelled()[rows])
    for name, values in changed.items():
        chosen = rows[X.groups[rows] == name] - X.rows_of(name)[0]
        np.testing.assert_array_equal(values, scaled[name][chosen])


def test_fitted_on_the_rows_that_are_given_alone(arrays):
    X = MultiDataset(arrays)[10:40]
    means = PerDataset(StandardScaler()).fit(X).transformers_
    np.testing.assert_array_equal(
        means["metres"].mean_, arrays["metres"][10:].mean(axis=0)
    )
    np.testing.assert_array_equal(
        means["miles"].mean_, arrays["miles"][:10].mean(axis=0)
    )


def test_array_in_array_out(arrays, scaled):
    changed = PerDataset(StandardScaler()).fit_transform(arrays["miles"])
    np.testing.assert_array_equal(changed, scaled["miles"])


@pytest.mark.parametrize("several_levels", [True, False])
def test_dataframe_with_a_level_of_datasets(arrays, scaled, several_levels):
    groups = np.repeat(list(arrays), [30, 20])
    index = pd.Index(groups, name="dataset")
    if several_levels:
        index = pd.MultiIndex.from_arrays([groups, range(50)], names=["dataset", "id"])
    frame = pd.DataFrame(np.vstack(list(arrays.values())), index, list("uvw"))
    rows = np.random.default_rng(1).permutation(50)
    changed = PerDataset(StandardScaler()).fit_transform(frame.iloc[rows])
    np.testing.assert_array_equal(changed.groups, groups[rows])
    expected = np.vstack(list(scaled.values()))[rows]
    for name, values in changed.items():
        np.testing.assert_allclose(values, expected[groups[rows] == name])


def test_transformer_that_learns_from_labels(arrays):
    # Of each dataset another column says the label.
    labels = {"metres": np.arange(30) % 2, "miles": np.array(["x", "y"] * 10)}
    arrays["metres"][:, 0] = labels["metres"]
    arrays["miles"][:, 2] = labels["miles"] == "y"
    best = PerDataset(
        SelectKBest(lambda X, y: np.abs(np.corrcoef(X.T, y == y[0])[-1, :-1]), k=1)
    )
    for X, y in ((arrays, labels), stack_datasets(arrays, labels)):
        with np.errstate(all="ignore"):
            chosen = clone(best).fit(X, y).transformers_
        assert chosen["metres"].get_support(indices=True).tolist() == [0]
        assert chosen["miles"].get_support(indices=True).tolist() == [2]


def test_transformer_that_needs_labels_sees_labelled_rows_alone(arrays):
    labels = np.arange(30) % 2
    labels[20:] = -1
    X = {"metres": arrays["metres"]}
    fitted = PerDataset(LinearDiscriminantAnalysis()).fit(X, {"metres": labels})
    expected = LinearDiscriminantAnalysis().fit(X["metres"][:20], labels[:20])
    np.testing.assert_array_equal(fitted.transformers_["metres"].coef_, expected.coef_)
    assert fitted.transformers_["metres"].classes_.tolist() == [0, 1]


def test_transformer_without_need_of_labels_sees_all_rows(arrays):
    labels = {"metres": [0, 1] * 10 + [-1] * 10}
    fitted = PerDataset(StandardScaler()).fit(arrays, labels).transformers_
    np.testing.assert_array_equal(fitted["metres"].mean_, arrays["metres"].mean(axis=0))
    np.testing.assert_array_equal(fitted["miles"].mean_, arrays["miles"].mean(axis=0))


def test_parameters_of_the_transformer_are_reached():
    per_dataset = PerDataset(StandardScaler()).set_params(transformer__with_mean=False)
    assert clone(per_dataset).get_params()["transformer__with_mean"] is False
