"""imbalanced-learn: samplers before the classifier in its Pipeline."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from client_fits import classifier
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold
from jedi_sklearn.preprocessing import PerDataset

pytest.importorskip("imblearn")
from imblearn import FunctionSampler
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline

SAMPLERS = [RandomOverSampler(random_state=0), SMOTE(k_neighbors=2, random_state=0)]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_sampler_before_one_table__trains_on_its_rows_and_predicts_all(table, sampler):
    pipeline = make_pipeline(StandardScaler(), sampler, classifier("digits"))
    piped = pipeline.fit(*table).predict_proba(table[0])
    scaled = StandardScaler().fit_transform(table[0])
    X, y = clone(sampler).fit_resample(scaled, table[1])
    assert len(set(Counter(y.tolist()).values())) == 1
    plain = classifier("digits").fit(X, y)
    np.testing.assert_array_equal(piped, plain.predict_proba(scaled))
    # What was sampled is what the classifier saw, and not the rows as they were.
    other = classifier("digits").fit(scaled, table[1])
    assert not np.array_equal(piped, other.predict_proba(scaled))


def oversample(X, y):
    """Repeat rows of the rarer classes of each dataset; keep unlabelled rows."""
    labelled, labels = X.labelled(), np.asarray(y)
    chosen = [np.flatnonzero(~labelled)]
    for name in X:
        rows = X.rows_of(name)
        rows = rows[labelled[rows]]
        sampler = RandomOverSampler(random_state=0)
        sampler.fit_resample(rows[:, None], labels[rows])
        chosen.append(rows[sampler.sample_indices_])
    chosen = np.concatenate(chosen)
    return X[chosen], y[chosen]


def test_function_sampler__of_a_stacked_pair__evens_out_each_dataset(dicts):
    X_dict, y_dict = dicts
    labels = {**y_dict, "digits": np.where(np.arange(36) < 30, y_dict["digits"], -1)}
    X, y = stack_datasets(X_dict, labels)
    counts = Counter(np.asarray(oversample(X, y)[1]).tolist())
    assert counts == {
        "digits": 6,
        **{f"digits/{label}": 16 for label in (0, 1, 2)},
        **{f"fashion/{label}": 20 for label in ("Bag", "Sandal")},
    }
    pipeline = make_pipeline(
        PerDataset(StandardScaler()),
        FunctionSampler(func=oversample, validate=False),
        classifier(),
    )
    piped = pipeline.fit(X, y).predict_proba(X)
    scaler = PerDataset(StandardScaler()).fit(X, y)
    scaled = scaler.transform(X)
    plain = classifier().fit(*oversample(scaled, y))
    np.testing.assert_array_equal(piped, plain.predict_proba(scaled))
    # In each fold the rows that are trained on, and none that are scored.
    cv = MultiDatasetKFold(2)
    scores = cross_val_score(pipeline, X, y, cv=cv, error_score="raise")
    for score, (train, test) in zip(scores, cv.split(X, y), strict=True):
        alone = clone(pipeline).fit(X[train], y[train])
        assert score == alone.score(X[test], y[test])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_sampler_of_several_datasets__says_that_they_are_no_array(pair, sampler):
    with pytest.raises(TypeError, match=r"is not an array; X\[name\] gives the rows"):
        make_pipeline(sampler, classifier()).fit(*pair)


def test_sampler_of_a_frame__loses_the_datasets_and_is_told(frame):
    # It gives the rows a new index.
    with pytest.raises(ValueError, match="'dataset' is labelled but has no expert"):
        make_pipeline(RandomOverSampler(), classifier()).fit(*frame)


def test_sampler_in_per_dataset__is_no_transformer(pair):
    with pytest.raises(ValueError, match=r"on dataset 'digits'.*no attribute"):
        make_pipeline(PerDataset(RandomOverSampler()), classifier()).fit(*pair)
