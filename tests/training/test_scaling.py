"""Standardised features, and weights that do on them what they did on raw ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_losses import (
    CASES,
    TEACHER_INPUTS,
    Problem,
    make_batch,
    make_network,
    seen_by_teachers,
)

from jedi_sklearn.models.weights import Weights
from jedi_sklearn.training.data.batch import Scores
from jedi_sklearn.training.network import scaling as scaling_module
from jedi_sklearn.training.network.scaling import Scaling

pytestmark = pytest.mark.usefixtures("global_random_states_stay")

FOUR = CASES["four datasets"][0]
WIDTHS = list(FOUR.rows.widths)
N_FEATURES = sum(WIDTHS)


def _scaling(seed: int = 0, largest: float = 10.0) -> Scaling:
    rng = np.random.default_rng(seed)
    mean = rng.normal(scale=largest, size=N_FEATURES)
    return Scaling(mean, rng.uniform(1 / largest, largest, size=N_FEATURES))


def _enter(scaling: Scaling, problem: Problem, weights: Weights) -> Weights:
    return scaling.enter_weights(
        weights,
        problem.tasks,
        WIDTHS,
        sees_embeddings=problem.teacher_input != "predictions",
    )


def _parts(weights: Weights, kind: str) -> list[np.ndarray]:
    layers = [layer for a in weights.adjustments for layer in a]
    return [getattr(w, kind) for w in (*layers, *weights.heads, *weights.teachers)]


def _assert_close(given: Any, expected: Any, **tolerance: float) -> None:
    for here, there in zip(given, expected, strict=True):
        assert here.dtype == np.float32
        np.testing.assert_allclose(here, there, **tolerance)


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), largest=st.floats(1.0, 30.0))
def test_inverse__undoes_enter_weights(teacher_input, seed, largest):
    problem = seen_by_teachers(FOUR, teacher_input)
    scaling = _scaling(seed, largest)
    there = _enter(scaling, problem, problem.weights)
    back = _enter(scaling.inverse(), problem, there)
    # Intercepts pass through sums with means that are so many times as large.
    _assert_close(_parts(back, "coef"), _parts(problem.weights, "coef"), rtol=1e-6)
    _assert_close(
        _parts(back, "intercept"),
        _parts(problem.weights, "intercept"),
        atol=3e-6 * largest,
    )


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_enter_weights__what_sees_predictions_alone__is_not_touched(teacher_input):
    problem = seen_by_teachers(FOUR, teacher_input)
    entered = _enter(_scaling(), problem, problem.weights)
    n_seen = 0 if teacher_input == "predictions" else N_FEATURES
    for before, after in zip(problem.weights.teachers, entered.teachers, strict=True):
        np.testing.assert_array_equal(after.coef[:, n_seen:], before.coef[:, n_seen:])
        assert (after.coef[:, :n_seen] != before.coef[:, :n_seen]).all()
        moved = after.intercept != before.intercept
        assert moved.all() if n_seen else not moved.any()


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_enter_weights__network_on_scaled_features__equals_that_on_raw(teacher_input):
    problem = seen_by_teachers(FOUR, teacher_input)
    scaling = _scaling()
    entered = problem._replace(weights=_enter(scaling, problem, problem.weights))
    batch = make_batch(problem)
    mean, scale = torch.from_numpy(scaling.mean), torch.from_numpy(scaling.scale)
    scaled = replace(batch, features=(batch.features - mean) / scale)
    _assert_same_scores(make_network(entered)(scaled), make_network(problem)(batch))
    # The way back: one that was trained on scaled features works on raw ones.
    left = problem._replace(weights=_enter(scaling.inverse(), problem, problem.weights))
    _assert_same_scores(make_network(left)(batch), make_network(problem)(scaled))


def _assert_same_scores(given: Scores, expected: Scores) -> None:
    for group, others in zip(
        vars(given).values(), vars(expected).values(), strict=True
    ):
        for here, there in zip(group, others, strict=True):
            np.testing.assert_allclose(here.detach(), there.detach(), atol=2e-5)


def test_enter_weights__no_adjustments_and_teachers_yet__heads_alone():
    start = FOUR.weights._replace(adjustments=[], teachers=[])
    entered = _enter(_scaling(), FOUR, start)
    assert entered.adjustments == entered.teachers == []
    full = _enter(_scaling(), FOUR, FOUR.weights)
    np.testing.assert_equal(entered.heads, full.heads)


def test_identity__changes_no_bit():
    identity = Scaling.identity(N_FEATURES)
    features = FOUR.rows.features
    np.testing.assert_array_equal(identity.apply(features), features)
    for scaling in (identity, identity.inverse()):
        np.testing.assert_equal(_enter(scaling, FOUR, FOUR.weights), FOUR.weights)


def test_inverse__of_the_inverse__is_the_scaling():
    scaling = _scaling()
    again = scaling.inverse().inverse()
    np.testing.assert_allclose(again.mean, scaling.mean, rtol=1e-12)
    np.testing.assert_allclose(again.scale, scaling.scale, rtol=1e-12)
    features = FOUR.rows.features
    back = scaling.inverse().apply(scaling.apply(features))
    np.testing.assert_allclose(back, features, atol=1e-4)


def test_of__each_embedding_has_mean_0_and_variance_1__with_its_proportions():
    rng = np.random.default_rng(0)
    scales = np.array([1.0, 5.0, 100.0, 200.0, 300.0])
    features = (rng.normal(size=(500, 5)) * scales + 50).astype(np.float32)
    scaled = Scaling.of(features, [2, 3]).apply(features)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), np.zeros(5), atol=1e-4)
    variance = scaled.var(axis=0)
    assert variance[:2].mean() == pytest.approx(1.0, rel=1e-4)
    assert variance[2:].mean() == pytest.approx(1.0, rel=1e-4)
    raw = features.astype(float).var(axis=0)
    for part in (slice(0, 2), slice(2, 5)):
        proportions = variance[part] / raw[part]
        np.testing.assert_allclose(proportions, proportions[0], rtol=1e-4)


def test_of__embedding_that_is_constant__keeps_its_scale():
    features = np.full((20, 3), 1e4, np.float32)
    features[:, 2] = np.arange(20)
    scaling = Scaling.of(features, [2, 1])
    np.testing.assert_array_equal(scaling.scale[:2], [1.0, 1.0])
    np.testing.assert_allclose(scaling.apply(features)[:, :2], np.zeros((20, 2)))


class Once:
    """Features of which no row may be read twice."""

    def __init__(self, features: np.ndarray) -> None:
        self.features, self.shape = features, features.shape
        self.read: list[int] = []

    def __getitem__(self, run: slice) -> np.ndarray:
        self.read += range(len(self.features))[run]
        return self.features[run].copy()


@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("at_once", [1, 7, 100, 101, 1000])
def test_moments__in_parts_in_one_reading__those_of_numpy(monkeypatch, mean, at_once):
    # The variance is a hundred-millionth of the square of the mean: what takes the
    # difference of sums of squares has nothing left of it in single precision, and
    # half of the digits in double precision.
    rng = np.random.default_rng(0)
    scales = np.array([1.0, 0.1, 30.0])
    features = (rng.normal(size=(101, 3)) * scales + mean).astype(np.float32)
    # Parts that differ, as those of datasets do.
    features[60:] += np.float32([5.0, -3.0, 0.0])
    monkeypatch.setattr(scaling_module, "BYTES_AT_ONCE", 8 * 3 * at_once)
    once = Once(features)
    given_mean, variance = scaling_module._moments(once)
    assert once.read == list(range(101))
    exact = features.astype(np.float64)
    np.testing.assert_allclose(given_mean, exact.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(variance, exact.var(axis=0), rtol=1e-11)
    assert given_mean.dtype == variance.dtype == np.float64
    np.testing.assert_array_equal(once.features, features)


@settings(deadline=None)
@given(
    n_rows=st.integers(1, 30),
    n_features=st.integers(1, 4),
    at_once=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_moments__any_parts__those_of_numpy(n_rows, n_features, at_once, seed):
    rng = np.random.default_rng(seed)
    means = rng.normal(scale=1e4, size=n_features)
    features = (rng.normal(size=(n_rows, n_features)) + means).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaling_module, "BYTES_AT_ONCE", 8 * n_features * at_once)
        mean, variance = scaling_module._moments(features)
    exact = features.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(variance, exact.var(axis=0), rtol=1e-10, atol=1e-12)
