"""Every parameter of the constructor, with values in and out of its range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from budget import driver
from hypothesis import strategies as st
from invariants import check_history, check_predictions, check_table
from outcomes import Refused, outcome
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from strategies import HEADS

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.encoders import MLPEncoder

RANDOM = np.random.default_rng(0)
X = {"a": RANDOM.normal(size=(12, 3)), "b": RANDOM.normal(size=(14, 3))}
Y = {"a": np.arange(12) % 2, "b": np.array(["x", "y", None, "x", "y", "z", None] * 2)}
EXPERTS = [(name, StandardScaler()) for name in "ab"]

BOOL = st.booleans()
WEIGHT = st.sampled_from([0, 0.0, 1, 1e-3, 0.5, 3, np.float32(0.5), np.int64(2), 100.0])
POSITIVE = st.sampled_from([1e-3, 0.3, 1, 2.5, np.float64(5), 50])
LOSSES = ["cross_entropy", "hinge", "one_vs_rest_hinge", "squared_hinge"]


def one_each(scores: Any, targets: Any, *_: Any) -> Any:
    return scores.square().sum(dim=1)


def experts() -> st.SearchStrategy[Any]:
    encoders = st.sampled_from([StandardScaler, FunctionTransformer])
    heads = st.sampled_from([None, *HEADS])

    def expert(encoder: Any, head: Any) -> Any:
        return encoder() if head is None else make_pipeline(encoder(), head())

    drawn = st.builds(expert, encoders, heads)
    return st.tuples(drawn, drawn).map(lambda two: list(zip("ab", two, strict=True)))


VALID: dict[str, st.SearchStrategy[Any]] = {
    "experts": experts(),
    **dict.fromkeys(["alpha", "beta", "gamma", "weight_decay"], WEIGHT),
    "teacher_input": st.sampled_from(
        ["adjusted", "base", "predictions", "adjusted+predictions"]
    ),
    "teacher_start": st.sampled_from(["expert", "random"]),
    "distill_from": st.sampled_from(["all", "own", None, ["a"], ("a", "b")]),
    "student_loss": st.sampled_from([*LOSSES, one_each]),
    "teacher_loss": st.sampled_from([*LOSSES, one_each]),
    "distillation_loss": st.sampled_from(["cross_entropy", "kl", "mse", one_each]),
    "temperature": POSITIVE,
    "target_temperature": POSITIVE | st.none(),
    "target_dropout": BOOL,
    "target_gradient": BOOL,
    "class_weight": st.sampled_from(
        [None, "balanced", {"a": "balanced"}, {"a": {0: 2}}, {"b": {"x": 0.5, "z": 0}}]
    ),
    "adjustment_units": st.sampled_from([1, 3, np.int64(2)]),
    "adjustment_dropout": st.floats(0, 0.99),
    "units_per_class": st.sampled_from([0.1, 1, 10, 1e6]),
    "standardize": BOOL,
    "schedule": st.sampled_from(["joint", "alternating"]),
    "n_rounds": st.integers(1, 3),
    "restart_rounds": BOOL,
    "warmup_epochs": st.integers(0, 3),
    "max_epochs": st.integers(0, 3),
    "batch_size": st.sampled_from([1, 5, 26, 1000]),
    "labelled_share": st.floats(0, 0.99),
    "learning_rate": st.sampled_from(["auto", 1e-8, 1e-3, 0.1]),
    "learning_rate_decay": st.sampled_from(["cosine", "constant"]),
    "early_stopping": BOOL,
    "n_iter_no_change": st.integers(1, 3),
    "keep_expert": BOOL,
    "validation_fraction": st.sampled_from([0.1, 0.3, 0.5, 0.99]),
    "memory": st.none(),
    "device": st.sampled_from(["cpu"]),
    "precision": st.sampled_from(["auto", "float32", "bfloat16"]),
    "n_jobs": st.sampled_from([None, 1, 2, -1]),
    "random_state": st.sampled_from([0, 1, 2**32 - 1, None]),
    "warm_start": BOOL,
    "verbose": st.just(0),
    "callbacks": st.sampled_from([None, [], ()]),
    "checkpoint": st.none(),
    "checkpoint_epochs": st.sampled_from([None, 1, 5]),
    "checkpoint_minutes": WEIGHT,
}
JUNK: list[Any] = [
    *(None, True, False, 0, -1, 1, 2.5, -0.5, 10**400, 2**64, float("nan")),
    *(float("inf"), -float("inf"), 1e300, 5e-324, 1j, "", "all", "ü", b"auto", []),
    *([1], ["c"], [None], {}, {"a": 1}, {1}, (), object(), len, int, np.array(1)),
    *(np.array([1, 2]), np.nan, [("a", 3)], [("a", StandardScaler)], X, Path("/")),
    *([("a", None), ("b", "passthrough")], np.random.default_rng(0)),
    [("a", FrozenEstimator(LogisticRegression())), ("b", StandardScaler())],
    [("a", GaussianNB()), ("b", MLPEncoder(max_iter=-1))],
    [("a", StandardScaler())] * 2,
    lambda *given: 1 / 0,
]
# A text would be a place to write to.
PATHS = {"memory", "checkpoint"}


def junk_for(name: str) -> st.SearchStrategy[Any]:
    paths = [v for v in JUNK if not isinstance(v, str | bytes | Path)]
    return st.sampled_from(paths if name in PATHS else JUNK)


def some_of(strategies: dict[str, st.SearchStrategy[Any]], most: int) -> Any:
    names = st.lists(st.sampled_from(list(strategies)), max_size=most, unique=True)
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries({n: strategies[n] for n in chosen})
    )


def test_every_parameter_is_drawn():
    assert set(VALID) == set(JEDIClassifier().get_params(deep=False))


@driver(
    "parameters",
    valid=some_of(VALID, 6),
    junk=some_of({name: junk_for(name) for name in VALID}, 1),
)
def test_parameters(valid: dict[str, Any], junk: dict[str, Any]) -> None:
    small = {"max_epochs": 1, "adjustment_units": 2, "device": "cpu", "random_state": 0}
    parameters = {"experts": EXPERTS, **small, **valid, **junk}
    clf = JEDIClassifier(**parameters)
    named = [*junk, *valid, "a", "b"]
    result = outcome(lambda: clf.fit(X, Y), named, X, Y)
    if isinstance(result, Refused):
        assert junk, f"parameters in their ranges were refused: {result}"
        return
    check_history(clf)
    outcome(lambda: check_predictions(clf, X), [], X)
    outcome(lambda: check_table(clf, X, Y), [], X, Y)
