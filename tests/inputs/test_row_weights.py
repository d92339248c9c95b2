"""Weights of rows and of classes, seen from the estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.special import entr
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from small_fits import ONE_BATCH, Data, small_classifier

from jedi_sklearn import JEDIClassifier, MultiDataset, stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold

Rows = dict[str, np.ndarray]


pytestmark = pytest.mark.usefixtures("global_random_states_stay")


@pytest.fixture(scope="module")
def data() -> Data:
    """Three classes, two classes, both not balanced; and rows without labels."""
    X, y = make_blobs([60, 40, 20], n_features=4, cluster_std=4.0, random_state=0)
    X_dict = {"a": X[:50] + 1.0, "b": X[50:80], "u": X[80:]}
    a = np.array(["x", "y", "z"])[y[:50]].astype(object)
    a[::6] = None
    return X_dict, {"a": a, "b": (y[50:80] > 0).astype(int)}


@pytest.fixture(scope="module")
def weights(data) -> Rows:
    """Some rows of no weight, and others of more than one, labelled or not."""
    rng = np.random.default_rng(0)
    return {
        name: rng.choice([0.0, 1.0, 2.0, 2.5], size=len(X))
        for name, X in data[0].items()
    }


@pytest.fixture(scope="module")
def frozen(data) -> list[tuple[str, Any]]:
    experts = []
    for name, y in data[1].items():
        known = np.array([label is not None for label in y])
        expert = make_pipeline(StandardScaler(), LogisticRegression())
        labels = y[known].astype(str if name == "a" else int)
        experts.append(
            (name, FrozenEstimator(expert.fit(data[0][name][known], labels)))
        )
    return experts


def _models(clf: JEDIClassifier) -> list[Any]:
    return [*clf.students_.values(), *clf.teachers_.values()]


def _bits(clf: JEDIClassifier) -> list[Any]:
    weights = [
        (m.coef_, m.intercept_, *(b.adjustment for b in m.branches))
        for m in _models(clf)
    ]
    return [weights, clf.history_.to_numpy(), clf.classes_]


def _assert_same_bits(first: JEDIClassifier, second: JEDIClassifier) -> None:
    np.testing.assert_equal(_bits(first), _bits(second))


def _assert_close(first: JEDIClassifier, second: JEDIClassifier, atol: float) -> None:
    for one, two in zip(_models(first), _models(second), strict=True):
        np.testing.assert_allclose(one.coef_, two.coef_, atol=atol)
        np.testing.assert_allclose(one.intercept_, two.intercept_, atol=atol)
        for here, there in zip(one.branches, two.branches, strict=True):
            np.testing.assert_allclose(
                here.adjustment.up.coef, there.adjustment.up.coef, atol=atol
            )


def _differ(first: JEDIClassifier, second: JEDIClassifier) -> bool:
    return any(
        (one.coef_ != two.coef_).any()
        for one, two in zip(_models(first), _models(second), strict=True)
    )


def _kept(data: Data, weights: Rows) -> tuple[Data, Rows]:
    """Return the data without the rows of no weight, and the weights of the others."""
    X, y = ({n: v[weights[n] > 0] for n, v in part.items()} for part in data)
    return (X, y), {name: w[w > 0] for name, w in weights.items()}


def _flat(X: MultiDataset, parts: Rows) -> np.ndarray:
    """Return values of the datasets' rows in the order of stacked rows."""
    flat = np.empty(X.shape[0])
    for name in X:
        flat[X.rows_of(name)] = parts[name]
    return flat


def _mixed(data: Data) -> tuple[MultiDataset, Any]:
    """Return a stacked pair whose datasets' rows lie among each other."""
    X, y = stack_datasets(*data)
    order = np.argsort(np.concatenate([np.arange(len(v)) for v in data[0].values()]))
    return X[order], y[order]


# --------------------------------------------------------------------------------------
# Weights of rows.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [1.0, 2.0, 0.25, 3])
@pytest.mark.parametrize("stacked", [False, True])
def test_all_weights_alike__same_bits_as_none(data, frozen, weight, stacked):
    X, y = _mixed(data) if stacked else data
    alike: Any = {name: np.full(len(rows), weight) for name, rows in data[0].items()}
    if stacked:
        alike = _flat(X, alike)
    clf = small_classifier(frozen).fit(X, y, sample_weight=alike)
    _assert_same_bits(clf, small_classifier(frozen).fit(X, y))


def test_weights_of_one__heads_that_are_fitted__same_bits_as_none(data):
    # Other weights that are all alike change what a head's penalty weighs.
    ones = {name: [1] * len(rows) for name, rows in data[0].items()}
    _assert_same_bits(
        small_classifier().fit(*data, sample_weight=ones), small_classifier().fit(*data)
    )


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
@pytest.mark.parametrize("form", ["dict", "stacked", "stacked, dict of weights"])
def test_weight_zero__same_bits_as_without_the_rows(data, weights, form, schedule):
    # Labelled rows and others, with experts that are fitted.
    clf, expected = (
        small_classifier(schedule=schedule),
        small_classifier(schedule=schedule),
    )
    if form == "dict":
        clf.fit(*data, sample_weight=weights)
        rest, of_rest = _kept(data, weights)
        expected.fit(*rest, sample_weight=of_rest)
    else:
        X, y = _mixed(data)
        flat = _flat(X, weights)
        clf.fit(X, y, flat if form == "stacked" else weights)
        expected.fit(X[flat > 0], y[flat > 0], flat[flat > 0])
    _assert_same_bits(clf, expected)


def test_weight_zero__of_an_array__same_bits_as_without_the_rows(data, weights):
    X, y, w = data[0]["b"], data[1]["b"], weights["b"]
    clf, expected = (small_classifier([("b", StandardScaler())]) for _ in range(2))
    clf.fit(X, y, w)
    expected.fit(X[w > 0], y[w > 0], w[w > 0])
    _assert_same_bits(clf, expected)


def test_weight_zero__of_unlabelled_rows_alone__same_bits_as_without_them(data):
    X, y = data
    unlabelled = np.array([label is None for label in y["a"]])
    weights = {"a": 1.0 - unlabelled, "u": np.arange(len(X["u"])) % 2}
    clf = small_classifier().fit(X, y, sample_weight=weights)
    rest = {**X, "a": X["a"][~unlabelled], "u": X["u"][1::2]}
    expected = small_classifier().fit(rest, {**y, "a": y["a"][~unlabelled]})
    _assert_same_bits(clf, expected)


def test_weight_zero__row_is_not_looked_at(data, weights):
    X, y = data
    spoilt = {name: rows.copy() for name, rows in X.items()}
    for name, rows in spoilt.items():
        rows[weights[name] == 0] = np.nan
    _assert_same_bits(
        small_classifier().fit(spoilt, y, sample_weight=weights),
        small_classifier().fit(X, y, sample_weight=weights),
    )


def test_weight_zero__of_all_rows_of_a_class__class_is_not_known(data):
    X, y = data
    no_z = {"a": (y["a"] != "z").astype(float)}
    clf = small_classifier().fit(X, y, sample_weight=no_z)
    assert clf.students_["a"].classes_.tolist() == ["x", "y"]
    assert clf.classes_.tolist() == ["a/x", "a/y", "b/0", "b/1"]
    rest, _ = _kept(data, {name: np.ones(len(v)) for name, v in X.items()} | no_z)
    _assert_same_bits(clf, small_classifier().fit(*rest))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_weight_zero__with_a_split__same_bits_as_without_the_rows(
    data, weights, early_stopping
):
    params = {"early_stopping": early_stopping, "keep_expert": True}
    clf = small_classifier(**params).fit(*data, sample_weight=weights)
    rest, of_rest = _kept(data, weights)
    _assert_same_bits(clf, small_classifier(**params).fit(*rest, sample_weight=of_rest))


def test_weight_zero__with_balanced_classes__same_bits_as_without_the_rows(
    data, weights
):
    params = {"class_weight": "balanced"}
    clf = small_classifier(**params).fit(*data, sample_weight=weights)
    rest, of_rest = _kept(data, weights)
    _assert_same_bits(clf, small_classifier(**params).fit(*rest, sample_weight=of_rest))


@pytest.mark.parametrize("teacher_input", ["adjusted", "base", "predictions"])
@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_weight_two__as_the_row_twice(data, frozen, schedule, teacher_input):
    # All rows in one batch, so that both see the same steps. Standardised by other
    # numbers, the steps would differ; so they would by the hinge, whose gradients may
    # be zero but for rounding, of which AdamW makes a whole step.
    clf, expected, plain = (
        small_classifier(
            frozen,
            max_epochs=10,
            standardize=False,
            teacher_loss="cross_entropy",
            schedule=schedule,
            teacher_input=teacher_input,
            **ONE_BATCH,
        )
        for _ in range(3)
    )
    rng = np.random.default_rng(1)
    times = {name: rng.integers(1, 4, size=len(X)) for name, X in data[0].items()}
    clf.fit(*data, sample_weight=times)
    repeated = [{n: np.repeat(v, times[n], axis=0) for n, v in d.items()} for d in data]
    expected.fit(*repeated)
    _assert_close(clf, expected, atol=1e-4)
    for quantity in ("loss", "student_loss", "teacher_loss", "distillation_loss"):
        np.testing.assert_allclose(
            clf.history_[quantity], expected.history_[quantity], rtol=1e-4
        )
    with pytest.raises(AssertionError):
        _assert_close(plain.fit(*data), expected, atol=1e-3)


def test_weights__first_epoch__losses_are_means_by_weight(data, frozen, weights):
    # Nothing has moved yet: the students say what the experts say.
    clf = small_classifier(frozen, max_epochs=1, **ONE_BATCH)
    first = clf.fit(*data, sample_weight=weights).history_.loc[1]
    sizes = {name: w.sum() for name, w in weights.items()}
    total = sum(sizes.values())
    for name, expert in clf.experts_.items():
        y = data[1][name]
        known = np.array([label is not None for label in y])
        assert first["student_loss", name] == pytest.approx(
            log_loss(
                y[known].astype(str if name == "a" else int),
                expert.predict_proba(data[0][name][known]),
                sample_weight=weights[name][known],
            ),
            rel=1e-4,
        )
        # In Eq. (2) a dataset is as large as its rows weigh.
        distillation = sum(
            (weights[other] @ entr(expert.predict_proba(rows)).sum(axis=1))
            * (1.0 if other == name else sizes[name] / total)
            for other, rows in data[0].items()
        )
        assert first["distillation_loss", name] == pytest.approx(
            distillation / total, rel=1e-4
        )


# --------------------------------------------------------------------------------------
# Forms of the weights.
# --------------------------------------------------------------------------------------


def test_weights__forms_agree__same_bits(data, weights):
    expected = small_classifier().fit(*data, sample_weight=weights)
    X, y = _mixed(data)
    flat = _flat(X, weights)
    for given in (flat, flat.tolist(), pd.Series(flat), weights):
        _assert_same_bits(small_classifier().fit(X, y, given), expected)
    lists = {name: w.tolist() for name, w in reversed(weights.items())}
    _assert_same_bits(small_classifier().fit(*data, sample_weight=lists), expected)


@pytest.mark.parametrize("of_frame", [False, True], ids=["array", "Series"])
def test_weights__of_a_dataframe__as_those_of_the_dicts(data, weights, of_frame):
    columns = list("pqrs")
    frames = {name: pd.DataFrame(v, columns=columns) for name, v in data[0].items()}
    expected = small_classifier().fit(frames, data[1], sample_weight=weights)
    X, y = _mixed(data)
    index = pd.Index(X.groups, name="dataset")
    rows = np.empty((X.shape[0], 4))
    for name in X:
        rows[X.rows_of(name)] = data[0][name]
    flat = _flat(X, weights)
    clf = small_classifier().fit(
        pd.DataFrame(rows, index, columns=columns),
        np.asarray(y),
        sample_weight=pd.Series(flat, index) if of_frame else flat,
    )
    _assert_same_bits(clf, expected)


def test_weights__dataset_left_out__counts_fully(data, weights):
    partly = {"a": weights["a"]}
    full = {n: np.ones(len(X)) for n, X in data[0].items()} | partly
    _assert_same_bits(
        small_classifier().fit(*data, sample_weight=partly),
        small_classifier().fit(*data, sample_weight=full),
    )


def test_weights__flat_for_a_dict_of_one__as_for_the_array(data, weights):
    X, y, w = data[0]["b"], data[1]["b"], weights["b"]
    experts = [("b", StandardScaler())]
    expected = small_classifier(experts).fit(X, y, w)
    for given in (w, {"b": w}):
        clf = small_classifier(experts).fit({"b": X}, {"b": y}, given)
        np.testing.assert_equal(_bits(clf)[:2], _bits(expected)[:2])


@pytest.fixture(scope="module")
def labelled_pair(data) -> tuple[MultiDataset, Any, np.ndarray]:
    X, y = _mixed(data)
    rows = np.flatnonzero(X.labelled())
    X, y = X[rows], y[rows]
    # So uneven that students depend on them.
    weights = np.random.default_rng(2).choice([0.0, 0.1, 10.0], size=len(rows))
    return X, y, weights


def test_weights__cross_validate__slices_them(labelled_pair):
    X, y, weights = labelled_pair
    results = cross_validate(
        small_classifier(),
        X,
        y,
        params={"sample_weight": weights},
        cv=MultiDatasetKFold(3),
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    for clf, train in zip(
        results["estimator"], results["indices"]["train"], strict=True
    ):
        expected = small_classifier().fit(X[train], y[train], weights[train])
        _assert_same_bits(clf, expected)
        assert _differ(clf, small_classifier().fit(X[train], y[train]))


def test_weights__search__slices_them(labelled_pair):
    X, y, weights = labelled_pair
    cv = MultiDatasetKFold(2)

    sklearn_version = tuple(map(int, sklearn.__version__.split(".")[:2]))

    def of_scores(weights: np.ndarray) -> list[np.ndarray]:
        # From 1.8 on scikit-learn weighs the scores, too.
        return [weights] if sklearn_version >= (1, 8) else []

    search = GridSearchCV(
        small_classifier(max_epochs=1),
        {"learning_rate": [1e-3, 0.03], "class_weight": [None, "balanced"]},
        cv=cv,
        error_score="raise",
    ).fit(X, y, sample_weight=weights)
    for fold, (train, test) in enumerate(cv.split(X, y)):
        scores = [
            clone(search.estimator)
            .set_params(**params)
            .fit(X[train], y[train], weights[train])
            .score(X[test], y[test], *of_scores(weights[test]))
            for params in search.cv_results_["params"]
        ]
        np.testing.assert_array_equal(
            search.cv_results_[f"split{fold}_test_score"], scores
        )
    best = clone(search.estimator).set_params(**search.best_params_)
    _assert_same_bits(search.best_estimator_, best.fit(X, y, weights))


# --------------------------------------------------------------------------------------
# Weights of classes.
# --------------------------------------------------------------------------------------


def _balanced(y: np.ndarray) -> dict[Any, float]:
    known = [label for label in y.tolist() if label is not None]
    labels = sorted(set(known))
    return {label: len(known) / (len(labels) * known.count(label)) for label in labels}


def test_class_weight__balanced__as_the_mapping_of_all(data):
    explicit = {name: _balanced(y) for name, y in data[1].items()}
    fitted = [
        small_classifier(class_weight=class_weight).fit(*data)
        for class_weight in (
            "balanced",
            explicit,
            dict.fromkeys(data[1], "balanced"),
            {"a": "balanced", "b": explicit["b"]},
        )
    ]
    for clf in fitted[1:]:
        _assert_same_bits(clf, fitted[0])
    assert _differ(fitted[0], small_classifier().fit(*data))


def test_class_weight__of_nothing__as_none(data):
    expected = small_classifier().fit(*data)
    for class_weight in (
        {},
        {"a": None},
        {"a": {}, "b": None},
        {"a": {"x": 1, "y": 1.0}, "b": {0: 1, 1: 1}},
    ):
        _assert_same_bits(
            small_classifier(class_weight=class_weight).fit(*data), expected
        )


def test_class_weight__dataset_and_label_left_out__weigh_one(data):
    _assert_same_bits(
        small_classifier(class_weight={"a": {"x": 3}}).fit(*data),
        small_classifier(
            class_weight={"a": {"x": 3, "y": 1, "z": 1}, "b": {0: 1, 1: 1}}
        ).fit(*data),
    )


def test_class_weight__of_one_dataset__may_be_flat(data):
    X, y = data[0]["b"], data[1]["b"]
    fitted = [
        small_classifier([("b", StandardScaler())], class_weight=class_weight).fit(X, y)
        for class_weight in (
            {0: 3.0, 1: 0.5},
            {"b": {0: 3.0, 1: 0.5}},
            {np.int64(0): 3.0, np.int64(1): 0.5},
        )
    ]
    for clf in fitted[1:]:
        _assert_same_bits(clf, fitted[0])
    # That of two datasets, of which one has labels.
    X_dict = {"b": X, "u": data[0]["u"]}
    fitted = [
        small_classifier([("b", StandardScaler())], class_weight=class_weight).fit(
            X_dict, {"b": y}
        )
        for class_weight in ({0: 3.0}, {"b": {0: 3.0}})
    ]
    _assert_same_bits(*fitted)


def test_class_weight__stacked__by_the_labels_of_the_dataset(data):
    class_weight = {"a": {"z": 4.0}, "b": {1: 0.5}}
    clf = small_classifier(class_weight=class_weight)
    _assert_same_bits(clone(clf).fit(*_mixed(data)), clone(clf).fit(*data))


def _of_classes(data: Data) -> Rows:
    """Return "balanced" as weights of rows, whose mean is 1 for each dataset."""
    weights = {}
    for name, y in data[1].items():
        of_label = {None: 1.0, **_balanced(y)}
        weights[name] = np.array([of_label[label] for label in y.tolist()])
    return weights


@pytest.mark.parametrize("fitted", [False, True], ids=["frozen", "fitted"])
def test_class_weight__without_distillation__as_weights_of_the_rows(
    data, frozen, fitted
):
    experts = None if fitted else frozen
    params = {"gamma": 0.0, "max_epochs": 10}
    clf = small_classifier(experts, class_weight="balanced", **params).fit(*data)
    expected = small_classifier(experts, **params).fit(
        *data, sample_weight=_of_classes(data)
    )
    _assert_close(clf, expected, atol=1e-5)
    assert _differ(clf, small_classifier(experts, **params).fit(*data))


def test_class_weight__does_not_act_in_the_third_term(data, frozen):
    params = {"max_epochs": 1, **ONE_BATCH}
    plain, by_class, by_row = (
        small_classifier(frozen, class_weight=class_weight, **params)
        .fit(*data, sample_weight=sample_weight)
        .history_.loc[1]
        for class_weight, sample_weight in (
            (None, None),
            ("balanced", None),
            (None, _of_classes(data)),
        )
    )
    for name in ("a", "b"):
        for term in ("student_loss", "teacher_loss"):
            assert by_class[term, name] == pytest.approx(by_row[term, name], rel=1e-5)
            assert by_class[term, name] != pytest.approx(plain[term, name], rel=1e-3)
        term = "distillation_loss"
        assert by_class[term, name] == plain[term, name]
        assert by_row[term, name] != pytest.approx(plain[term, name], rel=1e-5)


def test_class_weight_and_sample_weight__multiply(data, frozen, weights):
    params = {"gamma": 0.0, "max_epochs": 1, **ONE_BATCH}
    clf = small_classifier(frozen, class_weight={"b": {0: 3.0}}, **params)
    clf.fit(*data, sample_weight=weights)
    product = weights["b"] * np.where(data[1]["b"] == 0, 3.0, 1.0)
    expected = small_classifier(frozen, **params)
    expected.fit(*data, sample_weight={**weights, "b": product})
    for term in ("student_loss", "teacher_loss"):
        np.testing.assert_allclose(
            clf.history_[term], expected.history_[term], rtol=1e-5
        )


def test_class_weight_zero__rows_stay_in_the_third_term(data, frozen):
    # Unlike rows of weight 0.
    X, y = data
    params = {"alpha": 0.0, "beta": 0.0, "max_epochs": 1, **ONE_BATCH}
    plain = small_classifier(frozen, **params).fit(X, y)
    clf = small_classifier(frozen, class_weight={"b": {0: 0.0}}, **params).fit(X, y)
    np.testing.assert_array_equal(
        clf.history_["distillation_loss"], plain.history_["distillation_loss"]
    )
    without = small_classifier(frozen, **params).fit(X, y, {"b": np.arange(30) % 3})
    assert (
        without.history_["distillation_loss"] != plain.history_["distillation_loss"]
    ).all(axis=None)


# --------------------------------------------------------------------------------------
# Heads.
# --------------------------------------------------------------------------------------


class HeadWithoutWeights(LogisticRegression):
    """A linear classifier whose fit takes no weights."""

    def fit(self, X, y):
        return super().fit(X, y)


def _head(clf: JEDIClassifier, name: str) -> Any:
    return clf.experts_[name][-1]


@pytest.mark.parametrize("class_weight", [None, {"b": {1: 5.0}}, "balanced"])
@pytest.mark.parametrize(
    "head",
    [
        LogisticRegression(),
        LinearSVC(random_state=0),
        Perceptron(random_state=0),
        HeadWithoutWeights(),
        LinearDiscriminantAnalysis(),
    ],
    ids=lambda head: type(head).__name__,
)
def test_heads__those_that_take_weights_get_them(data, weights, head, class_weight):
    X, y = {"b": data[0]["b"]}, {"b": data[1]["b"]}
    clf = small_classifier(
        [("b", make_pipeline(StandardScaler(), head))],
        max_epochs=0,
        class_weight=class_weight and {"b": {0: 1.0, 1: 5.0}},
    ).fit(X, y, sample_weight={"b": weights["b"]})
    of_class = 5.0 if class_weight else 1.0
    known = weights["b"] * np.where(y["b"] == 1, of_class, 1.0)
    there = weights["b"] > 0
    # As an encoder makes it, in single precision, of the rows that count.
    rows = StandardScaler().fit_transform(X["b"][there]).astype(np.float32)
    takes = not isinstance(head, HeadWithoutWeights | LinearDiscriminantAnalysis)
    expected = clone(head).fit(
        rows, y["b"][there], **({"sample_weight": known[there]} if takes else {})
    )
    np.testing.assert_allclose(_head(clf, "b").coef_, expected.coef_, rtol=1e-6)
    if takes:
        plain = clone(head).fit(rows, y["b"][there])
        assert (plain.coef_ != expected.coef_).any()


def test_heads__the_default_one_gets_weights(data, weights):
    # A logistic regression on the embeddings, standardised by the weights.
    X, y = data
    clf = small_classifier(
        [("b", FunctionTransformer())], max_epochs=0, class_weight={0: 2.0}
    ).fit({"b": X["b"]}, {"b": y["b"]}, sample_weight={"b": weights["b"]})
    known = weights["b"] * np.where(y["b"] == 0, 2.0, 1.0)
    there = known > 0
    expected = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    expected.fit(
        X["b"][there],
        y["b"][there],
        standardscaler__sample_weight=known[there],
        logisticregression__sample_weight=known[there],
    )
    np.testing.assert_allclose(
        clf.experts_["b"].predict_proba(X["b"]),
        expected.predict_proba(X["b"]),
        atol=1e-4,
    )


def test_heads__frozen_ones_stay(data, frozen, weights):
    clf = small_classifier(frozen, max_epochs=0, class_weight="balanced")
    clf.fit(*data, sample_weight=weights)
    for name, expert in frozen:
        X = data[0][name]
        np.testing.assert_allclose(
            clf.students_[name].predict_proba(X), expert.predict_proba(X), atol=1e-6
        )
