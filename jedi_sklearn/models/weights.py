"""Weights as NumPy arrays: start and result of training, content of saved models.

The tuples are part of pickles and skops files of models, and stay tuples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[Any]


class Linear(NamedTuple):
    """Weights of an affine map ``x @ coef.T + intercept``.

    ``coef`` has shape (n_outputs, n_inputs), ``intercept`` (n_outputs,).
    """

    coef: FloatArray
    intercept: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Map rows of shape (n_rows, n_inputs) to (n_rows, n_outputs)."""
        return x @ self.coef.T + self.intercept


class Adjustment(NamedTuple):
    """Weights of the adjustment module, Fig. 2 and Eq. (3) of the paper.

    ``down`` maps (n_features,) to (n_units,), ``up`` maps back.
    """

    down: Linear
    up: Linear

    def __call__(self, embedding: FloatArray) -> FloatArray:
        """Return the adjusted embeddings, of the same shape."""
        hidden = self.down(embedding)
        # SiLU, written with tanh because exp(-x) would overflow.
        hidden = hidden * (0.5 * (1.0 + np.tanh(0.5 * hidden)))
        return embedding + self.up(hidden)


def unadjusted(width: int) -> Adjustment:
    """Return the adjustment that changes nothing: it has no hidden units."""
    return Adjustment(
        Linear(np.zeros((0, width), np.float32), np.zeros(0, np.float32)),
        Linear(np.zeros((width, 0), np.float32), np.zeros(width, np.float32)),
    )


def linear_weights(head: Any) -> Linear:
    """Return the weights of a linear classifier, one row per class, float32.

    The single score of a binary classifier becomes two scores whose difference it is;
    their softmax is the sigmoid of the score.

    Parameters
    ----------
    head : classifier
        Has ``coef_`` and ``intercept_``.
    """
    coef = np.atleast_2d(head.coef_)
    intercept = np.broadcast_to(head.intercept_, len(coef))
    if len(coef) == 1:
        coef = np.vstack([-coef, coef]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    return Linear(coef.astype(np.float32), intercept.astype(np.float32))


class Weights(NamedTuple):
    """Weights of the joint network.

    Attributes
    ----------
    adjustments : list of Adjustment
        One an expert.
    heads, teachers : list of Linear
        One of each a student.
    """

    adjustments: list[Adjustment]
    heads: list[Linear]
    teachers: list[Linear]

    @property
    def widths(self) -> list[int]:
        """Width of each expert's embedding."""
        return [len(adjustment.up.intercept) for adjustment in self.adjustments]

    def arrays(self) -> list[FloatArray]:
        """Return all arrays, in a fixed order."""
        layers = [*self.heads, *self.teachers]
        layers += [layer for adjustment in self.adjustments for layer in adjustment]
        return [array for layer in layers for array in layer]


class Branch(NamedTuple):
    """Encoder and adjustment of one expert: from rows to the adjusted embedding.

    Attributes
    ----------
    name : str
        Name of the expert.
    encoder : transformer
        Fitted encoder of the expert.
    adjustment : Adjustment
    """

    name: str
    encoder: Any
    adjustment: Adjustment

    @property
    def width(self) -> int:
        """Number of features of the embedding."""
        return self.adjustment.down.coef.shape[1]


@dataclass(frozen=True)
class Parts:
    """Parts of a student or a teacher; see `DistilledClassifier`."""

    branches: Sequence[Branch]
    linear: Linear
    classes: npt.NDArray
