"""Small data in the forms that other people's tools take."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from client_fits import Dicts, make_dicts

from jedi_sklearn import MultiDataset, MultiTarget, stack_datasets


@pytest.fixture(scope="session")
def dicts() -> Dicts:
    return make_dicts()


@pytest.fixture(scope="session")
def pair(dicts: Dicts) -> tuple[MultiDataset, MultiTarget]:
    return stack_datasets(*dicts)


@pytest.fixture(scope="session")
def table(dicts: Dicts) -> tuple[np.ndarray, np.ndarray]:
    """One dataset as a plain array."""
    return dicts[0]["digits"], dicts[1]["digits"]


@pytest.fixture(scope="session")
def frame(pair: tuple[MultiDataset, MultiTarget]) -> tuple[pd.DataFrame, pd.Series]:
    """The pair as a DataFrame whose index has a level ``dataset``, and a Series."""
    X, y = pair
    index = pd.Index(X.groups, name="dataset")
    rows = np.vstack(list(X.values()))
    return pd.DataFrame(rows, index, list("uvwx")), pd.Series(np.asarray(y), index)
