"""Callbacks: those of scikit-learn, where it has them, and those of skorch."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Checkpoint, TrainEndCheckpoint

from jedi_sklearn import JEDIClassifier, stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold

callback = pytest.importorskip(
    "sklearn.callback", reason="scikit-learn has callbacks from 1.9 on"
)
X = {name: np.random.default_rng(0).normal(size=(20, 4)) for name in "abc"}
Y = {"a": np.where(X["a"][:, 0] > 0, "up", "down"), "b": np.arange(20) % 3}


class Recorder:
    """Records what it is told of, as a callback that is not handed on."""

    def __init__(self, stop_at: str = "") -> None:
        self.stop_at = stop_at
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.found: list[Any] = []
        self.seen: list[Any] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.begun.append("setup")

    def teardown(self, estimator: Any, context: Any) -> None:
        self.ended.append("teardown")

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.begun.append(place(context))

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        metadata: Any = None,
        fitted_estimator: Any = None,
    ) -> bool:
        self.ended.append(place(context))
        self.seen.append((X, y, metadata))
        if isinstance(fitted_estimator, JEDIClassifier):
            self.found.append((fitted_estimator.n_iter_, fitted_estimator))
        return place(context) == self.stop_at


class HandedOn(Recorder):
    """Is handed on to the estimators inside."""

    max_propagation_depth = 1


def place(context: Any) -> str:
    """Return names and numbers of a task and of those that it is a part of."""
    name = f"{context.task_name}-{context.task_id}"
    name = f"{context.estimator_name}:{name}"
    parent = context.parent
    return name if parent is None else f"{place(parent)}/{name}"


def short(places: list[str]) -> list[str]:
    """Return the names of tasks alone."""
    return [text.rpartition("/")[2].replace("JEDIClassifier:", "") for text in places]


def model(**params: Any) -> JEDIClassifier:
    small = {"max_epochs": 3, "adjustment_units": 2, "random_state": 0, "device": "cpu"}
    experts = [
        ("a", make_pipeline(StandardScaler(), PCA(2), LogisticRegression())),
        ("b", StandardScaler()),
        ("c", FrozenEstimator(PCA(1).fit(X["c"]))),
    ]
    return JEDIClassifier(**{"experts": experts} | small | params)


@pytest.fixture(scope="module")
def plain() -> JEDIClassifier:
    return model().fit(X, Y)


def same(one: JEDIClassifier, other: JEDIClassifier) -> bool:
    given, expected = (
        one.predict_proba(X_OF_STUDENTS),
        other.predict_proba(X_OF_STUDENTS),
    )
    return all(np.array_equal(given[name], expected[name]) for name in given)


X_OF_STUDENTS = {name: X[name] for name in Y}


def test_tasks_are_experts_and_epochs(plain):
    told = Recorder()
    clf = model().set_callbacks(told).fit(X, Y)
    assert short(told.begun) == [
        *("setup", "fit-0", "fit-encoders-0", "fit-encoder-a-0", "fit-encoder-b-1"),
        *("fit-heads-1", "fit-head-a-0", "fit-head-b-1"),
        *("train-2", "epoch-0", "epoch-1", "epoch-2"),
    ]
    assert set(told.ended) - {"teardown"} == set(told.begun) - {"setup"}
    assert told.ended[-1] == "teardown"
    assert told.begun[-1] == (
        "JEDIClassifier:fit-0/JEDIClassifier:train-2/JEDIClassifier:epoch-2"
    )
    assert same(clf, plain)


def test_after_each_epoch_there_is_a_fitted_estimator(plain):
    told = Recorder()
    clf = model().set_callbacks(told).fit(X, Y, sample_weight={"a": np.ones(20)})
    assert [n for n, _ in told.found] == [1, 2, 3, 3]
    first = told.found[0][1]
    assert first.datasets_ == ["a", "b", "c"]
    assert not same(first, clf)
    for _, last in told.found[2:]:
        assert same(last, clf)
        assert last.history_.equals(clf.history_)
    # As a fit of one epoch, but that the learning rate falls later.
    assert first.score(X_OF_STUDENTS, Y) > 0.3
    whole = told.seen[-1]
    assert whole[0] is X
    assert whole[1] is Y
    assert list(whole[2]) == ["sample_weight"]


def test_experts_are_told_of_with_their_own_rows():
    told = Recorder()
    model(n_jobs=1).set_callbacks(told).fit(X, Y)
    number = short(told.ended).index("fit-encoder-a-0")
    rows, labels, _ = told.seen[number]
    assert rows is X["a"] or np.array_equal(rows, X["a"])
    assert set(labels) == {"up", "down"}


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_a_callback_may_end_the_training(schedule):
    epoch = "JEDIClassifier:fit-0/JEDIClassifier:train-2/JEDIClassifier:epoch-1"
    told = Recorder(stop_at=epoch)
    clf = model(schedule=schedule, max_epochs=6, n_rounds=1).set_callbacks(told)
    assert clf.fit(X, Y).n_iter_ == 2  # and no warning: it was meant to
    assert told.ended[-1] == "teardown"


def test_an_epoch_that_another_ends__is_ended_too():
    class End(Checkpoint):
        def on_batch_end(self, net: Any, **_: Any) -> None:
            raise KeyboardInterrupt

    told = Recorder()
    model(callbacks=[End(monitor=None)]).set_callbacks(told).fit(X, Y)
    assert short(told.ended)[-4:] == ["epoch-0", "train-2", "fit-0", "teardown"]


def test_alternating_schedule__epochs_of_all_phases_are_counted():
    told = Recorder()
    model(schedule="alternating", max_epochs=4, n_rounds=2).set_callbacks(told).fit(
        X, Y
    )
    assert [n for n, _ in told.found] == [1, 2, 3, 4, 4]


def test_fit_that_fails__tears_down_and_leaves_nothing():
    told = Recorder()
    clf = model(student_loss=lambda s, labels: s[:, 0] * np.nan).set_callbacks(told)
    before = set(vars(clf))
    with pytest.raises(ValueError, match="diverged in its first epoch"):
        clf.fit(X, Y)
    assert told.ended[-1] == "teardown"
    assert set(vars(clf)) == before


def test_experts_that_support_them_are_handed_them(plain):
    told = HandedOn()
    clf = model().set_callbacks(told).fit(X, Y)
    inside = [text for text in told.begun if "Pipeline:" in text]
    assert inside[0].endswith("fit-encoders-0/Pipeline:fit-0")
    # PCA has none, and nobody is warned of it: warnings are errors here.
    assert told.begun.count("setup") == 1
    assert any("LogisticRegression:lbfgs-iter" in text for text in told.begun)
    assert same(clf, plain)
    assert not hasattr(clf.experts_["a"], "_skl_callbacks")


def test_search_hands_them_on_and_clones_keep_them():
    stacked, labels = stack_datasets(X_OF_STUDENTS, Y)
    handed_on, own = HandedOn(), Recorder()
    clf = model(max_epochs=1).set_callbacks(own)
    assert clone(clf)._skl_callbacks == [own]
    search = GridSearchCV(clf, {"alpha": [0.5]}, cv=MultiDatasetKFold(2))
    search.set_callbacks(handed_on).fit(stacked, labels)
    fits = [text for text in handed_on.ended if text.endswith("JEDIClassifier:fit-0")]
    assert fits[0] == "GridSearchCV:fit-0/GridSearchCV:search-0/JEDIClassifier:fit-0"
    assert len(own.found) == 6  # two folds and the refit: an epoch, and the fit
    assert handed_on.begun.count("setup") == 1


def test_pipeline_hands_them_on():
    told = HandedOn()
    clf = model(experts=[("a", PCA(2))])
    whole = make_pipeline(StandardScaler(), clf).set_callbacks(told)
    whole.fit(X["a"], Y["a"])
    assert told.ended[-3].endswith("JEDIClassifier:fit-1")


def test_own_callbacks_of_scikit_learn(capsys, plain):
    pytest.importorskip("rich")

    def mean(clf: Any, X: Any, y: Any) -> dict[str, float]:
        return {"mean": clf.score(X, y)}

    monitor = callback.ScoringMonitor(scoring=mean)
    clf = model().set_callbacks(callback.ProgressBar(), monitor)
    rows = {**X_OF_STUDENTS}
    clf.set_params(experts=clf.experts[:2]).fit(rows, Y)
    scores = [row["mean"] for row in monitor.get_logs().data]
    assert len(scores) == 4  # one of the fit, and one of each epoch
    assert scores[0] == scores[-1] == clf.score(rows, Y)
    shown = capsys.readouterr().out
    assert "fit-encoder-a" in shown
    assert "train #2" in shown


def test_pickle_keeps_them(plain):
    clf = model().set_callbacks(Recorder()).fit(X, Y)
    loaded = pickle.loads(pickle.dumps(clf))
    assert type(loaded._skl_callbacks[0]) is Recorder
    assert same(loaded, plain)
    assert [name for name in vars(loaded) if "ctx" in name] == []


def test_set_callbacks__no_callback__is_refused():
    with pytest.raises(TypeError, match="FitCallback"):
        model().set_callbacks("progress")


@pytest.mark.parametrize("kind", [Checkpoint, TrainEndCheckpoint])
def test_skorch_writes_checkpoints(tmp_path, kind, plain):
    own = kind(dirname=str(tmp_path))
    if kind is Checkpoint:
        own.set_params(monitor=None)
    clf = model(callbacks=[own]).fit(X, Y)
    written = {path.name for path in Path(tmp_path).iterdir()}
    assert {name.removeprefix("train_end_") for name in written} >= {
        "params.pt",
        "history.json",
    }
    assert same(clf, plain)
