"""Standardised features for the training, folded exactly into the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch

from ...models.weights import Adjustment, Linear
from ..data.features import LazyFeatures
from .weights import Task, Weights

# Of the features in double precision, of which statistics are taken.
BYTES_AT_ONCE = 2**26

Vector = npt.NDArray[np.float64]


class Scaling(NamedTuple):
    """Shift and scale of each feature: ``(x - mean) / scale``.

    Weights enter and leave it exactly but for rounding, so that what is trained on
    standardised features works on features as they come.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,), float64
    """

    mean: Vector
    scale: Vector

    @classmethod
    def of(
        cls, features: npt.NDArray[np.float32] | LazyFeatures, widths: Sequence[int]
    ) -> Self:
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
        # An embedding that is constant but for rounding keeps its scale.
        scale = np.repeat(scales, widths)
        constant = scale <= 1e-6 * np.abs(mean)
        return cls(mean, np.where(constant, 1.0, scale))

    @classmethod
    def identity(cls, n_features: int) -> Self:
        """Return the scaling that changes nothing."""
        return cls(np.zeros(n_features), np.ones(n_features))

    def apply(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return scaled features."""
        # By torch, which takes several threads.
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

        Inputs beyond the features are left as they are.
        """
        n_others = linear.coef.shape[1] - len(self.mean)
        coef = linear.coef.astype(np.float64)
        return _linear(
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

        There may be no adjustments and no teachers yet. That of the inverse is the
        way back.

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
        return Weights(
            [
                _change_units(part.enter(a.down), a.up, 1.0 / part.scale)
                for part, a in zip(parts, weights.adjustments, strict=False)
            ],
            [
                parts[task.expert].enter(head)
                for task, head in zip(tasks, weights.heads, strict=True)
            ],
            [
                # One that sees predictions alone sees no feature.
                self.enter(teacher) if sees_embeddings else teacher
                for teacher in weights.teachers
            ],
        )


def _change_units(down: Linear, up: Linear, factor: Vector) -> Adjustment:
    """Return an adjustment whose output, features again, is in other units."""
    up = _linear(up.coef * factor[:, None], up.intercept * factor)
    return Adjustment(down, up)


def _moments(features: npt.NDArray[np.float32] | LazyFeatures) -> tuple[Vector, Vector]:
    """Return mean and variance of each column, in one reading, a part at a time.

    The parts are joined as by Chan, Golub and LeVeque: sums of squares are about the
    mean of their part, so that nothing is lost where means are large.
    """
    n_rows, n_features = features.shape
    at_once = max(1, BYTES_AT_ONCE // (8 * n_features))
    mean, squares = np.zeros(n_features), np.zeros(n_features)
    for start in range(0, n_rows, at_once):
        part = torch.from_numpy(features[start : start + at_once]).double()
        of_part = part.mean(dim=0)
        squares += part.sub_(of_part).square_().sum(dim=0).numpy()
        difference = of_part.numpy() - mean
        share = len(part) / (start + len(part))
        squares += difference**2 * start * share
        mean += difference * share
    return mean, squares / n_rows


def _linear(coef: Vector, intercept: Vector) -> Linear:
    return Linear(coef.astype(np.float32), intercept.astype(np.float32))
