"""What training does, seen from outside: through JEDIClassifier and its history."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from scipy.special import entr, softmax
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.metrics import hinge_loss, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from small_fits import (
    NO_DROPOUT,
    Data,
    differ,
    few_labels,
    labelled,
    small_classifier,
    small_experts,
    weights_of,
)
from torch.nn import functional

from jedi_sklearn import JEDIClassifier

pytestmark = pytest.mark.usefixtures("global_random_states_stay")


def _bits(clf: JEDIClassifier) -> list[Any]:
    return [
        weights_of(clf.students_),
        weights_of(clf.teachers_),
        clf.history_.to_numpy(),
    ]


def _assert_same_bits(first: JEDIClassifier, second: JEDIClassifier) -> None:
    np.testing.assert_equal(_bits(first), _bits(second))


# --------------------------------------------------------------------------------------
# Before the first step.
# --------------------------------------------------------------------------------------

LINEAR: dict[str, Callable[[], Any]] = {
    "LogisticRegression": LogisticRegression,
    "LogisticRegression without intercept": lambda: LogisticRegression(
        fit_intercept=False
    ),
    "LinearSVC": LinearSVC,
    "LinearSVC without intercept": lambda: LinearSVC(fit_intercept=False),
    "SGDClassifier": SGDClassifier,
    "SGDClassifier log_loss": lambda: SGDClassifier(loss="log_loss"),
    "RidgeClassifier": RidgeClassifier,
    "Perceptron": Perceptron,
}


def _expert(kind: str, frozen: bool, data: Data, name: str) -> Any:
    expert = make_pipeline(StandardScaler(), LINEAR[kind]())
    if not frozen:
        return expert
    if "random_state" in expert[-1].get_params():
        expert[-1].set_params(random_state=0)
    return FrozenEstimator(expert.fit(*labelled(data, name)))


@pytest.mark.parametrize("frozen", [False, True], ids=["cloned", "frozen"])
@pytest.mark.parametrize("kind", LINEAR)
def test_no_epoch__students_and_teachers_predict_as_their_experts(data, kind, frozen):
    experts = [(name, _expert(kind, frozen, data, name)) for name in ("a", "b")]
    clf = small_classifier(experts, max_epochs=0).fit(*data)
    for name in ("a", "b"):
        X = data[0][name]
        expert = dict(experts)[name] if frozen else clf.experts_[name]
        for model in (clf.students_[name], clf.teachers_[name]):
            np.testing.assert_array_equal(model.predict(X), expert.predict(X))
            np.testing.assert_array_equal(model.classes_, expert.classes_)
            if kind.startswith("LogisticRegression"):
                np.testing.assert_allclose(
                    model.predict_proba(X), expert.predict_proba(X), atol=1e-6
                )
        np.testing.assert_array_equal(clf.predict({name: X})[name], expert.predict(X))


@pytest.mark.parametrize("name", ["a", "b"])
def test_no_epoch__scores_are_those_of_the_expert(data, name):
    # Of two classes the score is a difference, as the expert's own.
    clf = small_classifier([("a", LinearSVC()), ("b", LinearSVC())], max_epochs=0).fit(
        *data
    )
    X, expert = data[0][name], clf.experts_[name]
    for model in (clf.students_[name], clf.teachers_[name]):
        np.testing.assert_allclose(
            model.decision_function(X), expert.decision_function(X), atol=1e-5
        )


@pytest.mark.parametrize("size", [1e-4, 1e-8, 1e-33])
def test_feature_that_hardly_varies__drowns_nothing(size):
    X, y = load_digits(return_X_y=True)
    noise = np.random.default_rng(0).normal(size=(len(X), 1))
    X = np.hstack([X / 16, size * noise]).astype(np.float32)
    experts = [("digits", FunctionTransformer())]
    clf = JEDIClassifier(experts, max_epochs=5, random_state=0)
    clf.fit({"digits": X[:300]}, {"digits": y[:300]})
    expert = clf.experts_["digits"].score(X[300:], y[300:])
    assert clf.students_["digits"].score(X[300:], y[300:]) > expert - 0.03
    assert clf.teachers_["digits"].score(X[300:], y[300:]) > expert - 0.03


@pytest.mark.parametrize("encoder", [StandardScaler(), None], ids=["scaler", "default"])
def test_no_epoch__bare_transformer__as_the_head_fitted_for_it(data, encoder):
    experts = encoder and [(name, encoder) for name in ("a", "b")]
    clf = small_classifier(max_epochs=0).set_params(experts=experts).fit(*data)
    for name in ("a", "b"):
        X, expert = data[0][name], clf.experts_[name]
        for model in (clf.students_[name], clf.teachers_[name]):
            np.testing.assert_array_equal(model.predict(X), expert.predict(X))
            np.testing.assert_allclose(
                model.predict_proba(X), expert.predict_proba(X), atol=1e-6
            )


def test_no_epoch__history_is_empty(data):
    clf = small_classifier(max_epochs=0).fit(*data)
    assert clf.n_iter_ == len(clf.history_) == 0


# --------------------------------------------------------------------------------------
# The first epoch by hand, and the table of all.
# --------------------------------------------------------------------------------------

COLUMNS = [
    ("loss", "all"),
    *(
        (quantity, name)
        for quantity in (
            "student_loss",
            "teacher_loss",
            "distillation_loss",
            "student_accuracy",
            "teacher_accuracy",
        )
        for name in ("a", "b")
    ),
]


def test_first_epoch__losses_are_those_of_the_experts(data):
    # One batch of all rows, no dropout: what is recorded of it was computed with the
    # first weights, where student, teacher and expert are the same.
    clf = small_classifier(max_epochs=1, batch_size=1000, **NO_DROPOUT).fit(*data)
    first = clf.history_.loc[1]
    n_rows = {name: len(X) for name, X in data[0].items()}
    total = sum(n_rows.values())
    for name in ("a", "b"):
        expert = clf.experts_[name]
        X, y = labelled(data, name)
        expected = {
            "student_loss": log_loss(y, expert.predict_proba(X)),
            "teacher_loss": hinge_loss(y, expert.decision_function(X)),
            "student_accuracy": expert.score(X, y),
            "teacher_accuracy": expert.score(X, y),
            # Eq. (2): own rows count fully, others by the share of the own dataset.
            "distillation_loss": sum(
                entr(expert.predict_proba(rows)).sum()
                * (1.0 if other == name else n_rows[name] / total)
                for other, rows in data[0].items()
            )
            / total,
        }
        for quantity, value in expected.items():
            assert first[quantity, name] == pytest.approx(value, rel=1e-4), quantity


def test_first_epoch__target_temperature__sharpens_the_targets_alone(data):
    params = NO_DROPOUT | {"max_epochs": 1, "batch_size": 1000, "distill_from": "own"}
    clf = small_classifier(target_temperature=0.25, temperature=0.5, **params).fit(
        *data
    )
    n_rows = sum(map(len, data[0].values()))
    for name in ("a", "b"):
        scores = np.log(clf.experts_[name].predict_proba(data[0][name]))
        wanted = softmax(scores / 0.25, axis=1)
        given = np.log(softmax(scores / 0.5, axis=1))
        expected = -(wanted * given).sum() * 0.5**2 / n_rows
        first = clf.history_["distillation_loss", name].iloc[0]
        assert first == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("batch_size", [7, 16, 1000])
def test_history__one_row_an_epoch__loss_is_the_sum_of_its_terms(data, batch_size):
    alpha, beta, gamma = 0.7, 1.3, 0.4
    clf = small_classifier(
        max_epochs=4, batch_size=batch_size, alpha=alpha, beta=beta, gamma=gamma
    ).fit(*data)
    history = clf.history_
    assert clf.n_iter_ == len(history) == 4
    assert list(history.index) == [1, 2, 3, 4]
    assert history.index.name == "epoch"
    assert history.columns.names == ["quantity", "dataset"]
    assert list(history.columns) == COLUMNS
    assert np.isfinite(history.to_numpy()).all()
    n_rows = sum(len(X) for X in data[0].values())
    n_labelled = [len(labelled(data, name)[0]) for name in ("a", "b")]
    total = (
        alpha * history["student_loss"] @ n_labelled
        + beta * history["teacher_loss"] @ n_labelled
        + gamma * history["distillation_loss"].sum(axis=1) * n_rows
    )
    np.testing.assert_allclose(history["loss", "all"] * n_rows, total, rtol=1e-5)
    for quantity in ("student_accuracy", "teacher_accuracy"):
        assert history[quantity].stack().between(0, 1).all()


def test_history__warm_up__distillation_after_it(data):
    clf = small_classifier(max_epochs=5, warmup_epochs=2).fit(*data)
    distillation = clf.history_["distillation_loss"]
    assert (distillation.loc[:2] == 0).all(axis=None)
    assert (distillation.loc[3:] > 0).all(axis=None)


def test_warm_up__for_all_epochs__as_without_distillation(data):
    clf = small_classifier(warmup_epochs=3).fit(*data)
    _assert_same_bits(clf, small_classifier(gamma=0.0).fit(*data))


# --------------------------------------------------------------------------------------
# Losses, by name and of the user.
# --------------------------------------------------------------------------------------


def _one_vs_rest(expert: Any, X: np.ndarray, y: np.ndarray, power: int) -> float:
    """Return the mean over the rows of the binary hinges, summed over the classes.

    The one score of two classes is the difference of a pair that adds up to zero.
    """
    scores = expert.decision_function(X)
    if scores.ndim == 1:
        scores = np.column_stack([-scores, scores]) / 2
    signs = np.where(y[:, None] == expert.classes_, 1, -1)
    return float((np.maximum(0, 1 - signs * scores) ** power).sum(axis=1).mean())


@pytest.mark.parametrize("parameter", ["student_loss", "teacher_loss"])
@pytest.mark.parametrize(
    ("loss", "power"), [("one_vs_rest_hinge", 1), ("squared_hinge", 2)]
)
def test_one_vs_rest__first_epoch__by_hand(data, parameter, loss, power):
    params = {"max_epochs": 1, "batch_size": 1000, parameter: loss}
    first = small_classifier(**params, **NO_DROPOUT).fit(*data).history_.loc[1]
    clf = small_classifier(max_epochs=0).fit(*data)
    for name in ("a", "b"):
        expected = _one_vs_rest(clf.experts_[name], *labelled(data, name), power)
        assert first[parameter, name] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("parameter", ["student_loss", "teacher_loss"])
@pytest.mark.parametrize("loss", ["one_vs_rest_hinge", "squared_hinge"])
def test_one_vs_rest__is_minimised(data, parameter, loss):
    clf = small_classifier(
        max_epochs=15, batch_size=1000, **{parameter: loss}, **NO_DROPOUT
    ).fit(*data)
    for name in ("a", "b"):
        losses = clf.history_[parameter, name]
        assert losses.iloc[-1] < 0.9 * losses.iloc[0]


def _cross_entropy(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(scores, labels, reduction="none")


def _soft_cross_entropy(
    scores: torch.Tensor, targets: torch.Tensor, temperature: float
) -> torch.Tensor:
    wanted = functional.softmax(targets / temperature, dim=1)
    given = functional.log_softmax(scores / temperature, dim=1)
    return -(wanted * given).sum(dim=1) * temperature**2


@pytest.mark.parametrize(
    ("parameter", "name", "loss"),
    [
        ("student_loss", "cross_entropy", _cross_entropy),
        ("teacher_loss", "cross_entropy", _cross_entropy),
        ("distillation_loss", "cross_entropy", _soft_cross_entropy),
    ],
)
def test_callable_loss__same_bits_as_that_of_the_name(data, parameter, name, loss):
    params = {"temperature": 2.0, "schedule": "joint"}
    first = small_classifier(**{parameter: loss}, **params).fit(*data)
    second = small_classifier(**{parameter: name}, **params).fit(*data)
    _assert_same_bits(first, second)


def test_callable_loss__of_the_users_own(data):
    # Nothing but zero teaches nothing; and it is given what the docstring says.
    seen = []

    def nothing(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append((scores.shape[1], labels.dtype, scores.shape[0] == len(labels)))
        return scores.sum(dim=1) * 0

    params = {"gamma": 0.0, "beta": 0.0, "weight_decay": 0.0, "standardize": False}
    clf = small_classifier(student_loss=nothing, **params).fit(*data)
    start = small_classifier(max_epochs=0, **params).fit(*data)
    np.testing.assert_equal(weights_of(clf.students_), weights_of(start.students_))
    assert set(seen[1:]) == {(3, torch.int64, True), (2, torch.int64, True)}
    # It stays a parameter.
    assert clf.get_params()["student_loss"] is nothing


# --------------------------------------------------------------------------------------
# The share of the labelled rows in a batch.
# --------------------------------------------------------------------------------------


class Batches(Callback):
    """Keeps what is labelled in each batch of an epoch."""

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        self.n_rows: list[int] = []
        self.labels: list[list[int]] = []

    def on_batch_begin(self, net: Any, batch: Any = None, **_: Any) -> None:
        self.n_rows.append(len(batch.features))
        self.labels.append([len(labels) for labels in batch.labels])


def test_labelled_share__below_that_of_the_data__same_bits(data):
    # 70 of 120 rows have labels.
    first, second = (
        small_classifier(labelled_share=share).fit(*data) for share in (0.0, 0.58)
    )
    _assert_same_bits(first, second)


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
@pytest.mark.parametrize("share", [0.6, 0.8, 0.9])
def test_labelled_share__labelled_rows_are_added_to_each_batch(data, share, schedule):
    batches = Batches()
    clf = small_classifier(
        labelled_share=share, batch_size=20, schedule=schedule, callbacks=[batches]
    ).fit(*data)
    n_added = (share * 120 - 70) / (1 - share)
    assert n_added > 4
    # In turn: a row of dataset a is taken as often as one of b, up to rounding.
    expected = [n + round(n_added * n / 70) for n in (40, 30)]
    assert np.sum(batches.labels, axis=0).tolist() == [*expected, 0]
    assert sum(batches.n_rows) == sum(expected) + 50
    assert sum(expected) / sum(batches.n_rows) == pytest.approx(share, abs=0.01)
    # All six batches have the same of them, up to rounding.
    assert len(batches.n_rows) == 6
    assert np.ptp(batches.n_rows) <= 1
    assert (np.ptp(batches.labels, axis=0) <= 3).all()
    assert np.isfinite(clf.history_.to_numpy()).all()
    other = small_classifier(batch_size=20, schedule=schedule).fit(*data)
    assert differ(weights_of(clf.students_), weights_of(other.students_))


def test_few_labels__batches_without_a_labelled_row__teach_all_the_same(data):
    # Under dropout: 16 of 120 rows have labels, and half of 30 batches none.
    few = {name: np.where(np.arange(len(y)) < 8, y, -1) for name, y in data[1].items()}
    few["a"] = np.where(few["a"] == -1, None, few["a"])
    batches = Batches()
    clf = small_classifier(batch_size=4, units_per_class=0.5, callbacks=[batches]).fit(
        data[0], few
    )
    assert min(map(sum, batches.labels)) == 0
    assert np.isfinite(clf.history_.to_numpy()).all()


# --------------------------------------------------------------------------------------
# What is trained is what predicts.
# --------------------------------------------------------------------------------------


class Capture(Callback):
    """Keeps the network and its last batch."""

    def on_batch_begin(self, net: Any, batch: Any = None, **_: Any) -> None:
        self.batch = batch

    def on_train_end(self, net: Any, **_: Any) -> None:
        self.network = net.module_


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_after_fit__numpy_predicts_as_torch(data, offset):
    # One batch holds all rows, dataset after dataset; those without labels come last
    # in it as in the data.
    X_dict = {name: X + offset for name, X in data[0].items()}
    capture = Capture()
    clf = small_classifier(
        max_epochs=20, batch_size=1000, learning_rate=0.03, callbacks=[capture]
    ).fit(X_dict, data[1])
    with torch.no_grad():
        scores = capture.network.eval()(capture.batch)
    starts = np.cumsum([0, *(len(X) for X in X_dict.values())])
    for k, name in enumerate(clf.students_):
        for models, given in (
            (clf.students_, scores.students),
            (clf.teachers_, scores.targets),
        ):
            expected = softmax(given[k].numpy().astype(float), axis=1)
            for start, X in zip(starts, X_dict.values(), strict=False):
                np.testing.assert_allclose(
                    models[name].predict_proba(X),
                    expected[start : start + len(X)],
                    atol=1e-5 * max(1.0, offset / 10),
                )
        # It has moved away from the expert.
        start = clf.experts_[name].predict_proba(X_dict[name])
        assert (
            np.abs(clf.students_[name].predict_proba(X_dict[name]) - start).max() > 0.01
        )


def test_training__students_beat_their_experts_by_distillation():
    # Few labels: a teacher sees what the other experts know of them, and teaches it
    # on the many rows without.
    experts, X, y, X_train, y_train = few_labels()

    def accuracies(gamma: float) -> np.ndarray:
        clf = small_classifier(experts, max_epochs=12, batch_size=128, gamma=gamma)
        clf.fit(X_train, y_train)
        return np.array(
            [
                [models[name].score(X[name][400:], y[name][400:]) for name in X]
                for models in (clf.experts_, clf.students_, clf.teachers_)
            ]
        )

    expert, student, teacher = accuracies(gamma=2.0)
    # On each but for chance: 600 rows tell apart no less.
    assert (student > expert - 0.01).all()
    assert student.mean() > expert.mean() + 0.01
    assert (teacher > student + 0.02).all()
    _, without, _ = accuracies(gamma=0.0)
    assert student.mean() > without.mean() + 0.01


# --------------------------------------------------------------------------------------
# Who learns from whom.
# --------------------------------------------------------------------------------------


def test_gamma_zero_or_nothing_to_distil_from__same_bits_without_third_term(data):
    first = small_classifier(gamma=0.0).fit(*data)
    second = small_classifier(distill_from=None).fit(*data)
    _assert_same_bits(first, second)
    assert (first.history_["distillation_loss"] == 0).all(axis=None)
    with_it = small_classifier().fit(*data)
    assert (with_it.history_["distillation_loss"] > 0).all(axis=None)
    assert differ(weights_of(first.students_), weights_of(with_it.students_))


def test_distill_from_every_name__same_bits_as_all(data):
    first = small_classifier().fit(*data)
    second = small_classifier(distill_from=["u", "a", "b"]).fit(*data)
    _assert_same_bits(first, second)


@pytest.mark.parametrize("distill_from", ["own", ["b"], ["u"]])
def test_distill_from__rows_of_other_datasets_do_not_matter(data, distill_from):
    # What students learn from unlabelled rows comes by distillation alone: changing
    # rows that are no source changes nothing.
    X, y = data
    moved = X | {"u": X["u"] + np.arange(5.0)}
    params = NO_DROPOUT | {"standardize": False, "distill_from": distill_from}
    fitted = small_classifier(**params).fit(X, y)
    again = small_classifier(**params).fit(moved, y)
    matters = distill_from == ["u"]
    assert differ(weights_of(fitted.students_), weights_of(again.students_)) == matters


def test_distill_from_own__third_term_counts_own_rows_alone(data):
    clf = small_classifier(max_epochs=1, learning_rate=1e-12, distill_from="own").fit(
        *data
    )
    # Nothing has moved yet: the teachers say what the experts say, and the term is the
    # mean over all rows of the entropy of that, taken on own rows.
    n_rows = sum(map(len, data[0].values()))
    for name in ("a", "b"):
        p = clf.experts_[name].predict_proba(data[0][name])
        expected = -(p * np.log(p)).sum() / n_rows
        given = clf.history_["distillation_loss", name].iloc[0]
        assert given == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "change",
    [{"teacher_loss": "cross_entropy"}, {"units_per_class": 0.1}],
    ids=["teacher_loss", "units_per_class"],
)
def test_gamma_and_beta_zero__students_do_not_depend_on_teachers(data, change):
    # With beta above 0 they do, as both train the adjustments.
    params = NO_DROPOUT | {"gamma": 0.0, "beta": 0.0}
    first = small_classifier(**params).fit(*data)
    second = small_classifier(**params | change).fit(*data)
    np.testing.assert_equal(weights_of(first.students_), weights_of(second.students_))
    third = small_classifier(**params | {"beta": 1.0}).fit(*data)
    assert differ(weights_of(first.students_), weights_of(third.students_))


def test_gamma_zero__teachers_do_not_depend_on_temperature_or_distillation_loss(data):
    first = small_classifier(gamma=0.0).fit(*data)
    second = small_classifier(gamma=0.0, temperature=3.0, distillation_loss="mse").fit(
        *data
    )
    _assert_same_bits(first, second)


@pytest.mark.parametrize("model", ["students_", "teachers_"])
def test_weight_of_term_zero__linear_map_stays(data, model):
    weights = {"alpha": 1.0, "beta": 1.0, "gamma": 0.0}
    weights["alpha" if model == "students_" else "beta"] = 0.0
    clf = small_classifier(weight_decay=0.0, **weights).fit(*data)
    start = small_classifier(weight_decay=0.0, max_epochs=0, **weights).fit(*data)
    for name in ("a", "b"):
        np.testing.assert_array_equal(
            getattr(clf, model)[name].coef_, getattr(start, model)[name].coef_
        )
    other = "teachers_" if model == "students_" else "students_"
    assert (getattr(clf, other)["a"].coef_ != getattr(start, other)["a"].coef_).any()


def test_unlabelled_dataset__teaches_students_by_distillation_alone(data):
    X_dict, y_dict = data
    fewer = {name: X_dict[name] for name in y_dict}
    params = NO_DROPOUT | {"batch_size": 1000, "standardize": False, "max_epochs": 30}

    def change(gamma: float) -> float:
        """Return how far the dataset without labels moves the students."""
        first, second = (
            small_classifier(gamma=gamma, **params).fit(X, y_dict)
            for X in (X_dict, fewer)
        )
        return max(
            np.abs(first.students_[name].coef_ - second.students_[name].coef_).max()
            for name in y_dict
        )

    # More rows without labels divide the loss by more, but the steps of AdamW do not
    # depend on its size.
    assert change(gamma=0.0) < 1e-4
    assert change(gamma=3.0) > 1e-2


def test_one_dataset__one_student_and_one_teacher(data):
    X, y = data[0]["b"], data[1]["b"]
    clf = small_classifier([("b", StandardScaler())]).fit({"b": X}, {"b": y})
    assert list(clf.students_) == list(clf.teachers_) == ["b"]
    assert (clf.history_["distillation_loss"] > 0).all(axis=None)
    # The teacher sees what the student sees.
    student, teacher = clf.students_["b"], clf.teachers_["b"]
    assert student.coef_.shape == teacher.coef_.shape
    np.testing.assert_equal(
        student.branches[0].adjustment, teacher.branches[0].adjustment
    )
    assert (clf.predict({"b": X})["b"] == student.predict(X)).all()


def test_one_plain_array__as_a_dict_of_one(data):
    X, y = data[0]["b"], data[1]["b"]
    experts = [("b", StandardScaler())]
    _assert_same_bits(
        small_classifier(experts).fit(X, y),
        small_classifier(experts).fit({"b": X}, {"b": y}),
    )


# --------------------------------------------------------------------------------------
# Random states.
# --------------------------------------------------------------------------------------


def test_same_seed__same_bits_whatever_ran_before(data):
    first = small_classifier().fit(*data)
    generator = torch.Generator()
    torch.rand(5, generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        torch.rand(100)
        second = small_classifier().fit(*data)
    # And after a fit of another kind.
    small_classifier(random_state=5, gamma=0.0, max_epochs=1).fit(*data)
    third = small_classifier().fit(*data)
    _assert_same_bits(first, second)
    _assert_same_bits(first, third)


def test_same_seed__same_estimator_fitted_again__same_bits(data):
    clf = small_classifier().fit(*data)
    before = _bits(clf)
    np.testing.assert_equal(_bits(clf.fit(*data)), before)


def test_other_seed__other_bits(data):
    first, second = (small_classifier(random_state=seed).fit(*data) for seed in (0, 1))
    assert differ(weights_of(first.students_), weights_of(second.students_))


def test_seed__reaches_experts(data):
    # Every random state that is None, so that all is determined by the one seed.
    clfs = [
        small_classifier(random_state=seed, max_epochs=0)
        .set_params(experts=None)
        .fit(*data)
        for seed in (0, 0, 1)
    ]
    X = data[0]["a"]
    first, second, third = (clf.experts_["a"].predict_proba(X) for clf in clfs)
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


def test_same_seed__n_jobs__same_bits(data):
    clfs = [
        small_classifier(n_jobs=n_jobs).set_params(experts=None).fit(*data)
        for n_jobs in (None, 2)
    ]
    _assert_same_bits(*clfs)


def test_same_seed__in_threads__same_bits(data):
    params = [{"random_state": 0}, {"random_state": 1}] * 2
    alone = [small_classifier(**p).fit(*data) for p in params[:2]]
    together = joblib.Parallel(n_jobs=2, backend="threading")(
        joblib.delayed(small_classifier(**p).fit)(*data) for p in params
    )
    for clf, expected in zip(together, alone * 2, strict=True):
        _assert_same_bits(clf, expected)


def test_order_of_datasets__same_bits(data):
    X_dict, y_dict = data
    backwards = [dict(reversed(d.items())) for d in (X_dict, y_dict)]
    first = small_classifier().fit(X_dict, y_dict)
    second = small_classifier(small_experts()[::-1]).fit(*backwards)
    _assert_same_bits(first, second)


def test_random_state_none__another_fit_each_time(data):
    # That the global random states stay as they are is checked for all tests here.
    first, second = (small_classifier(random_state=None).fit(*data) for _ in range(2))
    assert differ(weights_of(first.students_), weights_of(second.students_))


def test_random_state_instance__goes_on_from_fit_to_fit(data):
    state = np.random.RandomState(7)
    first, second = (small_classifier(random_state=state).fit(*data) for _ in range(2))
    again = small_classifier(random_state=np.random.RandomState(7)).fit(*data)
    _assert_same_bits(first, again)
    assert differ(weights_of(first.students_), weights_of(second.students_))


def test_default_dtype_of_torch__changes_nothing(data):
    first = small_classifier().fit(*data)
    torch.set_default_dtype(torch.float64)
    try:
        second = small_classifier().fit(*data)
    finally:
        torch.set_default_dtype(torch.float32)
    _assert_same_bits(first, second)


def test_metadata_routing__changes_nothing(data):
    first = small_classifier().fit(*data)
    with config_context(enable_metadata_routing=True):
        second = small_classifier().fit(*data)
    _assert_same_bits(first, second)


# --------------------------------------------------------------------------------------
# Validation rows.
# --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def held_out(data) -> Data:
    rng = np.random.default_rng(1)
    X_dict = {n: data[0][n] + rng.normal(size=data[0][n].shape) for n in ("a", "b")}
    y_dict = {"a": data[1]["a"].copy(), "b": data[1]["b"]}
    y_dict["a"][::3] = None
    return X_dict, y_dict


def test_validation__accuracies_of_experts_students_and_teachers(data, held_out):
    clf = small_classifier(max_epochs=5)
    clf.fit(*data, X_val=held_out[0], y_val=held_out[1])
    history = clf.history_
    for name in ("a", "b"):
        X, y = labelled(held_out, name)
        expert = clf.experts_[name].score(X, y)
        np.testing.assert_allclose(history["val_expert_accuracy", name], expert)
        for model in ("student", "teacher"):
            last = getattr(clf, f"{model}s_")[name].score(X, y)
            assert history[f"val_{model}_accuracy", name].iloc[-1] == pytest.approx(
                last
            )
    assert list(history.columns[: len(COLUMNS)]) == COLUMNS
    assert len(history.columns) == len(COLUMNS) + 6


def test_validation__does_not_influence_training(data, held_out):
    with_them = small_classifier().fit(*data, X_val=held_out[0], y_val=held_out[1])
    without = small_classifier().fit(*data)
    np.testing.assert_equal(
        weights_of(with_them.students_), weights_of(without.students_)
    )
    np.testing.assert_equal(
        weights_of(with_them.teachers_), weights_of(without.teachers_)
    )
    np.testing.assert_array_equal(
        with_them.history_[without.history_.columns], without.history_
    )


@pytest.mark.parametrize("name", ["a", "b"])
def test_validation__of_one_dataset__no_number_for_the_other(data, held_out, name):
    clf = small_classifier()
    clf.fit(*data, X_val={name: held_out[0][name]}, y_val={name: held_out[1][name]})
    other = {"a": "b", "b": "a"}[name]
    X, y = labelled(held_out, name)
    for model in ("expert", "student", "teacher"):
        of_model = clf.history_[f"val_{model}_accuracy"]
        assert of_model[other].isna().all()
        last = getattr(clf, f"{model}s_")[name].score(X, y)
        assert of_model[name].iloc[-1] == pytest.approx(last)


# --------------------------------------------------------------------------------------
# Callbacks, device, progress.
# --------------------------------------------------------------------------------------


class Count(Callback):
    """Counts what it is called for."""

    def __init__(self) -> None:
        self.epochs = self.batches = 0

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        self.epochs += 1

    def on_batch_end(self, net: Any, **_: Any) -> None:
        self.batches += 1


class Interrupt(Callback):
    """Interrupts as the user does, in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_batch_end(self, net: Any, **_: Any) -> None:
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


def test_callbacks__called_once_an_epoch_and_batch(data):
    count = Count()
    clf = small_classifier(max_epochs=4, batch_size=50, callbacks=[count]).fit(*data)
    assert (count.epochs, count.batches) == (4, 4 * 3)
    assert clf.callbacks == [count]


def test_callbacks__named_pairs(data):
    count = Count()
    small_classifier(callbacks=[("count", count)]).fit(*data)
    assert count.epochs == 3


def test_history__of_batches__kept_where_a_callback_notes_something(data):
    class Notes(Callback):
        def __init__(self, note: bool) -> None:
            self.note = note

        def on_batch_end(self, net: Any, **_: Any) -> None:
            if self.note:
                net.history.record_batch("noted", 1)

        def on_train_end(self, net: Any, **_: Any) -> None:
            self.batches = [epoch["batches"] for epoch in net.history]

    for note in (True, False):
        notes = Notes(note)
        small_classifier(max_epochs=2, batch_size=40, callbacks=[notes]).fit(*data)
        expected = [{"noted": 1}] * 3 if note else [{}]
        assert notes.batches == [expected] * 2


class LearningRates(Callback):
    """Keeps the learning rate of each epoch."""

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.rates: list[float] = []

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        self.rates.append(net.optimizer_.param_groups[0]["lr"])


@pytest.mark.parametrize(("width", "expected"), [(200, 4e-3), (500, 1e-3)])
def test_learning_rate__auto__smaller_for_more_features(data, width, expected):
    random = np.random.default_rng(0)
    X = {name: random.normal(size=(len(x), width)) for name, x in data[0].items()}
    experts = [(name, FunctionTransformer()) for name in ("a", "b")]
    clfs, rates = [], LearningRates()
    for rate in ("auto", expected):
        params = {"learning_rate": rate, "max_epochs": 1, "callbacks": [rates]}
        clfs.append(small_classifier(experts, **params).fit(X, data[1]))
        assert rates.rates == pytest.approx([expected])
    np.testing.assert_equal(*(weights_of(clf.students_) for clf in clfs))


def test_learning_rate__constant(data):
    rates = LearningRates()
    small_classifier(learning_rate=0.02, max_epochs=4, callbacks=[rates]).fit(*data)
    assert rates.rates == [0.02] * 4


def test_learning_rate__cosine__falls_along_half_a_period(data):
    rates = LearningRates()
    small_classifier(
        learning_rate=0.02,
        learning_rate_decay="cosine",
        max_epochs=4,
        callbacks=[rates],
    ).fit(*data)
    expected = 0.02 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2
    np.testing.assert_allclose(rates.rates, expected)


@pytest.mark.parametrize("step_every", ["epoch", "batch"])
def test_callbacks__schedule_of_the_learning_rate(data, step_every):
    # A rate that falls to nothing after the first step leaves the weights as they were.
    def schedule() -> LRScheduler:
        return LRScheduler(
            torch.optim.lr_scheduler.LambdaLR,
            lr_lambda=lambda step: 1.0 if step < 1 else 0.0,
            step_every=step_every,
        )

    params = {"batch_size": 1000, "weight_decay": 0.0}
    once = small_classifier(max_epochs=1, callbacks=[schedule()], **params).fit(*data)
    more = small_classifier(max_epochs=4, callbacks=[schedule()], **params).fit(*data)
    np.testing.assert_equal(weights_of(more.students_), weights_of(once.students_))
    always = small_classifier(max_epochs=4, **params).fit(*data)
    assert differ(weights_of(always.students_), weights_of(once.students_))


def test_callbacks__early_stopping__keeps_what_was_trained(data):
    stop = EarlyStopping(
        monitor="train_loss", patience=2, threshold=1e9, threshold_mode="abs", sink=str
    )
    clf = small_classifier(max_epochs=50, callbacks=[stop]).fit(*data)
    assert clf.n_iter_ == len(clf.history_) < 50
    shorter = small_classifier(max_epochs=clf.n_iter_).fit(*data)
    _assert_same_bits(clf, shorter)


@pytest.mark.parametrize("validation", [False, True])
def test_interrupt_within_an_epoch__history_of_the_whole_ones(
    data, held_out, validation
):
    clf = small_classifier(max_epochs=5, callbacks=[Interrupt(epoch=3)])
    X_val, y_val = held_out if validation else (None, None)
    clf.fit(*data, X_val=X_val, y_val=y_val)
    assert clf.n_iter_ == len(clf.history_) == 2
    assert np.isfinite(clf.history_.to_numpy()).all()
    assert np.isfinite(clf.students_["a"].predict_proba(data[0]["a"])).all()


def test_interrupt_within_the_first_epoch__empty_history(data):
    clf = small_classifier(callbacks=[Interrupt(epoch=1)]).fit(*data)
    assert clf.n_iter_ == len(clf.history_) == 0


@pytest.mark.parametrize("max_epochs", [1, 5])
def test_divergence__error_and_nothing_half_set(data, max_epochs):
    clf = small_classifier(learning_rate=9e17, max_epochs=max_epochs)
    with pytest.raises(ValueError, match=r"diverged.*learning_rate"):
        clf.fit(*data)
    assert not hasattr(clf, "students_")
    assert not hasattr(clf, "history_")


@pytest.mark.skipif(torch.cuda.is_available(), reason="auto is then not the CPU")
def test_device_auto__without_cuda__is_cpu(data):
    _assert_same_bits(
        small_classifier(device="auto").fit(*data),
        small_classifier(device="cpu").fit(*data),
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_device_cuda__learns_what_the_cpu_learns(data):
    params = NO_DROPOUT | {"batch_size": 1000}
    there = small_classifier(device="cuda", **params).fit(*data)
    here = small_classifier(device="cpu", **params).fit(*data)
    for name, student in here.students_.items():
        X = data[0][name]
        np.testing.assert_allclose(
            there.students_[name].predict_proba(X), student.predict_proba(X), atol=1e-3
        )


@pytest.mark.parametrize("device", ["meta", "abacus", "cuda:99", 1.5])
def test_device__unknown_or_absent__error(data, device):
    clf = small_classifier(device=device)
    with pytest.raises(ValueError, match="device="):
        clf.fit(*data)
    assert not hasattr(clf, "students_")


def test_verbose__progress_on_stderr_alone(data, capsys):
    small_classifier(max_epochs=12, verbose=1).fit(*data)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert re.search(r"12/12 \[[^]]* epochs/s, loss \d\.\d{4}\]", err)


def test_not_verbose__silent(data, capsys):
    small_classifier().fit(*data)
    assert capsys.readouterr() == ("", "")
