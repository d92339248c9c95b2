"""Embeddings that are columns of the rows are views of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jedi_sklearn.experts.embed import embed

X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)


def _selector(columns=slice(2, 5), **params):
    return ColumnTransformer([("own", "passthrough", columns)], **params).fit(X)


@pytest.mark.parametrize(
    "encoder",
    [
        _selector(),
        FrozenEstimator(_selector()),
        make_pipeline(_selector()),
        FrozenEstimator(make_pipeline(FrozenEstimator(_selector()))),
        _selector(slice(-3, None)),
    ],
    ids=str,
)
def test_embed__selector_of_a_run_of_columns__view(encoder):
    embedding = embed(encoder, X, "e")
    assert np.shares_memory(embedding, X)
    np.testing.assert_array_equal(embedding, encoder.transform(X))


@pytest.mark.parametrize(
    "encoder",
    [
        _selector([2, 4]),
        _selector(slice(0, 6, 2)),
        _selector(remainder="passthrough"),
        _selector(transformer_weights={"own": 2.0}),
        make_column_transformer((StandardScaler(), slice(2, 5))).fit(X),
        make_column_transformer(
            ("passthrough", slice(0, 2)), ("passthrough", slice(3, 6))
        ).fit(X),
        make_pipeline(_selector(), StandardScaler()).fit(X),
    ],
    ids=str,
)
def test_embed__encoder_that_does_more__what_it_makes(encoder):
    np.testing.assert_array_equal(embed(encoder, X, "e"), encoder.transform(X))


def test_embed__selector__other_kinds_of_rows__what_it_makes():
    encoder = _selector()
    np.testing.assert_array_equal(embed(encoder, X.astype(float), "e"), X[:, 2:5])
    np.testing.assert_array_equal(embed(encoder, X.tolist(), "e"), X[:, 2:5])
    frame = pd.DataFrame(X, columns=list("abcdef"))
    named = make_column_transformer(("passthrough", ["c", "d"])).fit(frame)
    np.testing.assert_array_equal(embed(named, frame, "e"), X[:, 2:4])


def test_embed__selector__rows_of_another_width__refused_as_by_scikit_learn():
    with pytest.raises(ValueError, match="X has 5 features, but ColumnTransformer"):
        embed(_selector(), X[:, :5], "e")


def test_embed__selector__rows_that_are_not_finite__refused():
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"'e' returned NaN or infinity.*row 3"):
        embed(_selector(), bad, "e")
