"""The stacked pair: a mapping, a table of rows, and what scikit-learn sees in it."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _num_samples

from jedi_sklearn import MultiDataset, MultiTarget, stack_datasets

SIZES = {"a": 5, "b": 3, "c": 4}
TOTAL = sum(SIZES.values())
# Each row of X says in its first column where it came from.
REFERENCE = np.array([(name, row) for name in SIZES for row in range(SIZES[name])])


def make_rows(n_rows: int, offset: int) -> np.ndarray:
    return np.column_stack([np.arange(n_rows) + offset, np.zeros(n_rows)])


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    # Not in sorted order, which is theirs in the container.
    return {name: make_rows(SIZES[name], 100 * ord(name)) for name in "cab"}


@pytest.fixture
def pair(arrays):
    labels = {"a": [7, -1, 8, 7, 8], "b": ["x", "y", None], "c": np.arange(4) % 2 > 0}
    return stack_datasets(arrays, labels)


COMPOSITE = [
    *("a/7", "a", "a/8", "a/7", "a/8"),
    *("b/x", "b/y", "b"),
    *("c/False", "c/True", "c/False", "c/True"),
]


def rows_seen(X: MultiDataset) -> list[tuple[str, int]]:
    """Where the rows of X came from, in their order."""
    seen: list = [None] * X.shape[0]
    for name in X:
        values = np.asarray(X[name])
        for position, value in zip(X.rows_of(name), values, strict=True):
            seen[position] = (name, int(value[0]) - 100 * ord(name))
    return seen


# As a mapping


def test_mapping_of_datasets_in_sorted_order(arrays):
    X = MultiDataset(arrays)
    assert list(X) == list(X.keys()) == ["a", "b", "c"]
    assert len(X) == 3
    for name, values in X.items():
        np.testing.assert_array_equal(values, arrays[name])
    assert "a" in X
    assert "d" not in X
    assert 0 not in X
    with pytest.raises(KeyError, match=r"'d'.*\['a', 'b', 'c'\]"):
        X["d"]


def test_shape_counts_rows_of_all_datasets_and_values_in_a_row(arrays):
    X, y = stack_datasets(arrays, {})
    assert X.shape == (TOTAL, 2)
    assert y.shape == (TOTAL,)


@pytest.mark.parametrize(
    ("values", "width"),
    [
        ({"a": np.ones((2, 3)), "b": np.ones((2, 4))}, 1),
        ({"a": np.ones((2, 3, 4)), "b": np.ones((1, 3, 4))}, 12),
        ({"a": ["one.mp4", "two.mp4"]}, 1),
        ({"a": sparse.csr_array(np.eye(5))}, 5),
        ({"a": pd.DataFrame({"u": [1], "v": ["w"]})}, 2),
    ],
)
def test_width_is_one_where_rows_differ(values, width):
    assert MultiDataset(values).shape[1] == width


def test_repr_names_datasets_and_rows(pair):
    assert repr(pair[0]) == "MultiDataset(a: 5 rows, b: 3 rows, c: 4 rows)"
    assert repr(pair[1][[0, 6]]) == "MultiTarget(a: 1 rows, b: 1 rows)"


def test_groups_names_the_dataset_of_each_row(pair):
    chosen = [11, 0, 6, 0]
    np.testing.assert_array_equal(pair[0].groups, REFERENCE[:, 0])
    np.testing.assert_array_equal(pair[0][chosen].groups, ["c", "a", "b", "a"])


# As a table of rows


@st.composite
def selections(draw, max_length: int = 4):
    """A sequence of selections of rows, each valid for what the last one left."""
    keys: list = []
    n_rows = TOTAL
    for _ in range(draw(st.integers(0, max_length))):
        positions = st.integers(-n_rows, n_rows - 1) if n_rows else st.nothing()
        key = draw(
            st.one_of(
                st.lists(positions, max_size=15) if n_rows else st.just([]),
                st.lists(st.booleans(), min_size=n_rows, max_size=n_rows).map(
                    lambda mask: np.array(mask, dtype=bool)
                ),
                st.slices(n_rows),
                *([positions] if n_rows else []),
            )
        )
        # An empty list would be an array of floats.
        key = np.array(key, dtype=int) if isinstance(key, list) else key
        keys.append(key)
        n_rows = len(np.arange(n_rows)[[key] if isinstance(key, int) else key])
    return keys


def select(table, keys, how):
    for key in keys:
        # Of an array a single number would give the row itself.
        scalar = isinstance(key, int)
        if isinstance(table, np.ndarray):
            table = table[[key] if scalar else key]
        else:
            table = how(table, key)
    return table


INDEXING = {
    "plain": lambda X, key: X[key],
    "tuple": lambda X, key: X[(key, Ellipsis)],
    "scikit-learn": lambda X, key: _safe_indexing(
        X, [key] if isinstance(key, int) else key
    ),
}


@pytest.mark.parametrize("how", INDEXING.values(), ids=INDEXING)
@given(keys=selections())
def test_any_selections_equal_those_of_a_plain_array(how, keys):
    X, y = stack_datasets(
        {name: make_rows(size, 100 * ord(name)) for name, size in SIZES.items()},
        {"a": [7, -1, 8, 7, 8], "b": ["x", "y", None], "c": np.arange(4) % 2 > 0},
    )
    expected = select(REFERENCE, keys, how)
    X, y = select(X, keys, how), select(y, keys, how)
    assert rows_seen(X) == [(name, int(row)) for name, row in expected]
    assert list(X) == sorted(set(expected[:, 0]))
    assert X.shape == (len(expected), 2)
    assert y.shape == (len(expected),)
    labels = select(np.array(COMPOSITE), keys, how)
    np.testing.assert_array_equal(np.asarray(y), labels)
    np.testing.assert_array_equal(X.labelled(), np.char.count(labels, "/") > 0)


@given(keys=selections())
def test_pickle_keeps_rows_order_and_labels(keys):
    X, y = stack_datasets(
        {name: make_rows(size, 100 * ord(name)) for name, size in SIZES.items()},
        {"a": [7, -1, 8, 7, 8], "c": np.arange(4) % 2 > 0},
    )
    X, y = select(X, keys, INDEXING["plain"]), select(y, keys, INDEXING["plain"])
    X_again, y_again = pickle.loads(pickle.dumps((X, y)))
    assert type(X_again) is MultiDataset
    assert type(y_again) is MultiTarget
    assert rows_seen(X_again) == rows_seen(X)
    np.testing.assert_array_equal(np.asarray(y_again), np.asarray(y))
    np.testing.assert_array_equal(X_again.labelled(), X.labelled())
    np.testing.assert_equal(dict(y_again), dict(y))


@pytest.mark.parametrize(
    "key",
    [12, [0, 12], [True, False], 1.5, [0.5], "0:3", [[0, 1], [2, 3]], (slice(None), 0)],
    ids=str,
)
def test_wrong_rows_are_refused_not_guessed(pair, key):
    with pytest.raises((IndexError, KeyError)):
        pair[0][key]


def test_rows_of_a_dataset_keep_the_order_asked_for(arrays):
    X = MultiDataset(arrays)[[4, 11, 0, 4, 8]]
    np.testing.assert_array_equal(X["a"], arrays["a"][[4, 0, 4]])
    np.testing.assert_array_equal(X["c"], arrays["c"][[3, 0]])


def test_iterating_over_rows_is_not_iterating_over_datasets(pair):
    # As numpy.asarray would, which would make an array of one-row views.
    with pytest.raises(TypeError, match=r"not an array.*PerDataset"):
        np.asarray(pair[0])


# Nothing is copied


def test_runs_of_rows_share_the_memory_of_the_data(arrays):
    X = MultiDataset(arrays)
    for view in (X, X[1:4], X[[1, 2, 3]], X[np.arange(12) < 4], X[3:][:6], X[2]):
        for name, values in view.items():
            assert np.shares_memory(values, arrays[name])


@pytest.mark.parametrize("rows", [slice(None, None, 3), "shuffled", "mask"])
def test_view_costs_its_index_and_no_rows(rows):
    base = np.zeros((20_000, 500))
    X, y = stack_datasets({"a": base, "b": base}, {"a": np.arange(20_000) % 5})
    if rows == "shuffled":
        rows = np.random.default_rng(0).permutation(40_000)
    elif rows == "mask":
        rows = np.arange(40_000) % 2 == 0
    tracemalloc.start()
    views = X[rows], y[rows]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert views[0].shape[0] == views[1].shape[0] > 10_000
    assert peak < 5e6 < base.nbytes


def test_copies_and_clones_are_the_container_itself(pair):
    for stacked in (*pair, pair[0][[3, 1]], pair[1][[3, 1]]):
        assert copy.copy(stacked) is stacked
        assert copy.deepcopy(stacked) is stacked
        assert (
            clone(FunctionTransformer(kw_args={"of": stacked})).kw_args["of"] is stacked
        )


def test_pickle_of_a_small_view_of_much_data_is_small():
    base = np.zeros((25_000, 500))
    X, y = stack_datasets({"a": base, "b": base[:50]}, {"a": np.arange(25_000) % 7})
    view = X[[9_000, 3, 25_001, *range(7)]]
    data = pickle.dumps((view, y[[9_000, 3, 25_001, *range(7)]]))
    assert base.nbytes == 1e8
    assert len(data) < 60_000
    assert pickle.loads(data)[0].shape == (10, 500)


def test_memory_map_is_not_read_into_memory(tmp_path):
    written = np.arange(24.0).reshape(12, 2)
    np.save(tmp_path / "rows.npy", written)
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    X = MultiDataset({"a": rows})
    assert isinstance(X["a"], np.memmap)
    assert isinstance(X[3:8]["a"], np.memmap)
    assert np.shares_memory(X[3:8]["a"], rows)
    np.testing.assert_array_equal(X[[5, 1]]["a"], written[[5, 1]])
    again = pickle.loads(pickle.dumps(X[[5, 1]]))
    np.testing.assert_array_equal(again["a"], written[[5, 1]])


# Any kind of rows

VALUES = {
    "list of paths": [Path(f"{i}.mp4") for i in range(6)],
    "list of lists of any length": [[0] * i for i in range(6)],
    "tuple": tuple("abcdef"),
    "vector": np.arange(6),
    "images": np.arange(6 * 24.0).reshape(6, 2, 3, 4),
    "DataFrame": pd.DataFrame({"u": range(6), "v": list("abcdef")}, list("uvwxyz")),
    "Series": pd.Series(list("abcdef"), list("uvwxyz")),
    "csr matrix": sparse.csr_matrix(np.arange(12).reshape(6, 2)),
    "csr array": sparse.csr_array(np.arange(12).reshape(6, 2)),
    "lil array": sparse.lil_array(np.arange(12).reshape(6, 2)),
}


def to_list(values) -> list:
    if sparse.issparse(values):
        values = values.toarray()
    if isinstance(values, pd.DataFrame | pd.Series):
        # The rows' own names come along.
        values = values.reset_index().to_numpy()
    return [v.tolist() if isinstance(v, np.ndarray) else v for v in values]


@pytest.mark.parametrize("rows", [[4, 0, 4], [1, 2, 3], [5]])
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_rows_of_any_kind(values, rows):
    X = MultiDataset({"a": values, "z": np.ones((2, 2))})
    assert X.shape[0] == 8
    view = X[[7, *rows]]
    expected = to_list(values)
    for taken in (view, pickle.loads(pickle.dumps(view))):
        assert to_list(taken["a"]) == [expected[row] for row in rows]
        assert to_list(taken["z"]) == [[1.0, 1.0]]
    kind = list if isinstance(values, tuple) and rows == [4, 0, 4] else type(values)
    assert isinstance(view["a"], kind)


@pytest.mark.parametrize(
    ("datasets", "error", "message"),
    [
        ([np.ones((2, 2))], TypeError, "mapping of names to rows.*list"),
        ({}, ValueError, "empty; at least one"),
        ({3: np.ones((2, 2))}, TypeError, "Names of datasets must be str, got 3"),
        ({"a/b": np.ones((2, 2))}, ValueError, r"'a/b' contains '/'"),
        ({"a": np.ones((0, 2))}, ValueError, "'a' has no rows"),
        ({"a": []}, ValueError, "'a' has no rows"),
        ({"a": "rows.npy"}, TypeError, "'a' must be indexable by row.*str"),
        ({"a": {1, 2}}, TypeError, "'a' must be indexable by row.*set"),
        ({"a": np.float64(3)}, TypeError, "'a' must be indexable by row.*float64"),
        ({"a": sparse.coo_array(np.eye(2))}, TypeError, r"'a'.*coo format.*tocsr"),
        ({"a": sparse.dok_array(np.eye(2))}, TypeError, r"'a'.*dok format.*tocsr"),
    ],
    ids=lambda value: None,
)
def test_what_is_no_dataset_is_named(datasets, error, message):
    with pytest.raises(error, match=message):
        MultiDataset(datasets)


# Labels

UNLABELLED = {
    "integers": [1, -1, 2],
    "integer array": np.array([1, -1, 2]),
    "small integers": np.array([1, -1, 2], dtype=np.int8),
    "integer Series": pd.Series([1, -1, 2], index=[5, 6, 7]),
    "nullable integers": pd.array([1, None, 2], dtype="Int64"),
    "nullable integers, both marks": pd.array([1, -1, 2], dtype="Int64"),
    "list with None": [1, None, 2],
    "list with NaN": [1, np.nan, 2],
    "objects": np.array([1, None, 2], dtype=object),
    "objects with -1": np.array([1, -1, 2], dtype=object),
    "NumPy integers in a list": [np.int64(1), np.int64(-1), np.int64(2)],
}
UNLABELLED_STR = {
    "list with None": ["1", None, "2"],
    "list with NaN": ["1", float("nan"), "2"],
    "tuple": ("1", None, "2"),
    "objects": np.array(["1", np.nan, "2"], dtype=object),
    "Series": pd.Series(["1", None, "2"]),
    "str Series": pd.Series(["1", None, "2"], dtype="str"),
    "string array": pd.array(["1", None, "2"], dtype="string"),
    "Categorical": pd.Categorical(["1", None, "2"]),
    "categorical Series": pd.Series(["1", None, "2"], dtype="category"),
}


@pytest.mark.parametrize("labels", UNLABELLED.values(), ids=UNLABELLED)
def test_unlabelled_among_integers(labels):
    check_middle_row_unlabelled(labels, ["a/1", "a", "a/2"])


@pytest.mark.parametrize("labels", UNLABELLED_STR.values(), ids=UNLABELLED_STR)
def test_unlabelled_among_str(labels):
    check_middle_row_unlabelled(labels, ["a/1", "a", "a/2"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unlabelled_among_floats(dtype):
    labels = np.array([1, np.nan, 2], dtype=dtype)
    check_middle_row_unlabelled(labels, ["a/1.0", "a", "a/2.0"])


@pytest.mark.parametrize(
    "labels",
    [
        [False, None, True],
        pd.array([False, None, True], dtype="boolean"),
        np.array([False, None, True], dtype=object),
    ],
)
def test_unlabelled_among_bools(labels):
    check_middle_row_unlabelled(labels, ["a/False", "a", "a/True"])


def check_middle_row_unlabelled(labels, composite):
    X, y = stack_datasets({"a": np.ones((3, 2))}, {"a": labels})
    assert np.asarray(y).tolist() == composite
    assert X.labelled().tolist() == [True, False, True]
    # Views and what other processes are given say the same.
    view = pickle.loads(pickle.dumps((X[[2, 1]], y[[2, 1]])))
    assert np.asarray(view[1]).tolist() == [composite[2], composite[1]]
    assert view[0].labelled().tolist() == [True, False]


@pytest.mark.parametrize("labels", [np.array([-1.0, 1.0]), ["-1", "1"]])
def test_minus_one_is_a_label_among_other_than_integers(labels):
    X, _ = stack_datasets({"a": np.ones((2, 2))}, {"a": labels})
    assert X.labelled().all()


def test_dataset_missing_in_y_is_unlabelled(arrays):
    X, y = stack_datasets(arrays, {"a": [0, 1, 0, 1, 0]})
    assert X.labelled().tolist() == [True] * 5 + [False] * 7
    assert np.asarray(y)[5:].tolist() == ["b"] * 3 + ["c"] * 4


def test_labels_come_back_as_they_were_written(arrays):
    labels = {"a": np.array([5, 6, 5, 6, 5], dtype=np.int16), "b": ["u", "v", None]}
    _, y = stack_datasets(arrays, labels)
    assert y["a"].dtype == np.int16
    np.testing.assert_array_equal(y["a"], labels["a"])
    assert y["b"].tolist() == ["u", "v", None]


def test_label_may_contain_what_separates_it_from_the_dataset():
    _, y = stack_datasets({"a": np.ones((2, 1))}, {"a": ["run/fast", "a/x"]})
    assert np.asarray(y).tolist() == ["a/run/fast", "a/a/x"]


labels_of_one_kind = st.one_of(
    st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=8),
    st.lists(st.booleans(), min_size=2, max_size=8),
    st.lists(st.text(max_size=5).filter(lambda t: "\0" not in t), min_size=2),
    st.lists(st.integers(-9, 9).map(float), min_size=2, max_size=8),
)


@given(labels=labels_of_one_kind, data=st.data())
def test_composite_labels_of_any_kind(labels, data):
    integers = isinstance(labels[0], int) and not isinstance(labels[0], bool)
    hidden = data.draw(st.lists(st.booleans(), min_size=len(labels)))[: len(labels)]
    known = [
        None if hide or (integers and label == -1) else label
        for label, hide in zip(labels, hidden, strict=True)
    ]
    if all(label is None for label in known):
        return
    _, y = stack_datasets({"a": np.zeros((len(labels), 1))}, {"a": known})
    expected = ["a" if label is None else f"a/{label}" for label in known]
    assert np.asarray(y).tolist() == expected


def test_composite_array_has_the_dtype_asked_for(pair):
    assert np.asarray(pair[1]).dtype.kind == "U"
    assert np.asarray(pair[1], dtype=object).dtype == object
    assert np.asarray(pair[1], dtype=object).tolist() == COMPOSITE
    assert np.asarray(pair[1][[]]).shape == (0,)


def test_composite_labels_compare_with_predictions(pair):
    predicted = np.array(COMPOSITE)
    assert (pair[1] == predicted).all()
    assert (predicted == pair[1]).all()


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        ({"a": np.ones((2, 1))}, {"b": [0, 1]}, ValueError, r"'b'.*not in X.*\['a'\]"),
        ({"a": np.ones((2, 1))}, {"a": [0, 1, 1]}, ValueError, "'a' has 2 rows.* 3 "),
        ({"a": np.ones((2, 1))}, {"a": [-1, -1]}, ValueError, "'a' has no labels"),
        ({"a": np.ones((2, 1))}, {"a": [None] * 2}, ValueError, "'a' has no labels"),
        ({"a": np.ones((2, 1))}, {"a": np.eye(2)}, ValueError, r"'a'.*\(2, 2\)"),
        ({"a": np.ones((2, 1))}, {"a": ["x", 1]}, ValueError, "'a' mix str"),
        ({"a": np.ones((2, 1))}, [0, 1], TypeError, "y must be a mapping.*list"),
        (np.ones((2, 1)), {"a": [0, 1]}, TypeError, "mapping of names.*ndarray"),
    ],
    ids=lambda value: None,
)
def test_what_cannot_be_stacked_is_named(X, y, error, message):
    with pytest.raises(error, match=message):
        stack_datasets(X, y)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5, 1.5], "continuous.*'a'"),
        ([np.inf, 1.0], "infinity.*'a'"),
        (np.array([b"x", b"y"]), "bytes.*'a'"),
    ],
)
def test_what_is_no_label_is_named(labels, message):
    with pytest.raises(ValueError, match=message):
        np.asarray(stack_datasets({"a": np.ones((2, 1))}, {"a": labels})[1])


def test_stacking_leaves_what_it_is_given_as_it_was(arrays):
    labels = {"b": ["x", None, "y"]}
    stack_datasets(arrays, labels)
    assert list(arrays) == ["c", "a", "b"]
    assert labels == {"b": ["x", None, "y"]}


# What scikit-learn sees


def test_scikit_learn_counts_the_rows(pair):
    assert [_num_samples(stacked) for stacked in pair] == [TOTAL, TOTAL]
    assert indexable(*pair) == list(pair)


def test_scikit_learn_sees_classes_of_all_datasets(pair):
    assert type_of_target(pair[1]) == "multiclass"
    _, y = stack_datasets({"a": np.ones((2, 1))}, {"a": [True, False]})
    assert type_of_target(y) == "binary"


def test_stratified_by_dataset_and_label():
    # Labels that datasets share are other labels in each.
    X, y = stack_datasets(
        {"a": np.ones((60, 1)), "b": np.ones((30, 1))},
        {"a": [0, 0, 1] * 20, "b": [0, 1, 1] * 10},
    )
    composite = np.asarray(y)
    for _, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        names, counts = np.unique(composite[test], return_counts=True)
        assert names.tolist() == ["a/0", "a/1", "b/0", "b/1"]
        assert counts.tolist() == [8, 4, 2, 4]
