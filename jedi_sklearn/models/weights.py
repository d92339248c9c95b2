"""Weights as NumPy arrays: what training takes, gives back and what is stored."""

from __future__ import annotations

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
        """Map rows, (n_rows, n_inputs) to (n_rows, n_outputs)."""
        return x @ self.coef.T + self.intercept


class Adjustment(NamedTuple):
    """Weights of the adjustment module, Fig. 2 and Eq. (3) of the paper.

    ``down`` maps (n_features,) to (n_units,), ``up`` maps back.
    """

    down: Linear
    up: Linear

    def __call__(self, embedding: FloatArray) -> FloatArray:
        """Return adjusted embeddings, of the shape of the ones given."""
        hidden = self.down(embedding)
        # SiLU written with tanh, which does not overflow where exp(-x) would.
        hidden = hidden * (0.5 * (1.0 + np.tanh(0.5 * hidden)))
        return embedding + self.up(hidden)


def unadjusted(width: int) -> Adjustment:
    """Return the adjustment that changes nothing: it has no hidden unit."""
    return Adjustment(
        Linear(np.zeros((0, width), np.float32), np.zeros(0, np.float32)),
        Linear(np.zeros((width, 0), np.float32), np.zeros(width, np.float32)),
    )


def linear_weights(head: Any) -> Linear:
    """Return the weights of a linear classifier, one row a class, float32.

    The one score of two classes becomes a pair with the same difference, whose
    softmax is the sigmoid of that score.

    Parameters
    ----------
    head : classifier
        With ``coef_`` and ``intercept_``.
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

    def arrays(self) -> list[FloatArray]:
        """Return all arrays, in a fixed order."""
        layers = [*self.heads, *self.teachers]
        layers += [layer for adjustment in self.adjustments for layer in adjustment]
        return [array for layer in layers for array in layer]


class Branch(NamedTuple):
    """From rows to the adjusted embedding of one expert.

    Attributes
    ----------
    name : str
        Name of the expert.
    encoder : transformer
        The expert's encoder, fitted.
    adjustment : Adjustment
    """

    name: str
    encoder: Any
    adjustment: Adjustment

    @property
    def width(self) -> int:
        """Number of features of the embedding."""
        return self.adjustment.down.coef.shape[1]
