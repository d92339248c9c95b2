"""Samples of any kind in a store: the same rows come out that went in."""

from __future__ import annotations

import tempfile
from typing import Any

import faults
import numpy as np
import torch
from budget import driver
from hypothesis import strategies as st
from outcomes import Refused, outcome
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import FunctionTransformer
from strategies import FAMILIES, Flatten

from jedi_sklearn.embeddings import EmbeddingStore, StoredRows

KINDS = [(family, kind) for family, kinds in FAMILIES.items() for kind in kinds]
ENCODERS = {"cubes": Flatten, "texts": lambda: HashingVectorizer(n_features=4)}


@st.composite
def samples(draw: st.DrawFn) -> tuple[str, bool, Any]:
    """Draw a family, whether the samples are all good, and the samples."""
    n_rows = draw(st.integers(1, 9))
    family, kind = draw(st.sampled_from([k for k in KINDS if k[0] != "tables"]))
    if draw(st.integers(0, 2)) == 0:
        values = faults.ROWS[draw(st.sampled_from(list(faults.ROWS)))](n_rows)
        return family, False, values
    return family, True, FAMILIES[family][kind](np.random.default_rng(n_rows), n_rows)


def rounded(embedding: np.ndarray, dtype: str) -> np.ndarray:
    numbers = torch.from_numpy(embedding.astype(np.float32))
    return numbers.to(getattr(torch, dtype)).float().numpy()


@driver(
    "store",
    given=samples(),
    dtype=st.sampled_from(["float32", "float16", "bfloat16"]),
    shard_rows=st.integers(1, 5),
    on_error=st.sampled_from(["raise", "skip"]),
    name=st.sampled_from(
        ["d", "", "ü/", ".", "..", "x" * 300, "\udc80", "con", "a\0", "%"]
    ),
    rows=st.lists(st.integers(0, 8), max_size=12),
)
def test_store(
    given: Any, dtype: str, shard_rows: int, on_error: str, name: str, rows: list[int]
) -> None:
    family, are_good, X = given
    encoder = ENCODERS.get(family, FunctionTransformer)()
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddingStore(
            folder, dtype=dtype, shard_rows=shard_rows, on_error=on_error
        )

        def extract() -> StoredRows:
            return store.extract([("e", encoder)], {name: X}).features("e", X)

        stored = outcome(extract, ["e", name], X)
        if isinstance(stored, Refused):
            assert not are_good or name in ("", "ü/", "\udc80", "a\0"), stored
            return
        assert store.verify() == []
        missing = stored.missing
        assert len(store.failures()) <= missing.sum()
        assert are_good <= (not missing.any())
        if not missing.any():
            expected = encoder.transform(X)
            expected = np.asarray(getattr(expected, "toarray", lambda: expected)())
            check_rows(stored, rounded(expected, dtype), rows)
        again = outcome(extract, ["e", name], X)
        assert not isinstance(again, Refused), again
        first = np.asarray(stored[~missing])
        np.testing.assert_array_equal(np.asarray(again[~missing]), first)


def check_rows(stored: StoredRows, expected: np.ndarray, rows: list[int]) -> None:
    assert stored.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(stored), expected)
    chosen = np.array([row for row in rows if row < len(expected)], dtype=int)
    view = stored[chosen]
    np.testing.assert_array_equal(np.asarray(view), expected[chosen])
    np.testing.assert_array_equal(np.asarray(view[::-1]), expected[chosen][::-1])
    np.testing.assert_array_equal(stored.take(chosen), expected[chosen])
