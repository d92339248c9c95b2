"""Fits that are written down as they go: what they cost, refuse and end in."""

from __future__ import annotations

import itertools
import json
import logging
import os
import pickle
import re
import signal
import sys
import threading
import time
from collections import defaultdict, deque
from functools import partial

import joblib
import numpy as np
import pytest
from hang_guards import finished, wait_until
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping, Freezer, LRScheduler
from small_fits import small_classifier

from benchmarks.fit_kills import SETTINGS, bits_of, fitted, kill_fits
from jedi_sklearn import JEDIClassifier, stack_datasets
from jedi_sklearn.classifier import fit
from jedi_sklearn.classifier.checkpoint import KeptFit
from jedi_sklearn.model_selection import MultiDatasetKFold

RANDOM = np.random.default_rng(0)
X = {name: RANDOM.normal(size=(n, 5)) for name, n in (("a", 40), ("b", 30))}
Y = {name: np.where(rows[:, 0] > 0, "up", "down") for name, rows in X.items()}


class Stop(BaseException):
    """Ends a fit where a kill would, and a search with it."""


def stop_after(monkeypatch, n_written):
    """Let a fit write so many objects and no more."""
    n_left = n_written

    def write(self, name, content):
        nonlocal n_left
        whole(self, name, content)
        n_left -= 1
        if not n_left:
            raise Stop

    whole = KeptFit.write
    monkeypatch.setattr(KeptFit, "write", write)


def count_trainings(monkeypatch):
    """Return a list that gets an entry whenever something is trained."""
    begun = []

    def train(*args, **kwargs):
        begun.append(None)
        return usual(*args, **kwargs)

    usual = fit.train
    monkeypatch.setattr(fit, "train", train)
    return begun


def broken_off(monkeypatch, classifier, n_written=6, **given):
    """Begin a fit and stop it in the middle of its training."""
    stopped(monkeypatch, n_written, partial(classifier.fit, X, Y, **given))


def stopped(monkeypatch, n_written, run):
    with monkeypatch.context() as patch:
        stop_after(patch, n_written)
        with pytest.raises(Stop):
            run()


def files(path):
    return sorted(file.name for file in path.rglob("*") if file.is_file())


@pytest.fixture
def classifier(tmp_path):
    """One that is written down after every batch."""
    return small_classifier(checkpoint=tmp_path / "fit", checkpoint_minutes=0)


# The same bits


@pytest.fixture(scope="module", params=range(len(SETTINGS)))
def undisturbed(request):
    return request.param, bits_of(fitted(None, request.param, 4))


def test_a_fit_that_is_written_down_ends_in_the_same_bits(undisturbed, tmp_path):
    number, expected = undisturbed
    assert bits_of(fitted(tmp_path, number, 4)) == expected


@pytest.mark.parametrize("n_written", [1, 2, 3, 7, 8, 13])
def test_a_fit_goes_on_from_wherever_it_was_stopped_to_the_same_bits(
    undisturbed, n_written, tmp_path, monkeypatch
):
    number, expected = undisturbed
    stopped(monkeypatch, n_written, partial(fitted, tmp_path, number, 4))
    assert bits_of(fitted(tmp_path, number, 4)) == expected


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGKILL")
def test_fits_that_are_killed_at_50_random_instants_end_in_the_same_bits():
    found = kill_fits(50)
    assert found["kills"] >= 50
    assert found["fits"] >= 2
    assert found["different"] == 0


class PartOfAnArray(TransformerMixin, BaseEstimator):
    """Keeps a part of an array, which a pickle does not; so does PCA here and there."""

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        *_, components = np.linalg.svd(X - self.mean_, full_matrices=False)
        self.components_ = np.asfortranarray(components)[:30]
        assert not self.components_.data.contiguous
        return self

    def transform(self, X):
        return X @ self.components_.T - self.mean_ @ self.components_.T


@pytest.mark.parametrize("n_written", [2, 3, 5])
def test_experts_whose_arrays_are_not_contiguous_go_on_to_the_same_bits(
    n_written, classifier, monkeypatch
):
    random = np.random.default_rng(0)
    rows = {n: random.normal(size=(300, 200)).astype(np.float32) for n in "ab"}
    labels = {n: (v[:, 0] > 0).astype(int) for n, v in rows.items()}
    part = PartOfAnArray()
    experts = [("a", part), ("b", make_pipeline(StandardScaler(), part))]
    classifier.set_params(experts=experts, batch_size=150)
    expected = clone(classifier).set_params(checkpoint=None).fit(rows, labels)
    stopped(monkeypatch, n_written, partial(classifier.fit, rows, labels))
    assert bits_of(classifier.fit(rows, labels)) == bits_of(expected)
    loaded = pickle.loads(pickle.dumps(expected))
    for name, student in expected.students_.items():
        other = loaded.students_[name].embed(rows[name])
        np.testing.assert_array_equal(student.embed(rows[name]), other)


class Counts(Callback):
    """Notes what it is told, and slows the learning by it."""

    def __init__(self):
        self.told = []

    def on_epoch_begin(self, net, **_):
        self.told.append(f"epoch {len(net.history)} begins")

    def on_batch_end(self, net, **_):
        self.told.append("batch")
        for group in net.optimizer_.param_groups:
            group["lr"] /= 1 + 0.001 * len(self.told)

    def on_epoch_end(self, net, **_):
        self.told.append(f"epoch {len(net.history)} ends")


@pytest.mark.parametrize("n_written", [5, 6, 7, 8, 9, 10, 11])
@pytest.mark.parametrize(
    "make",
    [
        Counts,
        partial(EarlyStopping, monitor="train_loss", patience=1, threshold=0.5),
        partial(LRScheduler, "ReduceLROnPlateau", monitor="train_loss", patience=0),
        partial(LRScheduler, "StepLR", step_size=2, step_every="batch"),
    ],
    ids=["own", "EarlyStopping", "ReduceLROnPlateau", "StepLR"],
)
def test_callbacks_go_on_as_if_nothing_had_happened(
    make, n_written, classifier, monkeypatch
):
    undisturbed, expected = make(), clone(classifier)
    expected.set_params(callbacks=[undisturbed], checkpoint=None).fit(X, Y)
    broken_off(monkeypatch, classifier.set_params(callbacks=[make()]), n_written)
    callback = make()
    classifier.set_params(callbacks=[callback]).fit(X, Y)
    assert bits_of(classifier) == bits_of(expected)
    if isinstance(callback, Counts):
        assert callback.told == undisturbed.told


class Remembers(Callback):
    """Keeps what it is told in containers of several kinds, and draws from them."""

    def __init__(self):
        self.last = deque([1.0], maxlen=2)
        self.counts = defaultdict(int)
        self.random_ = np.random.default_rng(3)

    def on_batch_end(self, net, **_):
        self.counts[len(net.history)] += 1
        net.history.record_batch("count", self.counts[len(net.history)])
        self.last.append(self.last[-1] * self.random_.uniform(0.9, 1.0))
        for group in net.optimizer_.param_groups:
            group["lr"] *= self.last[0]

    def on_epoch_end(self, net, **_):
        counts = [batch["count"] for batch in net.history[-1]["batches"]]
        for group in net.optimizer_.param_groups:
            group["lr"] /= 1 + sum(counts)


@pytest.mark.parametrize("n_written", [5, 6, 7, 8, 9])
@pytest.mark.parametrize(
    "make",
    [
        Remembers,
        partial(Freezer, "teachers*"),
        partial(
            LRScheduler,
            "CyclicLR",
            base_lr=0.001,
            max_lr=0.01,
            step_every="batch",
            step_size_up=3,
            cycle_momentum=False,
        ),
    ],
    ids=["own", "Freezer", "CyclicLR"],
)
def test_what_callbacks_hold_and_change_goes_on(
    make, n_written, classifier, monkeypatch
):
    expected = clone(classifier).set_params(callbacks=[make()], checkpoint=None)
    expected.fit(X, Y)
    broken_off(monkeypatch, classifier.set_params(callbacks=[make()]), n_written)
    classifier.set_params(callbacks=[make()]).fit(X, Y)
    assert bits_of(classifier) == bits_of(expected)


def test_minutes_go_on_over_phases(tmp_path, monkeypatch):
    seconds, names = itertools.count(), []
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    whole = KeptFit.write
    monkeypatch.setattr(
        KeptFit, "write", lambda *args: (names.append(args[1]), whole(*args))
    )
    params = {"schedule": "alternating", "n_rounds": 5, "max_epochs": 10}
    params["batch_size"] = 100
    small_classifier(checkpoint=tmp_path, checkpoint_minutes=0.1, **params).fit(X, Y)
    # A phase looks at the clock twice.
    assert names.count("training") >= 2


def test_validation_rows_are_those_of_the_undisturbed_fit(classifier, monkeypatch):
    given = {"X_val": X, "y_val": Y}
    classifier.set_params(early_stopping=True, keep_expert=True)
    expected = clone(classifier).set_params(checkpoint=None).fit(X, Y, **given)
    broken_off(monkeypatch, classifier, 9, **given)
    classifier.fit(X, Y, **given)
    assert bits_of(classifier) == bits_of(expected)
    assert classifier.kept_experts_ == expected.kept_experts_


def test_a_random_state_of_none_goes_on_with_the_seed_it_began_with(
    classifier, monkeypatch
):
    classifier.set_params(random_state=None)
    broken_off(monkeypatch, classifier)
    state = KeptFit(classifier.checkpoint).read("seeds")
    classifier.fit(X, Y)
    first, others = bits_of(classifier), clone(classifier).set_params(checkpoint=None)
    assert KeptFit(classifier.checkpoint).read("seeds") == state
    assert bits_of(classifier.fit(X, Y)) == first
    assert bits_of(others.fit(X, Y)) != first


def test_a_random_state_is_known_by_where_it_stands(classifier, monkeypatch):
    broken_off(
        monkeypatch, classifier.set_params(random_state=np.random.RandomState(3))
    )
    random_state = np.random.RandomState(3)
    classifier.set_params(random_state=random_state).fit(X, Y)
    expected = clone(classifier).set_params(
        checkpoint=None, random_state=np.random.RandomState(3)
    )
    assert bits_of(classifier) == bits_of(expected.fit(X, Y))
    assert random_state.randint(10**6) == expected.random_state.randint(10**6)
    with pytest.raises(ValueError, match="other random_state"):
        classifier.fit(X, Y)


# What is written, and when


def test_a_finished_fit_is_read(classifier, monkeypatch):
    expected = bits_of(classifier.fit(X, Y))
    begun = count_trainings(monkeypatch)
    again = small_classifier(checkpoint=classifier.checkpoint).fit(X, Y)
    assert begun == []
    assert bits_of(again) == expected
    assert again.predict(X)["a"].tolist() == classifier.predict(X)["a"].tolist()
    assert again.history_.equals(classifier.history_)
    assert again.n_features_in_ == classifier.n_features_in_
    assert files(classifier.checkpoint) == ["fit.json", "result.pickle", "seeds.pickle"]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"checkpoint_epochs": 1}, 6),
        ({"checkpoint_epochs": 4}, 1),
        ({}, 0),
        ({"checkpoint_minutes": 0}, 6 * 5),
    ],
)
def test_it_is_written_as_often_as_asked_for(when, expected, tmp_path, monkeypatch):
    names = []
    whole = KeptFit.write
    monkeypatch.setattr(
        KeptFit, "write", lambda *args: (names.append(args[1]), whole(*args))
    )
    small_classifier(max_epochs=6, checkpoint=tmp_path, **when).fit(X, Y)
    # 70 rows in batches of 16.
    assert names.count("training") == expected


def test_without_a_checkpoint_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_classifier().fit(X, Y)
    assert list(tmp_path.iterdir()) == []


def test_fitted_experts_are_not_fitted_again(classifier, monkeypatch):
    n_before = Noisy.n_fits
    classifier.set_params(experts=[("a", Noisy()), ("b", PCA(2))])
    broken_off(monkeypatch, classifier)
    classifier.fit(X, Y)
    assert Noisy.n_fits == n_before + 1


class Noisy(TransformerMixin, BaseEstimator):
    """An encoder that is another one whenever it is fitted."""

    n_fits = 0

    def fit(self, X, y=None):
        type(self).n_fits += 1
        self.scale_ = type(self).n_fits
        return self

    def transform(self, X):
        return np.asarray(X) * self.scale_


def test_frozen_encoders_are_not_written(tmp_path):
    wide = np.random.default_rng(0).normal(size=(250, 200))
    encoder = FrozenEstimator(PCA(100).fit(wide))
    rows = {name: np.tile(part, 40) for name, part in X.items()}
    experts = [("a", encoder), ("b", make_pipeline(encoder))]
    classifier = small_classifier(experts, checkpoint=tmp_path).fit(rows, Y)
    again = small_classifier(experts, checkpoint=tmp_path).fit(rows, Y)
    assert bits_of(again) == bits_of(classifier)
    assert again.students_["a"].branches[0].encoder.estimator is encoder.estimator
    assert (tmp_path / "result.pickle").stat().st_size < encoder.components_.nbytes


def test_frozen_steps_of_a_pipeline_are_not_written(tmp_path):
    wide = np.random.default_rng(0).normal(size=(250, 200))
    first = FrozenEstimator(PCA(100).fit(wide))
    rows = {name: np.tile(part, 40) for name, part in X.items()}
    experts = [(name, make_pipeline(first, StandardScaler())) for name in "ab"]
    classifier = small_classifier(experts, checkpoint=tmp_path).fit(rows, Y)
    again = small_classifier(experts, checkpoint=tmp_path).fit(rows, Y)
    assert bits_of(again) == bits_of(classifier)
    np.testing.assert_array_equal(
        again.predict_proba(rows)["a"], classifier.predict_proba(rows)["a"]
    )
    assert (tmp_path / "result.pickle").stat().st_size < 100_000


def test_what_killed_writers_leave_is_removed(classifier):
    classifier.checkpoint.mkdir()
    leftover = classifier.checkpoint / f".training.pickle.{'0' * 32}.tmp"
    others = [classifier.checkpoint / name for name in (".a.tmp", "b.tmp", ".lock")]
    for path in (leftover, *others):
        path.write_text("content")
    classifier.fit(X, Y)
    assert not leftover.exists()
    assert all(path.exists() for path in others)


class Moves(Callback):
    """Goes elsewhere in the middle of a fit."""

    def on_epoch_end(self, net, **_):
        if os.path.exists("elsewhere"):
            os.chdir("elsewhere")


def test_a_fit_may_change_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    small_classifier(checkpoint="fit", checkpoint_epochs=1, callbacks=[Moves]).fit(X, Y)
    assert (tmp_path / "fit" / "result.pickle").exists()


def test_only_the_owner_may_enter(classifier):
    classifier.fit(X, Y)
    if os.name == "posix":
        assert classifier.checkpoint.stat().st_mode & 0o077 == 0


# Other fits are refused, by name


OTHER_ROWS = {"a": X["a"], "b": X["b"] + 1e-9}
OTHER_LABELS = {"a": Y["a"], "b": np.where(Y["b"] == "up", "yes", "no")}
WEIGHTS = {"b": np.arange(30) + 1.0}


@pytest.mark.parametrize(
    ("params", "given", "message"),
    [
        ({"alpha": 2}, {}, "alpha=1.0 there, 2.0 here"),
        ({"max_epochs": 5}, {}, "max_epochs=3.0 there, 5.0 here"),
        ({"schedule": "alternating"}, {}, "schedule='joint' there, 'alternating' here"),
        ({"random_state": 1}, {}, "random_state=0.0 there, 1.0 here"),
        ({"class_weight": "balanced"}, {}, "class_weight=None there, 'balanced' here"),
        ({"callbacks": [Counts()]}, {}, r"callbacks\[0\] only here"),
        ({"experts": [("a", PCA(2)), ("b", PCA(3))]}, {}, "other expert 'a'; other "),
        ({}, {"X": OTHER_ROWS}, "fit that is another one: other rows of dataset 'b'"),
        ({}, {"y": OTHER_LABELS}, "another one: other labels of dataset 'b'"),
        ({}, {"sample_weight": WEIGHTS}, "other weights of dataset 'b'"),
        (
            {},
            {"X_val": X, "y_val": Y},
            "validation rows of dataset 'a' only here",
        ),
        (
            {"alpha": 2},
            {"X": X | {"c": X["a"]}},
            "alpha=1.0 there, 2.0 here; rows of dataset 'c' only here",
        ),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_fit_is_refused_by_name(
    params, given, message, finished, classifier, monkeypatch
):
    if finished:
        classifier.fit(X, Y)
    else:
        broken_off(monkeypatch, classifier)
    before = {file: file.read_bytes() for file in classifier.checkpoint.iterdir()}
    other = small_classifier(checkpoint=classifier.checkpoint).set_params(**params)
    with pytest.raises(ValueError, match=f"checkpoint='.*fit'.*{message}"):
        other.fit(**{"X": X, "y": Y} | given)
    assert not hasattr(other, "students_")
    assert before == {f: f.read_bytes() for f in classifier.checkpoint.iterdir()}


def test_a_frozen_expert_is_not_one_that_is_fitted(classifier):
    encoder = PCA(2).fit(X["a"][:9])
    frozen = [("a", FrozenEstimator(encoder)), ("b", PCA(2))]
    classifier.set_params(experts=frozen).fit(X, Y)
    with pytest.raises(ValueError, match="another one: other expert 'a'"):
        classifier.set_params(experts=[("a", encoder), ("b", PCA(2))]).fit(X, Y)


def test_an_expert_that_was_fitted_is_the_one_that_will_be(classifier, monkeypatch):
    classifier.set_params(experts=[("a", PCA(2)), ("b", PCA(2))]).fit(X, Y)
    begun = count_trainings(monkeypatch)
    fitted = PCA(2).fit(X["a"])
    classifier.set_params(experts=[("a", fitted), ("b", fitted)]).fit(X, Y)
    assert begun == []


def test_a_fit_that_failed_makes_room_for_the_corrected_one(classifier):
    with pytest.raises(ValueError, match="Expert 'a' could not be fitted"):
        classifier.set_params(experts=[("a", PCA(99)), ("b", PCA(2))]).fit(X, Y)
    classifier.set_params(experts=[("a", PCA(2)), ("b", PCA(2))], random_state=3)
    expected = clone(classifier).set_params(checkpoint=None).fit(X, Y)
    assert bits_of(classifier.fit(X, Y)) == bits_of(expected)


@pytest.mark.parametrize(
    ("params", "same"),
    [
        ({"class_weight": {"up": 1, "down": 2}}, {"down": 2, "up": 1}),
        ({"schedule": "joint"}, np.str_("joint")),
    ],
)
def test_the_same_value_is_the_same(params, same, classifier, monkeypatch):
    rows, labels, (name,) = {"a": X["a"]}, {"a": Y["a"]}, params
    classifier.set_params(experts=[("a", PCA(2))], **params).fit(rows, labels)
    begun = count_trainings(monkeypatch)
    classifier.set_params(**{name: same}).fit(rows, labels)
    assert begun == []


@pytest.mark.parametrize(
    "params",
    [{"verbose": 0}, {"n_jobs": 2}, {"alpha": np.float32(1)}, {"checkpoint_epochs": 2}],
)
def test_what_changes_no_result_is_not_another_fit(params, classifier, monkeypatch):
    classifier.fit(X, Y)
    begun = count_trainings(monkeypatch)
    classifier.set_params(**params).fit(X, Y)
    assert begun == []


def test_rows_and_labels_in_other_clothes_are_the_same_fit(classifier, monkeypatch):
    classifier.fit(X, Y)
    begun = count_trainings(monkeypatch)
    classifier.fit(dict(reversed(X.items())), {n: y.tolist() for n, y in Y.items()})
    assert begun == []


def test_labels_that_are_reported_in_another_way_are_another_fit(classifier):
    rows, labels = {"a": X["a"]}, {"a": Y["a"]}
    classifier.set_params(experts=[("a", PCA(2))]).fit(rows, labels)
    with pytest.raises(ValueError, match="other labels of dataset 'a'"):
        classifier.fit(X["a"], Y["a"])


def test_what_cannot_be_told_apart_is_refused(classifier):
    def loss(scores, labels):
        return scores[:, 0] * 0.0

    with pytest.raises(ValueError, match="but student_loss cannot be"):
        classifier.set_params(student_loss=loss).fit(X, Y)
    assert not classifier.checkpoint.exists()


def test_several_processes_are_refused(classifier, monkeypatch):
    monkeypatch.setattr(fit, "n_processes", lambda: 2)
    with pytest.raises(ValueError, match="checkpoint cannot be used by the 2 proc"):
        classifier.fit(X, Y)


# Directories that are not as they were


def test_files_of_somebody_else_are_left_alone(classifier):
    classifier.checkpoint.mkdir()
    (classifier.checkpoint / "result.pickle").write_text("my results")
    with pytest.raises(ValueError, match=r"but no fit\.json; name another directory"):
        classifier.fit(X, Y)
    assert files(classifier.checkpoint) == ["result.pickle"]


def test_an_expert_that_cannot_be_pickled_once_fitted_is_an_error(classifier):
    experts = [("a", HasLock()), ("b", PCA(2))]
    with pytest.raises(ValueError, match="The experts of the fit cannot be pickled"):
        classifier.set_params(experts=experts).fit(X, Y)


class HasLock(TransformerMixin, BaseEstimator):
    """An encoder that has a lock once it is fitted."""

    def fit(self, X, y=None):
        self.lock_ = threading.Lock()
        return self

    def transform(self, X):
        return np.asarray(X)


def test_a_file_is_no_checkpoint(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="must be a directory; it is a file"):
        small_classifier(checkpoint=tmp_path / "file").fit(X, Y)


@pytest.mark.parametrize("name", ["experts", "training", "seeds"])
def test_a_changed_bit_is_found(name, classifier, monkeypatch):
    broken_off(monkeypatch, classifier)
    path = classifier.checkpoint / f"{name}.pickle"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{name}\.pickle has changed since"):
        classifier.fit(X, Y)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": "x"}'])
def test_another_description_is_refused(content, classifier):
    classifier.checkpoint.mkdir()
    (classifier.checkpoint / "fit.json").write_text(content)
    with pytest.raises(ValueError, match=r"fit\.json is no description of a fit"):
        classifier.fit(X, Y)


def test_a_newer_format_is_refused(classifier):
    classifier.fit(X, Y)
    path = classifier.checkpoint / "fit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(ValueError, match=r"has format 2.*reads formats up to 1"):
        classifier.fit(X, Y)


def test_a_full_disk_loses_nothing_that_was_written(classifier, monkeypatch):
    expected = clone(classifier).set_params(checkpoint=None).fit(X, Y)
    n_left = 9

    def fsync(descriptor):
        nonlocal n_left
        n_left -= 1
        if n_left < 0:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="No space left on device: this file cannot"):
            classifier.fit(X, Y)
    assert not any(name.endswith(".tmp") for name in files(classifier.checkpoint))
    assert bits_of(classifier.fit(X, Y)) == bits_of(expected)


# Several fits


def search(checkpoint, n_jobs=None):
    rows, labels = stack_datasets(X, Y)
    return GridSearchCV(
        small_classifier(checkpoint=checkpoint),
        {"alpha": [0.5, 1.0], "gamma": [0.0, 0.4]},
        cv=MultiDatasetKFold(2),
        n_jobs=n_jobs,
    ).fit(rows, labels)


def scores_of(search):
    return {
        name: values.tolist()
        for name, values in search.cv_results_.items()
        if "score" in name and "time" not in name
    }


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_search_that_is_run_again_has_its_fits_at_once(n_jobs, tmp_path, monkeypatch):
    with joblib.parallel_config("threading"):
        expected = search(None)
        first = search(tmp_path, n_jobs)
        begun = count_trainings(monkeypatch)
        again = search(tmp_path, n_jobs)
    assert begun == []
    # Four candidates on two folds, and the best on all rows.
    assert len(list(tmp_path.iterdir())) == 9
    assert scores_of(first) == scores_of(again) == scores_of(expected)
    assert bits_of(again.best_estimator_) == bits_of(expected.best_estimator_)


def test_a_search_that_was_stopped_does_the_rest(tmp_path, monkeypatch):
    # Of each fit seeds, experts and the result.
    stopped(monkeypatch, 3 * 3 + 2, partial(search, tmp_path))
    begun = count_trainings(monkeypatch)
    assert scores_of(search(tmp_path)) == scores_of(search(None))
    assert len(begun) == 9 - 3 + 9


def test_the_same_fit_twice_at_once_is_done_once(classifier, monkeypatch, caplog):
    def is_waiting():
        said = [record.getMessage() for record in caplog.records]
        return any("Waiting for another" in message for message in said)

    def train(*args, **kwargs):
        wait_until(lambda: is_waiting() or len(begun) > 1)
        return usual(*args, **kwargs)

    usual = fit.train
    monkeypatch.setattr(fit, "train", train)
    begun = count_trainings(monkeypatch)
    twice = [clone(classifier), clone(classifier)]
    threads = [threading.Thread(target=c.fit, args=(X, Y), daemon=True) for c in twice]
    with caplog.at_level(logging.INFO, "jedi_sklearn"):
        for thread in threads:
            thread.start()
        finished(*threads)
    assert len(begun) == 1
    assert bits_of(twice[0]) == bits_of(twice[1])
    assert is_waiting()


def test_fits_of_warm_starts_have_a_directory_each(tmp_path, monkeypatch):
    expected, kept = (
        small_classifier(checkpoint=checkpoint, warm_start=True)
        for checkpoint in (None, tmp_path)
    )
    for classifier in (expected, kept):
        classifier.fit(X, Y)
        classifier.fit(X, Y)
    assert bits_of(kept) == bits_of(expected)
    assert len(list(tmp_path.iterdir())) == 2
    begun = count_trainings(monkeypatch)
    again = small_classifier(checkpoint=tmp_path, warm_start=True).fit(X, Y).fit(X, Y)
    assert begun == []
    assert bits_of(again) == bits_of(expected)


# Interrupted by the user


class Interrupt(Callback):
    """Presses Ctrl-C in an epoch."""

    def __init__(self, epoch, method="on_batch_end"):
        self.epoch = epoch
        self.method = method

    def _press(self, net, method):
        if (method, len(net.history)) == (self.method, self.epoch):
            signal.raise_signal(signal.SIGINT)
            time.sleep(0)  # where the signal is seen at the latest

    def on_batch_end(self, net, **_):
        self._press(net, "on_batch_end")

    def on_epoch_end(self, net, **_):
        self._press(net, "on_epoch_end")


@pytest.mark.parametrize("method", ["on_batch_end", "on_epoch_end"])
def test_an_interrupt_leaves_a_usable_estimator_and_warns(method):
    classifier = small_classifier(callbacks=[Interrupt(3, method)], max_epochs=20)
    with pytest.warns(UserWarning, match="was interrupted in epoch 3"):
        classifier.fit(X, Y)
    assert classifier.n_iter_ == (2 if method == "on_batch_end" else 3)
    assert np.isfinite(classifier.predict_proba(X)["a"]).all()


def test_an_interrupted_fit_goes_on(classifier):
    expected = clone(classifier).set_params(checkpoint=None).fit(X, Y)
    callback = Interrupt(2)
    classifier.set_params(callbacks=[callback])
    with pytest.warns(UserWarning, match="interrupted in epoch 2"):
        classifier.fit(X, Y)
    assert bits_of(classifier) != bits_of(expected)
    callback._press = lambda *_: None
    assert bits_of(classifier.fit(X, Y)) == bits_of(expected)


def test_an_interrupt_before_the_training_is_one(monkeypatch):
    def transform(self, X):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0)

    monkeypatch.setattr(Noisy, "transform", transform)
    classifier = small_classifier([("a", Noisy()), ("b", StandardScaler())])
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(X, Y)
    assert not hasattr(classifier, "students_")


def test_an_interrupt_by_a_handler_of_the_program_is_one(tmp_path):
    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        classifier = small_classifier(callbacks=[Interrupt(3)], checkpoint=tmp_path)
        with pytest.warns(UserWarning, match="was interrupted in epoch 3"):
            classifier.fit(X, Y)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "result.pickle" not in files(tmp_path)


def test_the_best_weights_are_those_of_an_interrupted_early_stopping():
    classifier = small_classifier(callbacks=[Interrupt(3)], early_stopping=True)
    with pytest.warns(UserWarning, match="in epoch 3; the weights are the best until"):
        classifier.fit(X, Y, X_val=X, y_val=Y)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_warning_that_is_an_error_leaves_a_whole_estimator(method):
    classifier = small_classifier(max_epochs=5)
    if method == "partial_fit":
        classifier.fit(X, Y)
    classifier.set_params(callbacks=[Interrupt(1)])
    with pytest.raises(UserWarning, match="was interrupted in epoch 1"):
        getattr(classifier, method)(X, Y)
    classifier.set_params(callbacks=None).partial_fit(X, Y)
    assert classifier.n_iter_ == len(classifier.history_)


def test_a_callback_that_ends_the_training_means_it(classifier):
    class End(Callback):
        def on_epoch_end(self, net, **_):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    expected = small_classifier(max_epochs=2).fit(X, Y)
    ended = small_classifier(max_epochs=20, callbacks=[End()]).fit(X, Y)
    assert bits_of(ended) == bits_of(expected)


def test_the_progress_bar_counts_what_was_done_before(classifier, monkeypatch, capsys):
    classifier.set_params(verbose=1, checkpoint_minutes=5, checkpoint_epochs=1)
    broken_off(monkeypatch, classifier, 4)
    capsys.readouterr()
    classifier.fit(X, Y)
    counted = re.findall(r"\d/\d", capsys.readouterr().err)
    assert (counted[0], counted[-1]) == ("2/3", "3/3")


def test_the_parameters_are_those_of_a_plain_estimator(tmp_path):
    classifier = JEDIClassifier(checkpoint=str(tmp_path), checkpoint_epochs=2)
    copy = clone(classifier)
    assert copy.get_params(deep=False) == classifier.get_params(deep=False)
