"""joblib: the same fits in threads, in processes and on Dask."""

from __future__ import annotations

import numpy as np
import pytest
from client_fits import classifier
from joblib import Parallel, delayed, parallel_config
from sklearn.model_selection import GridSearchCV

from jedi_sklearn.model_selection import MultiDatasetKFold

SEEDS = range(4)


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_fits_side_by_side__give_the_same_bits(pair, backend):
    X, y = pair
    side_by_side = Parallel(n_jobs=2, backend=backend)(
        delayed(classifier(random_state=seed).fit)(X, y) for seed in SEEDS
    )
    for seed, clf in zip(SEEDS, side_by_side, strict=True):
        alone = classifier(random_state=seed).fit(X, y)
        np.testing.assert_array_equal(clf.predict_proba(X), alone.predict_proba(X))
        assert clf.history_.equals(alone.history_)


# joblib forgets an array twice where two threads let it go at once: no harm is done.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*_WeakKeyDictionary"
    ":pytest.PytestUnraisableExceptionWarning"
)
def test_search_on_a_cluster_in_this_process__finds_the_same(pair):
    distributed = pytest.importorskip("distributed")
    on_cluster, here = (
        GridSearchCV(
            classifier(),
            {"alpha": [0.5, 1.0], "gamma": [0.1, 5.0]},
            cv=MultiDatasetKFold(2),
            scoring="neg_log_loss",
            error_score="raise",
        )
        for _ in range(2)
    )
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        on_cluster.fit(*pair)
    here.fit(*pair)
    scores = here.cv_results_["mean_test_score"]
    assert len(set(scores)) == 4
    np.testing.assert_array_equal(on_cluster.cv_results_["mean_test_score"], scores)
    X, _ = pair
    np.testing.assert_array_equal(on_cluster.predict_proba(X), here.predict_proba(X))
