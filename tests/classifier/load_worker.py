"""What the tests under load run, here and in other processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_fits import small_classifier

from jedi_sklearn import stack_datasets
from jedi_sklearn.encoders import TorchEncoder

SIZES = {"a": 60, "b": 50}


def data() -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(0)
    X = {name: rng.normal(size=(n, 6)) for name, n in SIZES.items()}
    return X, {name: (rows[:, 0] > 0).astype(int) for name, rows in X.items()}


def network_experts() -> list[tuple[str, Any]]:
    X, y = data()
    generator = torch.Generator().manual_seed(0)
    experts: list[tuple[str, Any]] = []
    for name in SIZES:
        module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh())
        with torch.no_grad():
            for weight in module.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator))
        expert = make_pipeline(TorchEncoder(module, layer=""), LogisticRegression())
        experts.append((name, FrozenEstimator(expert.fit(X[name], y[name]))))
    return experts


def frozen_experts(seed: int = 0) -> list[tuple[str, Any]]:
    X, y = data()
    rng = np.random.default_rng(seed)
    return [
        (
            name,
            FrozenEstimator(
                make_pipeline(StandardScaler(), LogisticRegression()).fit(
                    rng.normal(size=X[name].shape), y[name]
                )
            ),
        )
        for name in SIZES
    ]


def predictions(experts: Any = None) -> dict[str, Any]:
    """Fit and predict."""
    X, y = data()
    fitted = small_classifier(experts).fit(X, y)
    return dict(fitted.predict_proba(X))


def put_predictions(queue: Any, experts: Any = None) -> None:
    queue.put(predictions(experts))


def put_call(queue: Any, function: Any, argument: Any) -> None:
    queue.put(function(argument))


def answer_of(method: str, target: Any, *args: Any, seconds: float = 60) -> Any:
    """Return what a child process puts; an error if it hangs."""
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=target, args=(queue, *args))  # type: ignore[attr-defined]
    child.start()
    try:
        return queue.get(timeout=seconds)
    finally:
        child.kill()
        child.join()


class Noting(TransformerMixin, BaseEstimator):
    """Hands rows on, and notes each in a file."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def fit(self, X: Any, y: Any = None) -> Noting:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fingerprint(self) -> Any:
        return "noting"

    def transform(self, X: Any) -> Any:
        with self.log.open("a") as file:
            file.writelines(f"{row[0]!r}\n" for row in np.asarray(X))
        return np.asarray(X, dtype=np.float32)


def search(queue: Any, path: Path) -> None:
    """Search with a store that another process uses, too."""
    X, y = data()
    experts = [(name, FrozenEstimator(Noting(path / "log"))) for name in SIZES]
    clf = small_classifier(experts, memory=path / "store", max_epochs=2)
    grid = GridSearchCV(clf, {"alpha": [0.5, 1.0]}, cv=3)
    grid.fit(*stack_datasets(X, y))
    queue.put(grid.cv_results_["mean_test_score"].tolist())
