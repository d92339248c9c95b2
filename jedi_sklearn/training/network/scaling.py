"""Standardised features for the training, folded exactly into the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch

from ...models.weights import Adjustment, Linear, Weights
from ..data.features import FeatureArray, Features
from .weights import Task, linear_float32

# Size of the parts of the features, in double precision, in the statistics.
BYTES_AT_ONCE = 2**26

Vector = npt.NDArray[np.float64]


class Scaling(NamedTuple):
    """Shift and scale of each feature: ``(x - mean) / scale``.

    Weights can be folded into it and out of it, exactly but for rounding: trained on
    standardised features, they work on raw ones.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,), float64
    """

    mean: Vector
    scale: Vector

    @classmethod
    def of(cls, features: Features, widths: Sequence[int]) -> Self:
        """Return the scaling that standardises the embedding of each expert.

        Every feature gets mean 0. The features of an expert are divided by one
        number, so that their variances have mean 1 but keep their proportions: a
        feature that is nearly constant is not blown up.

        Parameters
        ----------
        features : ndarray or LazyFeatures of shape (n_rows, n_features)
        widths : sequence of int
            Width of each expert's embedding.
        """
        mean, variance = _moments(features)
        scales = [
            np.sqrt(part.mean()) for part in np.split(variance, np.cumsum(widths)[:-1])
        ]
        # An embedding that is constant but for rounding must not be blown up.
        scale = np.repeat(scales, widths)
        constant = scale <= 1e-6 * np.abs(mean)
        return cls(mean, np.where(constant, 1.0, scale))

    @classmethod
    def identity(cls, n_features: int) -> Self:
        """Return the scaling that changes nothing."""
        return cls(np.zeros(n_features), np.ones(n_features))

    def apply(self, features: FeatureArray) -> FeatureArray:
        """Return scaled features."""
        # Torch uses several threads.
        mean, scale = (torch.from_numpy(v.astype(np.float32)) for v in self)
        return torch.from_numpy(features).sub(mean).div_(scale).numpy()

    def split(self, widths: Sequence[int]) -> list[Scaling]:
        """Return the scaling of each expert's features."""
        borders = np.cumsum(widths)[:-1]
        return [
            Scaling(mean, scale)
            for mean, scale in zip(
                np.split(self.mean, borders), np.split(self.scale, borders), strict=True
            )
        ]

    def inverse(self) -> Scaling:
        """Return the scaling that undoes this one."""
        return Scaling(-self.mean / self.scale, 1.0 / self.scale)

    def enter(self, linear: Linear) -> Linear:
        """Return the map that does on scaled inputs what one does on raw ones.

        With x = scale * z + mean, A x + a = (A scale) z + (A mean + a). Inputs beyond
        the features (predictions) are left as they are.
        """
        n_others = linear.coef.shape[1] - len(self.mean)
        coef = linear.coef.astype(np.float64)
        return linear_float32(
            coef * np.append(self.scale, np.ones(n_others)),
            linear.intercept + coef @ np.append(self.mean, np.zeros(n_others)),
        )

    def enter_weights(
        self,
        weights: Weights,
        tasks: Sequence[Task],
        widths: Sequence[int],
        *,
        sees_embeddings: bool,
    ) -> Weights:
        """Return the network that does on scaled features what one does on raw ones.

        The inverse scaling is the way back. Adjustments and teachers may be missing.

        Parameters
        ----------
        weights : Weights
        tasks : sequence of Task
        widths : sequence of int
            Width of each expert's embedding.
        sees_embeddings : bool
            Whether the first inputs of the teachers are the features.
        """
        parts = self.split(widths)
        adjustments = []
        for part, (down, up) in zip(parts, weights.adjustments, strict=False):
            # The output of an adjustment is added to the features: a change in their
            # units, to which a shift does not matter.
            unit = 1.0 / part.scale
            up = linear_float32(up.coef * unit[:, None], up.intercept * unit)
            adjustments.append(Adjustment(part.enter(down), up))
        return Weights(
            adjustments,
            [
                parts[task.expert].enter(head)
                for task, head in zip(tasks, weights.heads, strict=True)
            ],
            [
                # A teacher of predictions alone sees no feature.
                self.enter(teacher) if sees_embeddings else teacher
                for teacher in weights.teachers
            ],
        )


def _moments(features: Features) -> tuple[Vector, Vector]:
    """Return mean and variance of each column, reading every row once.

    Parts of the rows are joined as by Chan, Golub and LeVeque: sums of squares are
    taken about the mean of their part, which loses no digits where means are large.
    """
    n_rows, n_features = features.shape
    at_once = max(1, BYTES_AT_ONCE // (8 * n_features))
    mean, squares = np.zeros(n_features), np.zeros(n_features)
    for start in range(0, n_rows, at_once):
        part = torch.from_numpy(features[start : start + at_once]).double()
        part_mean = part.mean(dim=0)
        squares += part.sub_(part_mean).square_().sum(dim=0).numpy()
        difference = part_mean.numpy() - mean
        # Share of the part among all rows up to its end.
        share = len(part) / (start + len(part))
        squares += difference**2 * start * share
        mean += difference * share
    return mean, squares / n_rows
