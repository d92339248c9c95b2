"""Four encoders that see pictures in unlike ways, one for each dataset's expert."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from .cnn import CNNEncoder
from .filters import GradientHistograms, RandomConvolutions

# Which dataset has which kind of expert. Those of the bundled datasets were chosen on
# held-out training rows (`python -m benchmarks.evidence.choose`) to be unlike, and
# neither useless nor perfect; those of the full datasets are alike.
KINDS = {
    "digits": "components",
    "fashion": "network",
    "letters": "convolutions",
    "numerals": "gradients",
    "mnist": "convolutions",
    "fashion_mnist": "network",
    "kuzushiji": "gradients",
    "usps": "components",
}


def make_encoders(seed: int) -> dict[str, BaseEstimator]:
    """Return one unfitted encoder of (n, 28, 28) images of each kind."""
    return {
        "components": make_pipeline(
            FunctionTransformer(flatten), PCA(0.95, svd_solver="full")
        ),
        "network": CNNEncoder(random_state=seed),
        "convolutions": RandomConvolutions(random_state=seed),
        "gradients": GradientHistograms(),
    }


def make_experts(seed: int, datasets: list[str]) -> dict[str, Pipeline]:
    """Return an unfitted expert, an encoder and a linear head, for each dataset."""
    return {
        name: make_expert(make_encoders(seed)[KINDS[name]]) for name in sorted(datasets)
    }


def make_expert(encoder: Any) -> Pipeline:
    """Return an expert: the encoder, its features standardised, and a head."""
    return Pipeline(
        [
            ("encoder", make_pipeline(encoder, StandardScaler())),
            ("head", LogisticRegression(max_iter=2000)),
        ]
    )


def flatten(images: np.ndarray) -> np.ndarray:
    """Return every image as a row of pixels."""
    return images.reshape(len(images), -1)
