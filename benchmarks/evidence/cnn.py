"""A small convolutional network, trained on its dataset's labelled rows alone."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from torch.nn import functional as F

from .filters import Features, Images, chunks

Weights = dict[str, torch.Tensor]


class CNNEncoder(TransformerMixin, BaseEstimator):
    """The last hidden layer of a network of two convolutions and one full layer.

    The weights are kept in NumPy, and random numbers come from a generator of its own.

    Parameters
    ----------
    n_features : int, default=64
        Width of the layer that is the embedding.
    n_steps : int, default=400
    batch_size : int, default=64
    learning_rate : float, default=3e-3
        Of AdamW; it falls to zero along a half cosine.
    dropout : float, default=0.5
        On the embedding, in training.
    shift : int, default=2
        Every image is moved by up to so many pixels along each side at every step, or
        the network would know its few rows by heart.
    random_state : int, default=0
    """

    def __init__(
        self,
        n_features: int = 64,
        n_steps: int = 400,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        dropout: float = 0.5,
        shift: int = 2,
        random_state: int = 0,
    ) -> None:
        self.n_features = n_features
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.shift = shift
        self.random_state = random_state

    def fit(self, X: Images, y: npt.ArrayLike) -> Self:
        """Train the network to tell the classes of y, none of them missing."""
        generator = torch.Generator().manual_seed(self.random_state)
        images = as_tensor(X)
        classes, codes = np.unique(y, return_inverse=True)
        targets = torch.from_numpy(codes)
        weights = first_weights(self.n_features, len(classes), generator)
        optimizer = torch.optim.AdamW(weights.values(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.n_steps)
        for _ in range(self.n_steps):
            rows = torch.randint(len(images), (self.batch_size,), generator=generator)
            hidden = embed(weights, shifted(images[rows], self.shift, generator))
            kept = torch.rand(hidden.shape, generator=generator) >= self.dropout
            hidden = hidden * kept / (1 - self.dropout)
            logits = F.linear(hidden, weights["out"], weights["out_bias"])
            loss = F.cross_entropy(logits, targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        self.weights_ = {k: w.detach().numpy().copy() for k, w in weights.items()}
        return self

    @torch.no_grad()
    def transform(self, X: Images) -> Features:
        """Return the last hidden layer for each image."""
        weights = {k: torch.from_numpy(w) for k, w in self.weights_.items()}
        parts = [embed(weights, as_tensor(part)).numpy() for part in chunks(X)]
        return np.concatenate(parts)


def as_tensor(images: Images) -> torch.Tensor:
    """Return images with one channel, a copy: theirs may be a read-only file."""
    return torch.from_numpy(np.array(images, dtype=np.float32))[:, None]


def first_weights(width: int, n_classes: int, generator: torch.Generator) -> Weights:
    """Draw weights by He's rule, with biases of zero."""
    shapes = {
        "one": (16, 1, 5, 5),
        "two": (32, 16, 3, 3),
        "full": (width, 32 * 7 * 7),
        "out": (n_classes, width),
    }
    weights = {}
    for name, shape in shapes.items():
        scale = (2 / np.prod(shape[1:])) ** 0.5
        weights[name] = torch.randn(shape, generator=generator) * float(scale)
        weights[f"{name}_bias"] = torch.zeros(shape[0])
    return {name: w.requires_grad_() for name, w in weights.items()}


def embed(weights: Weights, images: torch.Tensor) -> torch.Tensor:
    """Return the last hidden layer."""
    hidden: Any = images
    for name, padding in (("one", 2), ("two", 1)):
        hidden = F.conv2d(hidden, weights[name], weights[f"{name}_bias"], 1, padding)
        hidden = F.max_pool2d(F.relu(hidden), 2)
    return F.relu(F.linear(hidden.flatten(1), weights["full"], weights["full_bias"]))


def shifted(images: torch.Tensor, by: int, generator: torch.Generator) -> torch.Tensor:
    """Move each image by up to `by` pixels up or down and left or right."""
    if by == 0:
        return images
    n, _, height, width = images.shape
    large = F.pad(images, (by, by, by, by))[:, 0]
    down, right = torch.randint(2 * by + 1, (2, n, 1), generator=generator)
    rows = (down + torch.arange(height))[:, :, None]
    columns = (right + torch.arange(width))[:, None, :]
    return large[torch.arange(n)[:, None, None], rows, columns][:, None]
