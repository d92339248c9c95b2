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
        return x @ self.coef.T + self.intercept


class Adjustment(NamedTuple):
    """Weights of the adjustment module, Fig. 2 and Eq. (3) of the paper.

    ``down`` maps (n_features,) to (n_units,), ``up`` maps back.
    """

    down: Linear
    up: Linear

    def __call__(self, embedding: FloatArray) -> FloatArray:
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
