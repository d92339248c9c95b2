"""
Embeddings made by many machines
================================

Shards of a store can be made anywhere that shares its directory: joblib hands them to
the workers of a dask cluster, here two processes of this machine. A worker that is
lost takes no more with it than the shard that it was at, which another makes anew. The
search that follows runs on the same workers and embeds nothing.
"""

import tempfile

from distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from jedi_sklearn import JEDIClassifier, stack_datasets
from jedi_sklearn.datasets import load_glyphs
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders import MLPEncoder

GAMMAS = [0.0, 0.4]


def main():
    """Fill a store and search on a cluster."""
    X, y = load_glyphs("train")
    experts = []
    for name, images in X.items():
        expert = make_pipeline(MLPEncoder(random_state=0), LogisticRegression())
        expert.fit(images[:100], y[name][:100])
        experts.append((name, FrozenEstimator(expert)))
    X = {name: images[100:300] for name, images in X.items()}
    y = {name: labels[100:300] for name, labels in y.items()}

    # On other machines: Client("tcp://scheduler:8786"), and a path that they all see.
    store = EmbeddingStore(tempfile.mkdtemp(), shard_rows=64)
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), parallel_config(backend="dask"):
        store.extract(experts, X, n_jobs=-1, verbose=1)
        print(store.info().groupby("expert")[["n_rows", "n_shards"]].sum())
        search = GridSearchCV(
            JEDIClassifier(experts, memory=store, max_epochs=5, random_state=0),
            {"gamma": GAMMAS},
            cv=2,
            n_jobs=-1,
        ).fit(*stack_datasets(X, y))
    scores = search.cv_results_["mean_test_score"]
    for gamma, score in zip(GAMMAS, scores, strict=True):
        print(f"gamma={gamma}: {score:.3f}")


if __name__ == "__main__":  # the workers import this file, too
    main()
