"""The paper's alternatives, by the estimator: teacher inputs, targets, schedules."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import hinge_loss, log_loss
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback, EarlyStopping
from small_fits import (
    NO_DROPOUT,
    ONE_BATCH,
    Data,
    differ,
    labelled,
    small_classifier,
    small_experts,
    weights_of,
)

from jedi_sklearn import JEDIClassifier

TEACHER_INPUTS = ["adjusted", "base", "predictions", "adjusted+predictions"]
pytestmark = pytest.mark.usefixtures("global_random_states_stay")


def _linear_weights(models: dict[str, Any]) -> list[Any]:
    return [(m.coef_, m.intercept_) for m in models.values()]


def _assert_same_bits(first: JEDIClassifier, second: JEDIClassifier) -> None:
    for models in ("students_", "teachers_"):
        np.testing.assert_equal(
            weights_of(getattr(first, models)), weights_of(getattr(second, models))
        )
    np.testing.assert_array_equal(first.history_, second.history_)


def _scores(model: Any, X: np.ndarray) -> np.ndarray:
    """Return the scores with one column a class, also of two classes."""
    return model.scores(model.embed(X))


# --------------------------------------------------------------------------------------
# Teacher inputs: before the first step, and after fit.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_no_epoch__every_teacher_input__all_predict_as_their_experts(
    data, teacher_input, schedule
):
    clf = small_classifier(max_epochs=0, teacher_input=teacher_input, schedule=schedule)
    clf.fit(*data)
    for name, expert in clf.experts_.items():
        for model in (clf.students_[name], clf.teachers_[name]):
            for X in data[0].values():
                np.testing.assert_array_equal(model.predict(X), expert.predict(X))
                np.testing.assert_allclose(
                    model.predict_proba(X), expert.predict_proba(X), atol=1e-6
                )


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_no_epoch__random_teachers__students_alone_predict_as_their_experts(
    data, teacher_input
):
    clf = small_classifier(
        max_epochs=0, teacher_input=teacher_input, teacher_start="random"
    )
    clf.fit(*data)
    for name, expert in clf.experts_.items():
        X = data[0][name]
        expected = expert.predict_proba(X)
        np.testing.assert_allclose(
            clf.students_[name].predict_proba(X), expected, atol=1e-6
        )
        assert np.abs(clf.teachers_[name].predict_proba(X) - expected).max() > 0.1
    other = small_classifier(
        max_epochs=0,
        teacher_input=teacher_input,
        teacher_start="random",
        random_state=1,
    ).fit(*data)
    assert differ(weights_of(clf.teachers_), weights_of(other.teachers_))


class Capture(Callback):
    """Keeps the network and its last batch."""

    def on_batch_begin(self, net: Any, batch: Any = None, **_: Any) -> None:
        self.batch = batch

    def on_train_end(self, net: Any, **_: Any) -> None:
        self.network = net.module_


@pytest.mark.parametrize("teacher_start", ["expert", "random"])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_after_fit__every_teacher_input__numpy_predicts_as_torch(
    data, teacher_input, standardize, teacher_start
):
    # One batch holds all rows, dataset after dataset, those without labels last.
    capture = Capture()
    clf = small_classifier(
        max_epochs=10,
        batch_size=1000,
        learning_rate=0.03,
        teacher_input=teacher_input,
        teacher_start=teacher_start,
        standardize=standardize,
        callbacks=[capture],
    ).fit(*data)
    with torch.no_grad():
        scores = capture.network.eval()(capture.batch)
    starts = np.cumsum([0, *(len(X) for X in data[0].values())])
    for k, name in enumerate(clf.students_):
        for models, given in (
            (clf.students_, scores.students),
            (clf.teachers_, scores.targets),
        ):
            expected = softmax(given[k].numpy().astype(float), axis=1)
            for start, X in zip(starts, data[0].values(), strict=False):
                np.testing.assert_allclose(
                    models[name].predict_proba(X),
                    expected[start : start + len(X)],
                    atol=1e-5,
                )


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_after_fit__alternating__numpy_predicts_as_torch(data, teacher_input):
    # Targets are those of a phase's start; the teachers themselves see the students
    # as they have become.
    capture = Capture()
    clf = small_classifier(
        max_epochs=8,
        n_rounds=2,
        batch_size=1000,
        learning_rate=0.03,
        schedule="alternating",
        teacher_input=teacher_input,
        callbacks=[capture],
    ).fit(*data)
    with torch.no_grad():
        scores = capture.network.eval()(capture.batch, distil=False)
    for k, name in enumerate(clf.students_):
        X, _ = labelled(data, name)
        for models, given in (
            (clf.students_, scores.students),
            (clf.teachers_, scores.teachers),
        ):
            np.testing.assert_allclose(
                models[name].predict_proba(X),
                softmax(given[k].numpy().astype(float), axis=1),
                atol=1e-5,
            )


# --------------------------------------------------------------------------------------
# What the teachers see.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_teacher_input__branches_hold_what_the_teachers_see(data, teacher_input):
    clf = small_classifier(teacher_input=teacher_input).fit(*data)
    for teacher in clf.teachers_.values():
        # In NumPy a teacher of predictions is one of adjusted embeddings.
        assert [branch.name for branch in teacher.branches] == ["a", "b"]
        assert teacher.coef_.shape == (len(teacher.classes_), 5 + 3)
        for branch in teacher.branches:
            student = clf.students_[branch.name]
            if teacher_input == "base":
                assert not branch.adjustment.up.coef.any()
                assert not branch.adjustment.up.intercept.any()
            else:
                np.testing.assert_equal(
                    branch.adjustment, student.branches[0].adjustment
                )


@pytest.mark.parametrize(
    "change", [{"alpha": 0.0}, {"gamma": 2.0}, {"gamma": 0.0}], ids=str
)
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_teacher_input__only_base__teachers_do_not_depend_on_students(
    data, teacher_input, change
):
    # Without dropout, so that the masks of the one do not move those of the other.
    params = {"teacher_input": teacher_input, **NO_DROPOUT}
    first = small_classifier(**params).fit(*data)
    second = small_classifier(**params | change).fit(*data)
    assert differ(weights_of(first.students_), weights_of(second.students_))
    changed = differ(
        _linear_weights(first.teachers_), _linear_weights(second.teachers_)
    )
    assert changed == (teacher_input != "base")


def test_base__without_distillation__students_do_not_depend_on_teachers(data):
    # Teachers of adjusted embeddings train the adjustments, too; these do not.
    params = {"teacher_input": "base", "gamma": 0.0, **NO_DROPOUT}
    first, second = (small_classifier(beta=b, **params).fit(*data) for b in (0.0, 2.0))
    np.testing.assert_equal(weights_of(first.students_), weights_of(second.students_))
    assert differ(_linear_weights(first.teachers_), _linear_weights(second.teachers_))


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_predictions__teachers_are_linear_in_the_scores_of_all_students(
    data, teacher_input
):
    clf = small_classifier(
        max_epochs=10, learning_rate=0.03, teacher_input=teacher_input
    ).fit(*data)
    X = np.vstack(list(data[0].values()))
    seen = np.hstack([_scores(student, X) for student in clf.students_.values()])
    seen = np.hstack([seen, np.ones((len(X), 1))])
    for teacher in clf.teachers_.values():
        said = _scores(teacher, X)
        rest = said - seen @ np.linalg.lstsq(seen, said, rcond=None)[0]
        # Eight features are more than five scores can tell.
        assert (np.abs(rest).max() < 1e-4) == (teacher_input == "predictions")


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_predictions__expert_that_has_no_student__is_not_seen(data, teacher_input):
    lender = FunctionTransformer(lambda X: X[:, :2] ** 2 / 10)
    params = {
        "teacher_input": teacher_input,
        "batch_size": 1000,
        "max_epochs": 5,
        **NO_DROPOUT,
    }
    without = small_classifier(**params).fit(*data)
    with_it = small_classifier(
        [*small_experts(), ("z", FrozenEstimator(lender.fit(data[0]["a"])))], **params
    ).fit(*data)
    X = data[0]["u"]
    moved = max(
        np.abs(_scores(with_it.teachers_[n], X) - _scores(teacher, X)).max()
        for n, teacher in without.teachers_.items()
    )
    assert (moved < 1e-4) == (teacher_input == "predictions")


# --------------------------------------------------------------------------------------
# Targets.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_target_dropout__matters_where_there_is_dropout(data, teacher_input):
    params = {"teacher_input": teacher_input, "max_epochs": 2}
    clean, dropped = (
        small_classifier(target_dropout=target_dropout, **params, **NO_DROPOUT).fit(
            *data
        )
        for target_dropout in (False, True)
    )
    for first, second in zip(
        _linear_weights(clean.students_),
        _linear_weights(dropped.students_),
        strict=True,
    ):
        for one, two in zip(first, second, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-5)
    params |= {"units_per_class": 0.5}
    clean, dropped = (
        small_classifier(target_dropout=target_dropout, **params).fit(*data)
        for target_dropout in (False, True)
    )
    assert differ(weights_of(clean.students_), weights_of(dropped.students_))


@pytest.mark.parametrize("target_gradient", [False, True])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_target_gradient__distillation_moves_the_teachers(
    data, teacher_input, target_gradient
):
    params = {"teacher_input": teacher_input, "target_gradient": target_gradient}
    params |= {"beta": 0.0, "weight_decay": 0.0, "standardize": False}
    start = small_classifier(max_epochs=0, **params).fit(*data)
    clf = small_classifier(gamma=2.0, **params).fit(*data)
    assert differ(weights_of(start.students_), weights_of(clf.students_))
    if "predictions" not in teacher_input:
        moved = differ(_linear_weights(start.teachers_), _linear_weights(clf.teachers_))
        assert moved == target_gradient
    # In either case as if it were not there where nothing is distilled.
    without = small_classifier(gamma=0.0, **params).fit(*data)
    params["target_gradient"] = not target_gradient
    _assert_same_bits(without, small_classifier(gamma=0.0, **params).fit(*data))


# --------------------------------------------------------------------------------------
# On disk, and going on from the last fit.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_pickle__every_teacher_input__same_bits(data, teacher_input, schedule):
    clf = small_classifier(teacher_input=teacher_input, schedule=schedule).fit(*data)
    loaded = pickle.loads(pickle.dumps(clf))
    _assert_same_bits(loaded, clf)
    for models in ("students_", "teachers_"):
        for name, model in getattr(clf, models).items():
            X = data[0][name]
            np.testing.assert_array_equal(
                getattr(loaded, models)[name].predict_proba(X), model.predict_proba(X)
            )


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_warm_start__every_teacher_input__starts_where_the_last_fit_ended(
    data, teacher_input, standardize, schedule
):
    clf = small_classifier(
        teacher_input=teacher_input,
        teacher_start="random",
        standardize=standardize,
        warm_start=True,
        **ONE_BATCH,
    ).fit(*data)
    students, teachers = clf.students_, clf.teachers_
    # The last of two phases has the one epoch, and trains the students.
    clf.set_params(schedule=schedule, n_rounds=1, max_epochs=1).fit(*data)
    assert clf.n_iter_ == 1
    first = clf.history_.loc[1]
    n_rows = {name: len(X) for name, X in data[0].items()}
    total = sum(n_rows.values())
    for name in ("a", "b"):
        X, y = labelled(data, name)
        expected = {
            "student_loss": log_loss(y, students[name].predict_proba(X)),
            "teacher_loss": hinge_loss(y, teachers[name].decision_function(X)),
            "student_accuracy": students[name].score(X, y),
            "teacher_accuracy": teachers[name].score(X, y),
            "distillation_loss": -sum(
                (
                    teachers[name].predict_proba(rows)
                    * log_softmax(_scores(students[name], rows), axis=1)
                ).sum()
                * (1.0 if other == name else n_rows[name] / total)
                for other, rows in data[0].items()
            )
            / total,
        }
        for quantity, value in expected.items():
            assert first[quantity, name] == pytest.approx(value, rel=1e-4), quantity


@pytest.mark.parametrize("other", TEACHER_INPUTS[1:])
def test_warm_start__with_another_teacher_input__is_refused_by_name(data, other):
    clf = small_classifier(warm_start=True).fit(*data)
    before = dict(vars(clf.set_params(teacher_input=other)))
    with pytest.raises(
        ValueError, match=rf"teacher_input.*'adjusted'.*'{other}'".replace("+", r"\+")
    ):
        clf.fit(*data)
    assert all(vars(clf)[name] is value for name, value in before.items())
    # Anew it may be any.
    clf.set_params(warm_start=False).fit(*data)


def test_warm_start__history_is_that_of_the_last_fit(data):
    X, y = data
    clf = small_classifier(warm_start=True).fit(X, y, X_val=X, y_val=y)
    scored = clf.history_
    clf.fit(X, y)
    plain = small_classifier().fit(X, y).history_
    assert len(scored.columns) > len(clf.history_.columns)
    assert list(clf.history_.columns) == list(plain.columns)
    assert clf.history_.columns.names == plain.columns.names
    assert clf.history_.index.equals(plain.index)
    assert np.isfinite(clf.history_.to_numpy()).all()


def test_warm_start__random_teachers__do_not_start_anew(data):
    params = {"standardize": False, "teacher_start": "random", "warm_start": True}
    clf = small_classifier(**params).fit(*data)
    before = weights_of(clf.students_), weights_of(clf.teachers_)
    clf.set_params(max_epochs=0, random_state=1).fit(*data)
    np.testing.assert_equal(
        (weights_of(clf.students_), weights_of(clf.teachers_)), before
    )


# --------------------------------------------------------------------------------------
# Students and teachers in turn.
# --------------------------------------------------------------------------------------


class Phases(Callback):
    """Keeps all weights at the start of each phase and after each of its epochs."""

    def __init__(self) -> None:
        self.phases: list[list[dict[str, np.ndarray]]] = []

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.phases.append([self._weights(net)])

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        self.phases[-1].append(self._weights(net))

    def _weights(self, net: Any) -> dict[str, np.ndarray]:
        return {
            name: weights.numpy().copy()
            for name, weights in net.module_.state_dict().items()
            if not name.startswith("first.")
        }


def _of(models: str, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the weights of the teachers, or of the students with adjustments."""
    return {
        name: values
        for name, values in weights.items()
        if name.startswith("teachers.") == (models == "teachers")
    }


OTHER = {"teachers": "students", "students": "teachers"}


def _alternating(experts: Any = None, **params: Any) -> JEDIClassifier:
    return small_classifier(experts, schedule="alternating", **params)


@pytest.mark.parametrize("restart_rounds", [False, True])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_alternating__each_phase_trains_one_side_alone(
    data, teacher_input, restart_rounds
):
    seen = Phases()
    _alternating(
        max_epochs=8,
        n_rounds=2,
        teacher_input=teacher_input,
        restart_rounds=restart_rounds,
        callbacks=[seen],
    ).fit(*data)
    assert [len(phase) for phase in seen.phases] == [1 + 2] * 4
    first = seen.phases[0][0]
    for number, (start, *epochs) in enumerate(seen.phases):
        trained = ["teachers", "students"][number % 2]
        fixed = OTHER[trained]
        last = start
        for weights in epochs:
            np.testing.assert_equal(_of(fixed, weights), _of(fixed, start))
            for name, values in _of(trained, weights).items():
                assert (values != last[name]).any(), name
            last = weights
        if number == 0:
            continue
        end_of_last = seen.phases[number - 1][-1]
        np.testing.assert_equal(_of(fixed, start), _of(fixed, end_of_last))
        np.testing.assert_equal(
            _of(trained, start), _of(trained, first if restart_rounds else end_of_last)
        )


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_alternating__one_round_of_one_epoch__trains_the_students_alone(
    data, teacher_input
):
    # The odd epoch is that of the last phase.
    seen = Phases()
    params = {"n_rounds": 1, "teacher_input": teacher_input, "callbacks": [seen]}
    clf = _alternating(max_epochs=1, **params).fit(*data)
    assert [len(phase) for phase in seen.phases] == [1, 2]
    ((start,), (_, end)) = seen.phases
    np.testing.assert_equal(_of("teachers", end), _of("teachers", start))
    assert differ(_of("students", end), _of("students", start))
    assert clf.n_iter_ == 1


def test_alternating__one_round_of_two_epochs__teachers_then_students(data):
    seen = Phases()
    clf = _alternating(max_epochs=2, n_rounds=1, callbacks=[seen]).fit(*data)
    (start, teachers_trained), (second_start, end) = seen.phases
    np.testing.assert_equal(_of("students", teachers_trained), _of("students", start))
    assert differ(_of("teachers", teachers_trained), _of("teachers", start))
    np.testing.assert_equal(second_start, teachers_trained)
    np.testing.assert_equal(_of("teachers", end), _of("teachers", teachers_trained))
    assert differ(_of("students", end), _of("students", start))
    assert clf.n_iter_ == 2


class Targets(Callback):
    """Keeps for each batch what the network says of it, without dropout."""

    def __init__(self) -> None:
        self.phases: list[list[Any]] = []

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.phases.append([])

    @torch.no_grad()
    def on_batch_begin(self, net: Any, batch: Any = None, **_: Any) -> None:
        self.batch = batch
        self.phases[-1].append(net.module_.eval()(batch))
        net.module_.train()


@pytest.mark.parametrize("target_gradient", [False, True])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_alternating__targets_are_those_of_the_start_of_the_phase(
    data, teacher_input, target_gradient
):
    seen = Targets()
    _alternating(
        max_epochs=16,
        n_rounds=2,
        learning_rate=0.03,
        batch_size=1000,
        teacher_input=teacher_input,
        target_gradient=target_gradient,
        callbacks=[seen],
    ).fit(*data)
    for students_phase in seen.phases[1::2]:
        assert len(students_phase) == 4
        start = students_phase[0]
        for k, own in enumerate(seen.batch.labelled[:2]):
            # At the start the targets are what the teachers say.
            np.testing.assert_allclose(
                start.targets[k][own], start.teachers[k], atol=1e-5
            )
            for later in students_phase[1:]:
                np.testing.assert_array_equal(later.targets[k], start.targets[k])
                assert (later.students[k] != start.students[k]).any()
            # What they would say of the students that have moved is another thing.
            moved = (later.teachers[k] - later.targets[k][own]).abs().max()
            assert (moved > 1e-3) == (teacher_input != "base")
    # In the next round they are those of that round.
    first, second = (phase[0].targets for phase in seen.phases[1::2])
    assert all((one != two).any() for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("max_epochs", "n_rounds", "phases"),
    [(1, 1, "s"), (2, 1, "ts"), (5, 2, "tstss"), (4, 2, "tsts"), (1, 3, "s")],
)
def test_alternating__history__one_row_an_epoch_over_all_phases(
    data, max_epochs, n_rounds, phases
):
    clf = _alternating(max_epochs=max_epochs, n_rounds=n_rounds).fit(*data)
    assert clf.n_iter_ == len(clf.history_) == max_epochs == len(phases)
    assert list(clf.history_.index) == list(range(1, max_epochs + 1))
    assert np.isfinite(clf.history_.to_numpy()).all()
    # Only students learn by distillation.
    distilled = clf.history_["distillation_loss"].to_numpy() > 0
    for column in distilled.T:
        np.testing.assert_array_equal(column, [phase == "s" for phase in phases])


def test_alternating__no_epoch__history_is_empty(data):
    clf = _alternating(max_epochs=0).fit(*data)
    assert clf.n_iter_ == len(clf.history_) == 0


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_same_seed__every_teacher_input_and_schedule__same_bits(
    data, teacher_input, schedule
):
    params = {
        "schedule": schedule,
        "teacher_input": teacher_input,
        "teacher_start": "random",
        "target_dropout": True,
        "labelled_share": 0.7,
        "max_epochs": 4,
        "n_rounds": 2,
    }
    first, second = (small_classifier(**params).fit(*data) for _ in range(2))
    _assert_same_bits(first, second)
    other = small_classifier(**params | {"random_state": 1}).fit(*data)
    assert differ(weights_of(first.teachers_), weights_of(other.teachers_))


def test_alternating__restarted_or_not__other_students(data):
    params = {"max_epochs": 8, "n_rounds": 2}
    restarted, going_on = (
        _alternating(restart_rounds=restart, **params).fit(*data)
        for restart in (True, False)
    )
    assert differ(weights_of(restarted.students_), weights_of(going_on.students_))
    # In one round there is nothing to start again.
    restarted, going_on = (
        _alternating(restart_rounds=restart, n_rounds=1).fit(*data)
        for restart in (True, False)
    )
    _assert_same_bits(restarted, going_on)


def test_alternating__divergence__error_and_nothing_half_set(data):
    clf = _alternating(learning_rate=9e17, max_epochs=4, n_rounds=1)
    with pytest.raises(ValueError, match=r"diverged.*learning_rate"):
        clf.fit(*data)
    assert not hasattr(clf, "students_")


def test_alternating__verbose__counts_the_epochs_of_all_phases(data, capsys):
    _alternating(max_epochs=7, n_rounds=2, verbose=1).fit(*data)
    _, err = capsys.readouterr()
    assert "7/7" in err
    assert err.count("\n") == 1


# --------------------------------------------------------------------------------------
# A training of several phases that is ended.
# --------------------------------------------------------------------------------------


class Interrupt(Callback):
    """Interrupts as the user does, in the middle of an epoch of the whole training."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.n_begun = 0

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        self.n_begun += 1

    def on_batch_end(self, net: Any, **_: Any) -> None:
        if self.n_begun == self.epoch:
            raise KeyboardInterrupt


def _assert_usable(clf: JEDIClassifier, data: Data) -> None:
    assert np.isfinite(clf.history_.to_numpy()).all()
    for name in ("a", "b"):
        for model in (clf.students_[name], clf.teachers_[name]):
            assert np.isfinite(model.predict_proba(data[0][name])).all()


@pytest.mark.parametrize(
    "epoch",
    [1, 2, 3, 4, 5, 6, 8, 12],
)
def test_alternating__interrupt__ends_the_whole_training(data, epoch):
    interrupt = Interrupt(epoch)
    clf = _alternating(max_epochs=12, n_rounds=2, callbacks=[interrupt]).fit(*data)
    assert interrupt.n_begun == epoch
    assert clf.n_iter_ == len(clf.history_) == epoch - 1
    _assert_usable(clf, data)


@pytest.mark.parametrize("patience", [2, 3, 5])
def test_alternating__early_stopping_of_the_user__ends_the_whole_training(
    data, patience
):
    # Nothing is better by so much, so that it stops after the epochs it waits for and
    # the first; the phases have six.
    stop = EarlyStopping(
        monitor="train_loss",
        patience=patience,
        threshold=1e9,
        threshold_mode="abs",
        sink=str,
    )
    seen = Phases()
    clf = _alternating(max_epochs=24, n_rounds=2, callbacks=[seen, stop]).fit(*data)
    assert len(seen.phases) == 1
    assert clf.n_iter_ == len(clf.history_) == len(seen.phases[0]) - 1
    _assert_usable(clf, data)
