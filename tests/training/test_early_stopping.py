"""Early stopping, experts that are kept, and the rows that both look at."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from small_fits import Data, differ, small_classifier, weights_of

from jedi_sklearn import JEDIClassifier, stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold

pytestmark = pytest.mark.usefixtures("global_random_states_stay")


def _draw(sizes: dict[str, int], seed: int) -> Data:
    """Classes that overlap: numbers in one dataset, names in the other."""
    rng = np.random.default_rng(seed)
    X_dict, y_dict = {}, {}
    for name, n_rows in sizes.items():
        codes = rng.permutation(np.arange(n_rows) % (3 if name == "a" else 2))
        X_dict[name] = 1.2 * np.eye(4)[codes] + rng.normal(size=(n_rows, 4))
        y_dict[name] = codes if name == "a" else np.array(["p", "q"])[codes]
    return X_dict, y_dict


@pytest.fixture(scope="module")
def data() -> Data:
    X, y = _draw({"a": 60, "b": 40}, seed=0)
    return {**X, "u": X["a"][:20] + X["b"][:20]}, y


@pytest.fixture(scope="module")
def held_out() -> Data:
    return _draw({"a": 60, "b": 60}, seed=1)


def _experts() -> list[tuple[str, Any]]:
    return [
        ("a", make_pipeline(StandardScaler(), LogisticRegression())),
        ("b", make_column_transformer(("passthrough", slice(0, 3)))),
    ]


def _classifier(experts: Any = None, **params: Any) -> JEDIClassifier:
    return small_classifier(_experts() if experts is None else experts, **params)


def _fit(data: Data, held_out: Data | None = None, **params: Any) -> JEDIClassifier:
    X_val, y_val = held_out or (None, None)
    return _classifier(**params).fit(*data, X_val=X_val, y_val=y_val)


def _all_weights(clf: JEDIClassifier) -> list[Any]:
    return [weights_of(clf.students_), weights_of(clf.teachers_)]


# --------------------------------------------------------------------------------------
# Whose rows are seen by whom. A row is known by its first value, which is also the
# first feature of its embedding.
# --------------------------------------------------------------------------------------

EVENTS: list[tuple[str, str, frozenset[float]]] = []


def _marks(rows: np.ndarray, name: str = "") -> frozenset[float]:
    """Return what rows are known by, of one dataset: 1.x is dataset a, 2.x is b."""
    marks = np.asarray(rows)[:, 0].astype(np.float32).tolist()
    return frozenset(m for m in marks if not name or int(m) == " ab".index(name))


class Recorder(TransformerMixin, BaseEstimator):
    """Embeds rows as they are and notes which it is given."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fit(self, X, y=None):
        EVENTS.append(("fit", self.name, _marks(X)))
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        # Rows of the other datasets are embedded for the teachers.
        if own := _marks(X, self.name):
            EVENTS.append(("embed", self.name, own))
        return np.asarray(X)


class RecordBatches(Callback):
    """Notes the rows of each batch."""

    def on_batch_begin(self, net: Any, batch: Any = None, **_: Any) -> None:
        # The first feature is the first one of the first expert's embedding.
        EVENTS.extend(("train", n, _marks(batch.features, n)) for n in "ab")


@pytest.fixture
def events() -> Iterator[list[tuple[str, str, frozenset[float]]]]:
    EVENTS.clear()
    yield EVENTS
    EVENTS.clear()


def _marked(sizes: dict[str, int], seed: int = 0) -> Data:
    X, y = _draw(sizes, seed)
    for number, (name, rows) in enumerate(X.items(), start=1):
        rows[:, 0] = number + np.arange(len(rows)) / 1024  # exact in single precision
        X[name] = rows
    return X, y


def _recorded(**params: Any) -> JEDIClassifier:
    experts = [
        (name, make_pipeline(Recorder(name), LogisticRegression())) for name in "ab"
    ]
    defaults = {"max_epochs": 2, "standardize": False, "validation_fraction": 0.25}
    return _classifier(experts, callbacks=[RecordBatches()], **defaults | params)


class Fit:
    """What was done with the rows of a dataset in one fit and until the next."""

    def __init__(self, events: list[Any], name: str) -> None:
        def of_kind(kind: str) -> list[frozenset[float]]:
            return [rows for k, n, rows in events if (k, n) == (kind, name)]

        (self.fitted,) = of_kind("fit")
        self.trained = frozenset().union(*of_kind("train"))
        # First those to train with, then those to look at, then those to predict.
        self.to_train, self.validation, *predicted = of_kind("embed")
        self.predicted = frozenset().union(*predicted)


def _fits(events: list[Any], name: str) -> list[Fit]:
    starts = [i for i, (kind, n, _) in enumerate(events) if (kind, n) == ("fit", "a")]
    return [
        Fit(events[start:end], name)
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]


OPTIONS = [
    {"early_stopping": True},
    {"keep_expert": True},
    {"early_stopping": True, "keep_expert": True},
    {"early_stopping": True, "keep_expert": True, "schedule": "alternating"},
]


@pytest.mark.parametrize("params", OPTIONS, ids=str)
@pytest.mark.parametrize("tool", ["cross_validate", "GridSearchCV"])
def test_split__within_cross_validation__never_meets_the_test_rows(
    events, tool, params
):
    X_dict, y_dict = _marked({"a": 48, "b": 36})
    # Some rows without labels, which are never tested nor held out.
    y_dict["a"][::8] = -1
    unlabelled = {"a": _marks(X_dict["a"][::8]), "b": frozenset()}
    X, y = stack_datasets(X_dict, y_dict)
    clf, cv = _recorded(**params), MultiDatasetKFold(3)
    if tool == "cross_validate":
        cross_validate(clf, X, y, cv=cv, error_score="raise")
        refits = 0
    else:
        GridSearchCV(clf, {"gamma": [0.4]}, cv=cv, error_score="raise").fit(X, y)
        refits = 1
    splits = list(cv.split(X, y))
    for name in "ab":
        fits = _fits(events, name)
        assert len(fits) == len(splits) + refits
        for fit, (train, test) in zip(fits, splits, strict=False):
            outer_train = _marks(np.asarray(X[train][name]))
            outer_test = _marks(np.asarray(X[test][name]))
            assert fit.predicted == outer_test
            assert fit.trained == fit.to_train
            assert fit.validation
            # Pairwise disjoint, and nothing is lost.
            assert fit.trained | fit.validation == outer_train
            assert not fit.trained & fit.validation
            assert not (fit.trained | fit.validation) & outer_test
            # Experts are fitted on the labelled rows that are trained with.
            assert fit.fitted == fit.trained - unlabelled[name]
            assert unlabelled[name] <= fit.trained
        for fit in fits[len(splits) :]:
            assert fit.trained | fit.validation == _marks(X_dict[name])
            assert not fit.trained & fit.validation
            assert fit.fitted == fit.trained - unlabelled[name]


def test_split__neither_option__none_is_made(events):
    X, y = _marked({"a": 30, "b": 30})
    clf = _recorded().fit(X, y)
    for name in "ab":
        (fitted,) = (rows for kind, n, rows in events if (kind, n) == ("fit", name))
        assert fitted == _marks(X[name])
    assert "val_student_accuracy" not in clf.history_
    assert clf.kept_experts_ == []


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("random_state", range(3))
def test_split__even_over_the_classes(events, fraction, random_state):
    n_labels = {"a": [40, 20, 10], "b": [30, 30]}
    X, y = _marked({name: sum(n) for name, n in n_labels.items()})
    y = {name: np.repeat(np.arange(len(n)), n) for name, n in n_labels.items()}
    _recorded(
        early_stopping=True,
        max_epochs=0,
        validation_fraction=fraction,
        random_state=random_state,
    ).fit(X, y)
    for name, counts in n_labels.items():
        (fit,) = _fits(events, name)
        held = np.array([mark in fit.validation for mark in X[name][:, 0]])
        assert held.sum() == round(fraction * sum(counts))
        for label, count in enumerate(counts):
            assert abs(held[y[name] == label].sum() - fraction * count) <= 1


def test_split__one_row_of_each_class_stays(events):
    X, y = _marked({"a": 20, "b": 20})
    y = {"a": np.array([0] * 18 + [1, 2]), "b": np.array(["p"] + ["q"] * 19)}
    _recorded(early_stopping=True, max_epochs=0, validation_fraction=0.99).fit(X, y)
    for name in "ab":
        (fit,) = _fits(events, name)
        left = [mark in fit.fitted for mark in X[name][:, 0]]
        labels = y[name][left].tolist()
        assert sorted(labels) == sorted(set(y[name].tolist()))


@pytest.mark.parametrize(
    ("labels", "fraction"),
    [
        (np.array([0, 1, 2] + [-1] * 57), 0.5),
        (np.array([0, 1, 2] * 20), 0.008),
        (np.array([0, 1, 2, 2] + [-1] * 56), 0.1),
    ],
    ids=["one of each class", "small fraction", "few labels"],
)
def test_split__too_few_labelled_rows__refused_by_name(data, labels, fraction):
    clf = _classifier(early_stopping=True, validation_fraction=fraction)
    n_labelled = (labels >= 0).sum()
    with pytest.raises(
        ValueError,
        match=rf"'a' has {n_labelled} labelled rows of 3 classes.*"
        rf"validation_fraction={fraction}.*X_val and y_val",
    ):
        clf.fit(data[0], {**data[1], "a": labels})
    assert not hasattr(clf, "students_")


def test_split__same_seed_same_rows__other_seed_other_rows(events):
    X, y = _marked({"a": 40, "b": 30})
    for random_state in (0, 0, 1):
        _recorded(early_stopping=True, max_epochs=0, random_state=random_state).fit(
            X, y
        )
    first, second, other = (fit.validation for fit in _fits(events, "a"))
    assert first == second
    assert first != other


def test_split__stacked__same_bits_as_of_dicts(data):
    params = {"early_stopping": True, "keep_expert": True}
    in_dicts = _fit(data, **params)
    stacked = _fit(stack_datasets(*data), **params)
    np.testing.assert_equal(_all_weights(stacked), _all_weights(in_dicts))
    np.testing.assert_array_equal(stacked.history_, in_dicts.history_)
    assert stacked.kept_experts_ == in_dicts.kept_experts_


def test_split__accuracies_are_those_of_the_rows_held_out(events):
    X, y = _marked({"a": 48, "b": 36})
    clf = _recorded(keep_expert=True).fit(X, y)
    for name in "ab":
        fit = _fits(events, name)[0]
        held = np.array([mark in fit.validation for mark in X[name][:, 0]])
        for model, models in (("expert", clf.experts_), ("teacher", clf.teachers_)):
            expected = models[name].score(X[name][held], y[name][held])
            given = clf.history_[f"val_{model}_accuracy", name].iloc[-1]
            assert given == pytest.approx(expected)


def test_x_val__replaces_the_split(events):
    X, y = _marked({"a": 40, "b": 30})
    X_val, y_val = _marked({"a": 9, "b": 9}, seed=1)
    X_val = {name: rows + np.array([0.5, 0, 0, 0]) for name, rows in X_val.items()}
    fitted = []
    for fraction in (0.25, 0.5):
        clf = _recorded(
            early_stopping=True, keep_expert=True, validation_fraction=fraction
        )
        fitted.append(clf.fit(X, y, X_val=X_val, y_val=y_val))
    for name in "ab":
        for fit in _fits(events, name):
            assert fit.fitted == fit.trained == _marks(X[name])
            assert fit.validation == _marks(X_val[name])
    np.testing.assert_equal(*map(_all_weights, fitted))


# --------------------------------------------------------------------------------------
# Early stopping.
# --------------------------------------------------------------------------------------


def _accuracies(clf: JEDIClassifier, model: str = "student") -> np.ndarray:
    """Return the mean accuracy over the datasets, before each epoch and at the end."""
    given = clf.history_[f"val_{model}_accuracy"].mean(axis=1).to_numpy()
    start = clf.history_["val_expert_accuracy"].mean(axis=1).iloc[0]
    return np.array([start, *given])


def _last_best(accuracies: np.ndarray) -> int:
    return len(accuracies) - 1 - int(accuracies[::-1].argmax())


@pytest.mark.parametrize("random_state", range(3))
@pytest.mark.parametrize("teacher_input", ["adjusted", "base", "predictions"])
def test_early_stopping__weights_are_those_of_the_best_epoch(
    data, held_out, random_state, teacher_input
):
    params = {"random_state": random_state, "teacher_input": teacher_input}
    clf = _fit(
        data,
        held_out,
        early_stopping=True,
        n_iter_no_change=12,
        max_epochs=12,
        **params,
    )
    assert clf.n_iter_ == 12
    best = _last_best(_accuracies(clf))
    shorter = _fit(data, max_epochs=best, **params)
    np.testing.assert_equal(_all_weights(clf), _all_weights(shorter))
    accuracy = clf.score(*held_out)
    assert accuracy == pytest.approx(_accuracies(clf).max())


def test_early_stopping__best_epoch__is_neither_first_nor_last(data, held_out):
    # So that the test above tests something.
    best = {
        _last_best(
            _accuracies(_fit(data, held_out, max_epochs=12, random_state=random_state))
        )
        for random_state in range(3)
    }
    assert best - {0, 12}


@pytest.mark.parametrize("patience", [1, 2, 5])
@pytest.mark.parametrize("random_state", range(2))
def test_early_stopping__ends_after_epochs_that_are_no_better(
    data, held_out, patience, random_state
):
    # Of so few rows that epochs are often alike.
    few = tuple({name: part[name][:8] for name in "ab"} for part in held_out)
    clf = _fit(
        data,
        few,
        early_stopping=True,
        n_iter_no_change=patience,
        max_epochs=60,
        random_state=random_state,
    )
    accuracies = _accuracies(clf)
    best_so_far = np.maximum.accumulate(accuracies)
    (better,) = np.nonzero(accuracies[1:] > best_so_far[:-1])
    last_better = better[-1] + 1 if len(better) else 0
    assert clf.n_iter_ == len(clf.history_) == last_better + patience < 60
    # An epoch that is as good is no better, but it is kept.
    shorter = _fit(data, max_epochs=_last_best(accuracies), random_state=random_state)
    np.testing.assert_equal(_all_weights(clf), _all_weights(shorter))


def test_early_stopping__nothing_gets_better__as_the_experts(data, held_out):
    # Labels that are what the experts say: no epoch can be better than the start, and
    # at so large a rate none is as good.
    experts = _fit(data, max_epochs=0)
    said = {name: held_out[0][name] for name in "ab"}
    y_val = experts.predict(said)
    clf = _fit(
        data,
        (said, y_val),
        early_stopping=True,
        n_iter_no_change=3,
        learning_rate=3.0,
        max_epochs=20,
    )
    assert clf.n_iter_ == 3
    assert (_accuracies(clf)[1:] < 1).all()
    np.testing.assert_equal(_all_weights(clf), _all_weights(experts))


def test_early_stopping__of_one_dataset__by_its_accuracy_alone(data, held_out):
    of_b = tuple({"b": part["b"]} for part in held_out)
    clf = _fit(data, of_b, early_stopping=True, n_iter_no_change=12, max_epochs=12)
    assert clf.history_["val_student_accuracy", "a"].isna().all()
    shorter = _fit(data, max_epochs=_last_best(_accuracies(clf)))
    np.testing.assert_equal(_all_weights(clf), _all_weights(shorter))


def test_early_stopping__alternating__waits_in_each_phase(data, held_out):
    clf = _fit(
        data,
        held_out,
        early_stopping=True,
        n_iter_no_change=2,
        schedule="alternating",
        n_rounds=2,
        max_epochs=80,
    )
    of_students = clf.history_["distillation_loss"].to_numpy()[:, 0] > 0
    # Four phases, none of which takes its twenty epochs.
    changes = np.flatnonzero(np.diff(of_students)) + 1
    phases = np.split(of_students, changes)
    assert [bool(phase[0]) for phase in phases] == [False, True, False, True]
    assert all(2 <= len(phase) < 20 for phase in phases)
    # The teachers do not change the students, nor do these get worse in their phases.
    students = clf.history_["val_student_accuracy"].mean(axis=1).to_numpy()
    for phase in np.split(students, changes)[::2]:
        assert (phase == phase[0]).all()
    assert clf.score(*held_out) >= clf.history_["val_expert_accuracy"].iloc[0].mean()


@pytest.mark.parametrize("random_state", [0, 1, 3])
def test_early_stopping__alternating__teachers_by_their_own_accuracy(
    data, held_out, random_state
):
    # Teachers of the embeddings themselves say the same whatever the students do: in
    # the phase of the students their accuracy is that of their best epoch.
    clf = _fit(
        data,
        held_out,
        early_stopping=True,
        n_iter_no_change=4,
        max_epochs=16,
        learning_rate=0.1,
        schedule="alternating",
        n_rounds=1,
        teacher_input="base",
        teacher_start="random",
        random_state=random_state,
    )
    of_teachers = clf.history_["distillation_loss"].to_numpy()[:, 0] == 0
    accuracies = clf.history_["val_teacher_accuracy"].mean(axis=1).to_numpy()
    best = accuracies[of_teachers].max()
    assert best > accuracies[of_teachers][-1]
    np.testing.assert_allclose(accuracies[~of_teachers], best)


def test_early_stopping__same_seed__same_bits(data):
    params = {"early_stopping": True, "keep_expert": True, "max_epochs": 6}
    first, second = (_fit(data, **params) for _ in range(2))
    np.testing.assert_equal(_all_weights(first), _all_weights(second))
    np.testing.assert_array_equal(first.history_, second.history_)


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
@pytest.mark.parametrize(
    "params", [{}, {"validation_fraction": 0.5}, {"n_iter_no_change": 1}], ids=str
)
def test_neither_option__x_val_changes_no_weight(data, held_out, params, schedule):
    params |= {"schedule": schedule, "max_epochs": 6, "n_rounds": 1}
    without = _fit(data, schedule=schedule, max_epochs=6, n_rounds=1)
    with_it = _fit(data, held_out, **params)
    np.testing.assert_equal(_all_weights(with_it), _all_weights(without))
    np.testing.assert_array_equal(
        with_it.history_[without.history_.columns], without.history_
    )
    assert with_it.kept_experts_ == []


# --------------------------------------------------------------------------------------
# Experts that are kept.
# --------------------------------------------------------------------------------------


def _assert_as_expert(clf: JEDIClassifier, name: str, X: np.ndarray) -> None:
    student, expert = clf.students_[name], clf.experts_[name]
    np.testing.assert_array_equal(student.predict(X), expert.predict(X))
    np.testing.assert_allclose(
        student.predict_proba(X), expert.predict_proba(X), atol=1e-6
    )
    np.testing.assert_array_equal(clf.predict({name: X})[name], expert.predict(X))


@pytest.fixture(scope="module")
def worse_and_better(data, held_out) -> Data:
    """Rows on which the expert of a is right, and the student of b alone."""
    spoilt = _fit(data, learning_rate=0.5)
    X_val = {name: held_out[0][name] for name in "ab"}
    y_val = {
        "a": spoilt.experts_["a"].predict(X_val["a"]),
        "b": spoilt.students_["b"].predict(X_val["b"]),
    }
    return X_val, y_val


@pytest.mark.parametrize("reverse", [False, True])
def test_keep_expert__student_that_is_worse__is_its_expert(
    data, worse_and_better, reverse
):
    experts = _experts()[::-1] if reverse else _experts()
    params = {"learning_rate": 0.5, "experts": experts}
    clf = _fit(data, worse_and_better, keep_expert=True, **params)
    plain = _fit(data, worse_and_better, **params)
    last = clf.history_.iloc[-1]
    assert last["val_student_accuracy", "a"] < last["val_expert_accuracy", "a"]
    assert last["val_student_accuracy", "b"] > last["val_expert_accuracy", "b"]
    assert clf.kept_experts_ == ["a"]
    for X in data[0].values():
        _assert_as_expert(clf, "a", X)
    # All else is as it was trained.
    np.testing.assert_equal(
        weights_of({"b": clf.students_["b"]}), weights_of({"b": plain.students_["b"]})
    )
    np.testing.assert_equal(weights_of(clf.teachers_), weights_of(plain.teachers_))
    np.testing.assert_array_equal(clf.history_, plain.history_)
    # Off, nothing is kept.
    assert plain.kept_experts_ == []
    assert differ(
        weights_of({"a": clf.students_["a"]}), weights_of({"a": plain.students_["a"]})
    )


def test_keep_expert__student_that_is_as_good__is_its_expert(data, held_out):
    # "No better": after no epoch every student is as good as its expert.
    clf = _fit(data, held_out, keep_expert=True, max_epochs=0)
    assert clf.kept_experts_ == ["a", "b"]
    for name in "ab":
        _assert_as_expert(clf, name, data[0][name])


def test_keep_expert__dataset_that_has_no_validation_rows__student_stays(
    data, worse_and_better
):
    X_val, y_val = ({"a": part["a"]} for part in worse_and_better)
    clf = _fit(data, (X_val, y_val), keep_expert=True, learning_rate=0.5)
    assert clf.kept_experts_ == ["a"]
    X_val, y_val = ({"b": part["b"]} for part in worse_and_better)
    clf = _fit(data, (X_val, y_val), keep_expert=True, learning_rate=0.5)
    assert clf.kept_experts_ == []


@pytest.mark.parametrize("teacher_input", ["base", "predictions"])
@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_keep_expert__without_x_val__by_the_split(data, teacher_input, schedule):
    # A noisy student of many steps at a large rate, on few rows.
    clf = _fit(
        data,
        keep_expert=True,
        validation_fraction=0.4,
        learning_rate=3.0,
        teacher_input=teacher_input,
        schedule=schedule,
        max_epochs=4,
        n_rounds=1,
    )
    last = clf.history_.iloc[-1]
    no_better = last["val_expert_accuracy"] >= last["val_student_accuracy"]
    assert clf.kept_experts_ == list(no_better.index[no_better])
    assert clf.kept_experts_
    for name in clf.kept_experts_:
        _assert_as_expert(clf, name, data[0][name])


def test_keep_expert__early_stopping_too__best_epoch_decides(data, held_out):
    clf = _fit(data, held_out, early_stopping=True, keep_expert=True, max_epochs=8)
    best = _last_best(_accuracies(clf))
    assert best > 0
    row = clf.history_.loc[best]
    no_better = row["val_expert_accuracy"] >= row["val_student_accuracy"]
    assert clf.kept_experts_ == list(no_better.index[no_better])


def test_keep_expert__frozen_experts(data, worse_and_better):
    frozen = [
        (name, FrozenEstimator(StandardScaler().fit(data[0][name]))) for name in "ab"
    ]
    clf = _fit(data, worse_and_better, experts=frozen, keep_expert=True, max_epochs=0)
    assert clf.kept_experts_ == ["a", "b"]
    for name in "ab":
        _assert_as_expert(clf, name, data[0][name])


def test_keep_expert__pickle__same_bits(data, worse_and_better):
    clf = _fit(data, worse_and_better, keep_expert=True, learning_rate=0.5)
    loaded = pickle.loads(pickle.dumps(clf))
    np.testing.assert_equal(_all_weights(loaded), _all_weights(clf))
    assert loaded.kept_experts_ == clf.kept_experts_ == ["a"]


def test_keep_expert__warm_start__compares_with_the_expert(data, worse_and_better):
    # The student of b has become better than its expert, and then hardly moves.
    clf = _classifier(learning_rate=0.5, warm_start=True, keep_expert=True)
    X_val, y_val = worse_and_better
    clf.fit(*data, X_val=X_val, y_val=y_val)
    assert "b" not in clf.kept_experts_
    clf.set_params(learning_rate=1e-9).fit(*data, X_val=X_val, y_val=y_val)
    experts = clf.history_["val_expert_accuracy", "b"]
    expected = clf.experts_["b"].score(X_val["b"], y_val["b"])
    np.testing.assert_allclose(experts, expected)
    assert "b" not in clf.kept_experts_


@pytest.mark.parametrize("option", ["early_stopping", "keep_expert"])
def test_inner_split__frozen_head__warns_and_names_the_expert(data, option):
    fitted = _classifier(max_epochs=0).fit(*data).experts_
    experts = [("a", FrozenEstimator(fitted["a"])), ("b", fitted["b"])]
    clf = _classifier(max_epochs=1, **{option: True}).set_params(experts=experts)
    with pytest.warns(UserWarning, match=r"experts \['a'\] were trained before fit"):
        clf.fit(*data)
    # With rows that are named nothing is to be warned of.
    clf.fit(*data, X_val={"a": data[0]["a"]}, y_val={"a": data[1]["a"]})
