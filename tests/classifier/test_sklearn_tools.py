"""scikit-learn's searches, splitters and meta-estimators on the stacked pair."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    train_test_split,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from jedi_sklearn import JEDIClassifier, MultiDataset, stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold
from jedi_sklearn.preprocessing import PerDataset

N_ROWS = {"digits": 36, "fashion": 24}
NAMES = np.array(["Bag", "Sandal"])
GRID = {"alpha": [0.5, 1.0], "beta": [1.0], "gamma": [0.0, 0.4]}


def make_datasets(seed: int = 0):
    """Classes that overlap a little: numbers in one dataset, names in the other."""
    rng = np.random.default_rng(seed)
    X_dict, y_dict = {}, {}
    for name, n_rows in N_ROWS.items():
        codes = np.arange(n_rows) % (3 if name == "digits" else 2)
        X_dict[name] = 2 * np.eye(4)[codes] + rng.normal(size=(n_rows, 4))
        y_dict[name] = codes if name == "digits" else NAMES[codes]
    return X_dict, y_dict


def make_classifier(**parameters) -> JEDIClassifier:
    """As small as it may be; the experts are fitted anew in every fit."""
    experts = [
        (name, make_pipeline(StandardScaler(), LogisticRegression())) for name in N_ROWS
    ]
    defaults = {"max_epochs": 2, "adjustment_units": 8, "random_state": 0}
    return JEDIClassifier(**{"experts": experts, **defaults, **parameters})


@pytest.fixture(scope="module")
def datasets():
    return make_datasets()


@pytest.fixture(scope="module")
def pair(datasets):
    return stack_datasets(*datasets)


@pytest.fixture(scope="module")
def partly_labelled(datasets):
    """Some rows without a label in both datasets, 17 in all."""
    X_dict, y_dict = datasets
    digits = y_dict["digits"].copy()
    digits[::4] = -1
    fashion = y_dict["fashion"].astype(object)
    fashion[::3] = None
    return stack_datasets(X_dict, {"digits": digits, "fashion": fashion})


# Searches


@pytest.mark.parametrize("cv", [3, MultiDatasetKFold(3), StratifiedKFold(3)], ids=repr)
def test_search_over_the_weights_of_the_loss(pair, cv):
    X, y = pair
    search = GridSearchCV(make_classifier(), GRID, cv=cv, error_score="raise")
    search.fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.6
    # Refitted on all rows, as a fit with the best parameters would be.
    best = make_classifier(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict(X), best.predict(X))
    np.testing.assert_array_equal(search.predict_proba(X), best.predict_proba(X))
    assert search.score(X, y) == best.score(X, y)
    np.testing.assert_array_equal(search.classes_, np.unique(y))
    predicted = search.predict({"fashion": X["fashion"]})["fashion"]
    assert set(predicted) <= set(NAMES)


@pytest.mark.slow
def test_search_in_two_processes_finds_the_same(pair):
    searches = [
        GridSearchCV(make_classifier(), GRID, cv=3, n_jobs=n_jobs).fit(*pair)
        for n_jobs in (1, 2)
    ]
    one, two = (search.cv_results_ for search in searches)
    for key in one:
        if "time" not in key:
            np.testing.assert_array_equal(one[key], two[key], err_msg=key)
    one, two = (search.predict_proba(pair[0]) for search in searches)
    np.testing.assert_array_equal(one, two)


ABLATIONS = [
    {
        "teacher_input": ["adjusted", "base", "predictions", "adjusted+predictions"],
        "schedule": ["joint", "alternating"],
    },
    {"distill_from": ["all", "own", ["fashion"]], "gamma": [0.4]},
]


@pytest.mark.parametrize(
    "n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)], ids=str
)
def test_search_over_the_ablations(pair, n_jobs):
    parameters = {"max_epochs": 1, "batch_size": 64, "n_rounds": 1}
    search = GridSearchCV(
        make_classifier(**parameters),
        ABLATIONS,
        cv=2,
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(*pair)
    assert len(search.cv_results_["params"]) == 8 + 3
    assert search.cv_results_["mean_test_score"].min() > 0.5
    best = make_classifier(**parameters, **search.best_params_).fit(*pair)
    np.testing.assert_array_equal(search.predict(pair[0]), best.predict(pair[0]))


def test_search_over_losses_weights_and_stopping(pair):
    search = GridSearchCV(
        make_classifier(max_epochs=1, validation_fraction=0.2),
        [
            {"student_loss": ["one_vs_rest_hinge"], "class_weight": ["balanced", None]},
            {"teacher_loss": ["squared_hinge"], "labelled_share": [0.5]},
            {"early_stopping": [True], "keep_expert": [True, False]},
            {"teacher_start": ["random"], "target_dropout": [True]},
        ],
        cv=2,
        error_score="raise",
    ).fit(*pair)
    assert search.cv_results_["mean_test_score"].min() > 0.5


@pytest.mark.parametrize("cv", [3, MultiDatasetKFold(3)], ids=repr)
def test_search_by_several_scores(pair, cv):
    scores = ["accuracy", "balanced_accuracy", "neg_log_loss", "roc_auc_ovr"]
    search = GridSearchCV(
        make_classifier(),
        {"gamma": [0.0, 0.4]},
        cv=cv,
        scoring=scores,
        refit="neg_log_loss",
        error_score="raise",
    ).fit(*pair)
    for score in scores:
        assert np.isfinite(search.cv_results_[f"mean_test_{score}"]).all()
    assert (search.cv_results_["mean_test_accuracy"] > 0.6).all()
    assert (search.cv_results_["mean_test_roc_auc_ovr"] > 0.8).all()


def test_scorers_see_probabilities_of_all_classes(pair):
    X, y = pair
    clf = make_classifier().fit(X, y)
    table = clf.predict_proba(X)
    assert table.shape == (60, 5)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    own = np.char.startswith(clf.classes_[None, :], X.groups[:, None])
    assert (table[~own] == 0).all()
    assert (table[own] > 0).all()
    # The columns are those of the rows' own labels.
    assert log_loss(np.asarray(y), table, labels=clf.classes_) < np.log(2)
    assert accuracy_score(y, clf.predict(X)) > 0.6


def test_parameters_of_experts_are_searched(pair):
    grid = {"digits__logisticregression__C": [1e-6, 1.0]}
    search = GridSearchCV(make_classifier(max_epochs=0), grid, cv=3).fit(*pair)
    # So strong a penalty leaves of the expert nothing.
    assert search.best_params_ == {"digits__logisticregression__C": 1.0}
    bad, good = search.cv_results_["mean_test_score"]
    assert bad < good - 0.05


def test_whole_experts_are_searched(pair):
    experts = [
        make_pipeline(FunctionTransformer(np.zeros_like), LogisticRegression()),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ]
    search = GridSearchCV(make_classifier(max_epochs=0), {"digits": experts}, cv=3)
    search.fit(*pair)
    assert search.best_index_ == 1


def test_set_params_reaches_into_experts_and_their_clones():
    clf = make_classifier()
    copied = clone(clf).set_params(digits__logisticregression__C=5, alpha=2)
    assert copied.get_params()["digits__logisticregression__C"] == 5
    assert dict(copied.experts)["digits"][-1].C == 5
    assert dict(clf.experts)["digits"][-1].C == 1
    assert (copied.alpha, clf.alpha) == (2, 1)
    with pytest.raises(ValueError, match="letters"):
        clf.set_params(letters__C=1)


def test_halving_search(pair):
    search = HalvingGridSearchCV(
        make_classifier(),
        {"gamma": [0.0, 0.2, 0.4]},
        cv=2,
        min_resources=20,
        factor=3,
        random_state=0,
        error_score="raise",
    ).fit(*pair)
    assert search.n_resources_ == [20, 60]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(pair[0]).shape == (60,)


# Splits


def test_train_test_split(pair, datasets):
    X, y = pair
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, stratify=y, test_size=0.25, random_state=0
    )
    assert type(X_train) is type(X_test) is MultiDataset
    assert (X_train.shape, X_test.shape) == ((45, 4), (15, 4))
    labels, counts = np.unique(np.asarray(y_test), return_counts=True)
    assert labels.tolist() == np.unique(np.asarray(y)).tolist()
    assert counts.tolist() == [3] * 5
    # Each row kept its own label.
    truth = {
        row.tobytes(): label
        for name, rows in datasets[0].items()
        for row, label in zip(rows, datasets[1][name], strict=True)
    }
    for name in X_test:
        for row, label in zip(X_test[name], y_test[name], strict=True):
            assert truth[row.tobytes()] == label
    clf = make_classifier().fit(X_train, y_train)
    assert clf.score(X_test, y_test) > 0.6


def test_cross_validate(pair):
    results = cross_validate(
        make_classifier(),
        *pair,
        cv=MultiDatasetKFold(3, shuffle=True, random_state=0),
        scoring=["accuracy", "neg_log_loss"],
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    X, y = pair
    for fold in range(3):
        test = results["indices"]["test"][fold]
        predicted = results["estimator"][fold].predict(X[test])
        accuracy = accuracy_score(np.asarray(y)[test], predicted)
        assert results["test_accuracy"][fold] == accuracy


@pytest.mark.parametrize("cv", [3, KFold(3, shuffle=True, random_state=0)], ids=repr)
def test_cross_val_predict(pair, cv):
    X, y = pair
    labels = cross_val_predict(make_classifier(), X, y, cv=cv)
    assert labels.shape == (60,)
    # No row is given a label of another dataset.
    assert all(
        label.startswith(f"{group}/")
        for label, group in zip(labels, X.groups, strict=True)
    )
    table = cross_val_predict(make_classifier(), X, y, cv=cv, method="predict_proba")
    assert table.shape == (60, 5)
    np.testing.assert_array_equal(np.unique(y)[table.argmax(axis=1)], labels)
    assert accuracy_score(y, labels) > 0.6


def test_learning_curve(pair):
    sizes, train, test = learning_curve(
        make_classifier(),
        *pair,
        train_sizes=[0.5, 1.0],
        cv=3,
        shuffle=True,
        random_state=0,
        error_score="raise",
    )
    assert sizes.tolist() == [20, 40]
    assert train.shape == test.shape == (2, 3)
    assert np.isfinite(test).all()


def test_dataset_left_out_has_no_student(pair):
    X, y = pair
    experts = [(name, FrozenEstimator(FunctionTransformer())) for name in N_ROWS]
    with pytest.raises(ValueError, match=r"'digits' has no student.*\['fashion'\]"):
        cross_val_score(
            make_classifier(experts=experts),
            X,
            y,
            groups=X.groups,
            cv=LeaveOneGroupOut(),
            error_score="raise",
        )


# Meta-estimators


@pytest.mark.parametrize("ensemble", [True, False])
def test_calibrated_classifier(pair, ensemble):
    X, y = pair
    calibrated = CalibratedClassifierCV(make_classifier(), cv=3, ensemble=ensemble)
    calibrated.fit(X, y)
    np.testing.assert_array_equal(calibrated.classes_, np.unique(y))
    table = calibrated.predict_proba(X)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    assert accuracy_score(y, calibrated.predict(X)) > 0.6


def test_stacking(pair):
    X, y = pair
    stacking = StackingClassifier([("jedi", make_classifier())], cv=2).fit(X, y)
    assert accuracy_score(y, stacking.predict(X)) > 0.6


def test_pipeline_that_scales_each_dataset(datasets, pair):
    X, y = pair
    # One dataset in other units: only a scaler of its own brings it back.
    shifted = {"digits": datasets[0]["digits"], "fashion": datasets[0]["fashion"] * 1e3}
    X_shifted, _ = stack_datasets(shifted, datasets[1])
    experts = [
        (name, make_pipeline(FunctionTransformer(), LogisticRegression()))
        for name in N_ROWS
    ]
    pipeline = make_pipeline(
        PerDataset(StandardScaler()), make_classifier(experts=experts)
    )
    scores = cross_val_score(pipeline, X, y, cv=3, error_score="raise")
    shifted_scores = cross_val_score(pipeline, X_shifted, y, cv=3, error_score="raise")
    np.testing.assert_allclose(scores, shifted_scores)
    # The same with the dicts that were stacked.
    stacked, unstacked = clone(pipeline).fit(X, y), clone(pipeline).fit(*datasets)
    in_dicts = unstacked.predict(datasets[0])
    assert set(in_dicts) == set(N_ROWS)
    for name, labels in in_dicts.items():
        expected = [f"{name}/{label}" for label in labels]
        assert stacked.predict(X)[X.rows_of(name)].tolist() == expected
    assert stacked.score(X, y) == unstacked.score(*datasets)


# Unlabelled rows


@pytest.mark.parametrize("shuffle", [False, True])
def test_unlabelled_rows_stay_in_train(partly_labelled, shuffle):
    X, y = partly_labelled
    rows = np.random.default_rng(0).permutation(60)
    X, y = X[rows], y[rows]
    unlabelled = np.flatnonzero(~np.char.count(np.asarray(y), "/").astype(bool))
    assert len(unlabelled) == 17
    splitter = MultiDatasetKFold(
        3, shuffle=shuffle, random_state=0 if shuffle else None
    )
    tested: Counter = Counter()
    for train, test in splitter.split(X, y):
        assert set(unlabelled) <= set(train)
        assert sorted([*train, *test]) == list(range(60))
        tested.update(test.tolist())
    assert set(tested) == set(range(60)) - set(unlabelled)
    assert set(tested.values()) == {1}


def test_search_on_partly_labelled_rows(datasets, partly_labelled, pair):
    # Together with a dataset that has no labels at all.
    letters = datasets[0]["digits"][:9] + 1
    X, y = partly_labelled
    X, y = stack_datasets({**X, "letters": letters}, y)
    search = GridSearchCV(
        make_classifier(),
        {"gamma": [0.0, 0.4]},
        cv=MultiDatasetKFold(3),
        scoring=["accuracy", "neg_log_loss"],
        refit="accuracy",
        error_score="raise",
    ).fit(X, y)
    assert search.best_estimator_.datasets_ == ["digits", "fashion", "letters"]
    np.testing.assert_array_equal(search.classes_, np.unique(pair[1]))
    assert search.cv_results_["mean_test_accuracy"].min() > 0.5


def test_score_leaves_unlabelled_rows_out(partly_labelled):
    X, y = partly_labelled
    clf = make_classifier().fit(X, y)
    labelled = np.flatnonzero(X.labelled())
    assert clf.score(X, y) == clf.score(X[labelled], y[labelled])
    # So any splitter will do for the default score.
    scores = cross_val_score(make_classifier(), X, y, cv=3, error_score="raise")
    assert scores.min() > 0.5


def test_unlabelled_is_no_class_where_labels_are_numbered(partly_labelled):
    # cross_val_predict numbers the labels, and with them the mark of the unlabelled.
    X, y = partly_labelled
    message = "Number of classes in training fold"
    with pytest.warns(RuntimeWarning, match=message):
        table = cross_val_predict(
            make_classifier(),
            X,
            y,
            cv=KFold(3, shuffle=True, random_state=0),
            method="predict_proba",
        )
    columns = np.unique(y).tolist()
    marks = [columns.index("digits"), columns.index("fashion")]
    assert (table[:, marks] == 0).all()
    np.testing.assert_allclose(np.delete(table, marks, axis=1).sum(axis=1), 1)


def test_numbered_labels_train_the_same_students(partly_labelled):
    X, y = partly_labelled
    names, codes = np.unique(y, return_inverse=True)
    by_name, by_code = (make_classifier().fit(X, labels) for labels in (y, codes))
    np.testing.assert_array_equal(names[by_code.classes_], by_name.classes_)
    np.testing.assert_array_equal(by_code.predict_proba(X), by_name.predict_proba(X))


# How often frozen experts run


class RecordingEncoder(TransformerMixin, BaseEstimator):
    """Notes in a file which rows it is given; in a file, for processes to share."""

    def __init__(self, path: Path, scale: float = 1.0, seconds: float = 0) -> None:
        self.path = path
        self.scale = scale
        self.seconds = seconds

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        X = np.asarray(X)
        time.sleep(self.seconds)
        with Path(self.path).open("a") as file:
            file.writelines(f"{self.scale} {row.tobytes().hex()}\n" for row in X)
        return X * self.scale


def frozen_whole(encoder, X, y):
    return FrozenEstimator(make_pipeline(encoder, LogisticRegression()).fit(X, y))


def frozen_bare(encoder, X, y):
    return FrozenEstimator(encoder.fit(X))


def frozen_encoder_with_free_head(encoder, X, y):
    return Pipeline(
        [("encoder", FrozenEstimator(encoder.fit(X))), ("head", LogisticRegression())]
    )


FORMS = [frozen_whole, frozen_bare, frozen_encoder_with_free_head]


def recording_experts(form, datasets, path, seconds=0):
    X_dict, y_dict = datasets
    experts = [
        (name, form(RecordingEncoder(path, scale, seconds), X_dict[name], y_dict[name]))
        for name, scale in zip(N_ROWS, (1.0, 2.0), strict=True)
    ]
    # What fitting the experts has noted does not count.
    path.write_text("")
    return experts


def runs(path: Path) -> Counter:
    return Counter(path.read_text().splitlines())


@pytest.mark.parametrize("form", FORMS)
def test_frozen_experts_embed_each_row_once_for_a_whole_search(
    datasets, tmp_path, form
):
    path = tmp_path / "rows.txt"
    X, y = stack_datasets(*datasets)
    experts = recording_experts(form, datasets, path)
    search = GridSearchCV(
        make_classifier(experts=experts),
        {"alpha": [0.5, 1.0], "gamma": [0.0, 0.4]},
        cv=3,
        scoring=["accuracy", "neg_log_loss"],
        refit="accuracy",
        return_train_score=True,
        error_score="raise",
    ).fit(X, y)
    search.predict(X)
    search.score(X[::2], y[::2])
    # Each row by each of the two experts.
    assert len(runs(path)) == 60 * 2
    assert set(runs(path).values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("as_str", [True, False])
@pytest.mark.parametrize("kind", ["array", "columns", "DataFrame"])
def test_with_memory_processes_share_what_frozen_experts_made(
    datasets, tmp_path, as_str, kind
):
    # Rows in other processes do not lie in memory as they did here.
    change = {
        "array": np.asarray,
        "columns": lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
        "DataFrame": lambda rows: pd.DataFrame(rows)[:],
    }[kind]
    path = tmp_path / "rows.txt"
    X, y = stack_datasets({n: change(v) for n, v in datasets[0].items()}, datasets[1])
    # Long enough for both processes to find that nobody has embedded them yet.
    experts = recording_experts(frozen_bare, datasets, path, seconds=0.2)
    memory = str(tmp_path) if as_str else joblib.Memory(tmp_path, verbose=0)
    search = GridSearchCV(
        make_classifier(experts=experts, memory=memory),
        {"gamma": [0.0, 0.4]},
        cv=2,
        n_jobs=2,
        error_score="raise",
    ).fit(X, y)
    search.predict(X)
    assert len(runs(path)) == 60 * 2
    assert set(runs(path).values()) == {1}


def test_with_memory_a_second_session_embeds_nothing(datasets, tmp_path):
    path = tmp_path / "rows.txt"
    experts = recording_experts(frozen_bare, datasets, path)
    clf = make_classifier(experts=experts, memory=str(tmp_path))
    clf.fit(*datasets)
    assert runs(path).total() == 60 * 2
    # As another process would see them, under other names, by a view of them.
    renamed = {"digits": "a", "fashion": "b"}
    experts = [(renamed[n], e) for n, e in pickle.loads(pickle.dumps(experts))]
    X, y = stack_datasets(
        *({renamed[n]: v for n, v in values.items()} for values in datasets)
    )
    rows = np.random.default_rng(0).permutation(60)[:50]
    again = make_classifier(experts=experts, memory=str(tmp_path)).fit(X[rows], y[rows])
    again.predict(X)
    assert runs(path).total() == 60 * 2


def test_memory_and_its_absence_train_the_same(datasets, pair, tmp_path):
    experts = recording_experts(frozen_whole, datasets, tmp_path / "rows.txt")
    without, filling, filled = (
        make_classifier(experts=experts, memory=memory)
        .fit(*pair)
        .predict_proba(pair[0])
        for memory in (None, str(tmp_path), str(tmp_path))
    )
    np.testing.assert_array_equal(without, filling)
    np.testing.assert_array_equal(without, filled)


@pytest.mark.parametrize("memory", [False, True])
def test_rows_changed_in_place_are_embedded_again(datasets, tmp_path, memory):
    X_dict = {name: rows.copy() for name, rows in datasets[0].items()}
    X, y = stack_datasets(X_dict, datasets[1])
    path = tmp_path / "rows.txt"
    experts = recording_experts(frozen_whole, datasets, path)
    clf = make_classifier(experts=experts, memory=str(tmp_path) if memory else None)
    before = clf.fit(X, y).predict_proba(X)
    X_dict["digits"][::2] *= -1
    after = clf.fit(X, y).predict_proba(X)
    expected = clf.fit(X_dict, datasets[1]).predict_proba(MultiDataset(X_dict))
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, expected)


def test_retrained_expert_embeds_again(datasets, pair, tmp_path):
    path = tmp_path / "rows.txt"
    experts = recording_experts(frozen_bare, datasets, path)
    make_classifier(experts=experts).fit(*pair)
    dict(experts)["digits"].estimator.scale = 0.0
    changed = make_classifier(experts=experts).fit(*pair)
    # The expert that is the same is not run again.
    scales = Counter(line.split()[0] for line in runs(path).elements())
    assert scales == {"1.0": 60, "0.0": 60, "2.0": 60}
    # An expert that says nothing makes its student say the same of every row.
    table = changed.predict_proba(pair[0])[pair[0].rows_of("digits")]
    np.testing.assert_array_equal(table, table[[0] * 36])


def test_encoder_without_a_pickle_is_run_and_not_remembered(datasets, pair):
    experts = [
        (name, FrozenEstimator(FunctionTransformer(lambda rows: rows[:, ::-1])))
        for name in N_ROWS
    ]
    clf = make_classifier(experts=experts).fit(*pair)
    assert clf.score(*pair) > 0.6


# The same rows in any form give the same bits


def probabilities(clf, X_dict):
    return {name: clf.students_[name].predict_proba(X_dict[name]) for name in N_ROWS}


def test_stacked_fit_equals_the_fit_on_dicts(datasets, pair):
    X_dict, y_dict = datasets
    in_dicts = make_classifier().fit(X_dict, y_dict)
    rows = np.random.default_rng(0).permutation(60)
    X, y = pair
    for stacked in (
        make_classifier().fit(X, y),
        make_classifier().fit(X, np.asarray(y)),
        make_classifier().fit(X, y_dict),
        make_classifier().fit(X_dict, y),
    ):
        np.testing.assert_equal(
            probabilities(stacked, X_dict), probabilities(in_dicts, X_dict)
        )
        pd.testing.assert_frame_equal(stacked.history_, in_dicts.history_)
        np.testing.assert_array_equal(stacked.classes_, in_dicts.classes_)
        assert stacked.score(X, y) == in_dicts.score(X_dict, y_dict)
    # One array over all rows says what the dicts say, in the rows' own order.
    table, in_dict = in_dicts.predict_proba(X[rows]), in_dicts.predict_proba(X_dict)
    for name, part in in_dict.items():
        columns = np.char.startswith(in_dicts.classes_, name)
        np.testing.assert_array_equal(
            table[np.argsort(rows)][X.rows_of(name)][:, columns], part
        )


def as_dataframe(datasets, several_levels):
    X_dict, y_dict = datasets
    groups = np.repeat(list(N_ROWS), list(N_ROWS.values()))
    index = pd.Index(groups, name="dataset")
    if several_levels:
        index = pd.MultiIndex.from_arrays([range(60), groups], names=["id", "dataset"])
    X = pd.DataFrame(np.vstack(list(X_dict.values())), index, columns=list("uvwx"))
    labels = np.concatenate([y_dict[name].astype(object) for name in N_ROWS])
    return X, pd.Series(labels, index)


@pytest.mark.parametrize("several_levels", [True, False])
def test_fit_on_a_dataframe_equals_the_fit_on_dicts(datasets, several_levels):
    X_dict, y_dict = datasets
    frames = {name: pd.DataFrame(v, columns=list("uvwx")) for name, v in X_dict.items()}
    in_dicts = make_classifier().fit(frames, y_dict)
    X, y = as_dataframe(datasets, several_levels)
    # The datasets' rows lie among each other, in the same order within a dataset.
    alternating = np.argsort(np.arange(60) % 36, kind="stable")
    X, y = X.iloc[alternating], y.iloc[alternating]
    composite = X.index.get_level_values("dataset") + "/" + y.astype(str)
    clf = make_classifier().fit(X, composite)
    np.testing.assert_equal(probabilities(clf, frames), probabilities(in_dicts, frames))
    assert clf.feature_names_in_.tolist() == list("uvwx")
    assert (clf.predict(X) == composite).mean() > 0.6
    # Labels that are not composite are kept as they are.
    plain = make_classifier().fit(X, y.astype(str))
    np.testing.assert_array_equal(plain.classes_, ["0", "1", "2", "Bag", "Sandal"])
    np.testing.assert_array_equal(
        plain.predict(X), [label.split("/")[1] for label in clf.predict(X)]
    )


def test_order_of_datasets_and_of_experts_changes_nothing(datasets):
    X_dict, y_dict = datasets
    clf = make_classifier()
    expected = probabilities(clf.fit(X_dict, y_dict), X_dict)
    backwards = make_classifier(experts=clf.experts[::-1]).fit(
        dict(reversed(X_dict.items())), dict(reversed(y_dict.items()))
    )
    np.testing.assert_equal(probabilities(backwards, X_dict), expected)
    pd.testing.assert_frame_equal(backwards.history_, clf.history_)


@pytest.mark.parametrize(
    "names",
    [
        np.array([10, 20, 30]),
        np.array(["a", "b", "c"]),
        np.array(["a", "b", "c"], dtype=object),
        np.array([0.0, 1.0, 2.5e6]),
        np.array([-3, -2, 0]),
    ],
    ids=lambda names: f"{names.dtype}-{names[-1]}",
)
def test_names_of_labels_change_nothing_but_names(datasets, names):
    X_dict, y_dict = datasets
    expected = make_classifier().fit(X_dict, y_dict)
    renamed = make_classifier().fit(
        X_dict, {**y_dict, "digits": names[y_dict["digits"]]}
    )
    np.testing.assert_equal(
        probabilities(renamed, X_dict), probabilities(expected, X_dict)
    )
    np.testing.assert_array_equal(
        renamed.predict(X_dict)["digits"], names[expected.predict(X_dict)["digits"]]
    )


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (np.array([4, 7], dtype=np.int8), "i"),
        (np.array(["no", "yes"]), "U"),
        (np.array([False, True]), "b"),
        (np.array(["no", "yes"], dtype=object), "U"),
        (np.array([4, 7], dtype=object), "i"),
        (np.array([1.0, 2.0]), "f"),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_predicted_labels_are_of_the_kind_given(datasets, labels, kind):
    X_dict, y_dict = datasets
    given = labels[np.arange(24) % 2]
    clf = make_classifier().fit(X_dict, {**y_dict, "fashion": given})
    predicted = clf.predict(X_dict)["fashion"]
    assert predicted.dtype.kind == kind
    assert (predicted == given).mean() > 0.6
    # Also of one dataset alone, where classes are not composite.
    alone = make_classifier(experts=clf.experts[1:]).fit(X_dict["fashion"], given)
    assert alone.classes_.dtype.kind == alone.predict(X_dict["fashion"]).dtype.kind
    assert alone.classes_.dtype.kind == kind
    np.testing.assert_array_equal(alone.classes_, np.unique(given))


def test_unlabelled_dataset_is_scored_by_nobody(datasets):
    X_dict, y_dict = datasets
    X_dict = {**X_dict, "letters": X_dict["digits"][::-1]}
    clf = make_classifier().fit(X_dict, y_dict)
    assert clf.datasets_ == ["digits", "fashion", "letters"]
    assert list(clf.students_) == ["digits", "fashion"]
    labelled = {name: X_dict[name] for name in y_dict}
    assert clf.score(X_dict, y_dict) == clf.score(labelled, y_dict)
    X, y = stack_datasets(X_dict, y_dict)
    assert clf.score(X, y) == clf.score(labelled, y_dict)


def test_datasets_of_several_widths(datasets):
    # Only their experts say what a row has to be like.
    X_dict = {
        "digits": datasets[0]["digits"],
        "fashion": datasets[0]["fashion"][:, :2],
    }
    experts = [(n, FunctionTransformer(lambda rows: rows[:, :2])) for n in N_ROWS]
    clf = make_classifier(experts=experts).fit(X_dict, datasets[1])
    for name, rows in X_dict.items():
        stacked = clf.predict(MultiDataset({name: rows}))
        expected = [f"{name}/{label}" for label in clf.predict({name: rows})[name]]
        assert stacked.tolist() == expected


def test_validation_rows_of_some_datasets(datasets):
    X_dict, y_dict = datasets
    X_val, y_val = {"fashion": X_dict["fashion"]}, {"fashion": y_dict["fashion"]}
    clf = make_classifier().fit(X_dict, y_dict, X_val=X_val, y_val=y_val)
    last = clf.history_["val_student_accuracy"].iloc[-1]
    assert last["fashion"] == pytest.approx(clf.score(X_val, y_val))
    assert np.isnan(last["digits"])
    # They are looked at, and nothing else is done with them.
    expected = make_classifier().fit(X_dict, y_dict)
    np.testing.assert_equal(probabilities(clf, X_dict), probabilities(expected, X_dict))
    with pytest.raises(ValueError, match=r"'letters'.*\['digits', 'fashion'\]"):
        make_classifier().fit(
            X_dict,
            y_dict,
            X_val={"letters": X_dict["digits"]},
            y_val={"letters": y_dict["digits"]},
        )
