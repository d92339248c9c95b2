"""A fit of many parts, and a digest of all that it learns; also as a program."""

from __future__ import annotations

import hashlib
import random
import sys
from typing import Any

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.random_projection import GaussianRandomProjection
from sklearn.svm import LinearSVC
from small_fits import small_classifier

from benchmarks.fit_kills import bits_of
from jedi_sklearn import JEDIClassifier
from jedi_sklearn.encoders import MLPEncoder

NAMES = ("hmdb", "kinetics", "something", "ucf")


def data() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return four datasets with labels in words, some of them unknown."""
    rng = np.random.default_rng(0)
    X = {name: rng.normal(size=(50 + 7 * k, 12)) for k, name in enumerate(NAMES)}
    y = {}
    for name, rows in X.items():
        labels = np.array(["clap", "run", "wave"], dtype=object)[
            (rows[:, :2] > 0).sum(axis=1)
        ]
        labels[-5:] = None
        y[name] = labels
    return X, y


def experts() -> list[tuple[str, Any]]:
    """Return experts that draw random numbers in many ways, none with a seed."""
    encoders = (
        MiniBatchKMeans(4, batch_size=16, n_init=1),
        PCA(3, svd_solver="randomized", n_oversamples=1, iterated_power=1),
        MLPEncoder(5, max_iter=20),
        GaussianRandomProjection(4),
    )
    heads = (
        LogisticRegression(solver="saga", max_iter=2000, tol=0.1),
        LinearSVC(),
        LinearSVC(),
        LogisticRegression(),
    )
    return [
        (name, make_pipeline(encoder, head))
        for name, encoder, head in zip(NAMES, encoders, heads, strict=True)
    ]


def classifier(**params: Any) -> JEDIClassifier:
    """Return one that draws rows, dropout, weights and a held-out part."""
    defaults: dict[str, Any] = {
        "max_epochs": 2,
        "adjustment_dropout": 0.5,
        "labelled_share": 0.5,
        "validation_fraction": 0.2,
        "early_stopping": True,
        "random_state": 3,
    }
    return small_classifier(params.pop("experts", experts()), **defaults | params)


def digest(fitted: JEDIClassifier, X: Any) -> str:
    """Return what differs if a bit of what a fit learned does."""
    found = hashlib.sha256(bits_of(fitted))
    for models in (fitted.students_, fitted.teachers_):
        for name, model in models.items():
            found.update(model.predict_proba(X[name]).tobytes())
    return found.hexdigest()


def fitted_digest(seed: int | None = None, **params: Any) -> str:
    """Fit, with other global seeds."""
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
    X, y = data()
    return digest(classifier(**params).fit(X, y), X)


if __name__ == "__main__":
    print(fitted_digest(int(sys.argv[1])))
