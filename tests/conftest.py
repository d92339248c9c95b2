"""Fixtures of several files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import make_blobs
from small_fits import Data

from jedi_sklearn import MultiDataset, MultiTarget, stack_datasets


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


@pytest.fixture(scope="module")
def quiet_transformers() -> Iterator[None]:
    """What transformers prints while it loads a model is not printed."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()
    logging.set_verbosity(before)


# --------------------------------------------------------------------------------------
# Of tests/clients: small data in the forms that other people's tools take.
# --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def dicts() -> Data:
    from client_fits import make_dicts

    return make_dicts()


@pytest.fixture(scope="session")
def pair(dicts: Data) -> tuple[MultiDataset, MultiTarget]:
    return stack_datasets(*dicts)


@pytest.fixture(scope="session")
def table(dicts: Data) -> tuple[np.ndarray, np.ndarray]:
    """One dataset as a plain array."""
    return dicts[0]["digits"], dicts[1]["digits"]


@pytest.fixture(scope="session")
def frame(pair: tuple[MultiDataset, MultiTarget]) -> tuple[pd.DataFrame, pd.Series]:
    """The pair as a DataFrame whose index has a level ``dataset``, and a Series."""
    X, y = pair
    index = pd.Index(X.groups, name="dataset")
    rows = np.vstack(list(X.values()))
    return pd.DataFrame(rows, index, list("uvwx")), pd.Series(np.asarray(y), index)
