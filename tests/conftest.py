"""Fixtures of several folders."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from small_fits import Data

# pytest cannot look for doctests in several modules of one name.
collect_ignore_glob = ["*conftest.py"]

# The session of nox for other people's tools is without Hypothesis.
with suppress(ImportError):
    from hypothesis import HealthCheck, settings

    # A busy machine is slow, which is no failure.
    settings.register_profile(
        "no limits", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("no limits")


def _global_states() -> list[Any]:
    return [
        torch.get_rng_state().numpy(),
        np.random.get_state(legacy=False),  # noqa: NPY002
        random.getstate(),
    ]


@pytest.fixture
def global_random_states_stay() -> Iterator[None]:
    before = _global_states()
    yield
    np.testing.assert_equal(_global_states(), before)


@pytest.fixture(scope="module")
def data() -> Data:
    """Three classes that overlap, two classes, and rows without labels, the last."""
    X, y = make_blobs([40, 40, 40], n_features=5, cluster_std=4.0, random_state=0)
    codes = y.astype(np.int64)
    X_dict = {"a": X[:45] + 3.0, "b": X[45:75] * [1, 2, 0.5, 1, 1], "u": X[75:]}
    labels_of_a = np.array(["x", "y", "z"])[codes[:45]].astype(object)
    labels_of_a[40:] = None
    return X_dict, {"a": labels_of_a, "b": (codes[45:75] > 0).astype(int)}
