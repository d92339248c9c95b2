"""Linear layers of the joint network: in any precision, on parts of a matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.weights import Adjustment, Linear


class LinearLayer(nn.Module):
    """A linear map whose product is taken in the dtype of its input.

    Shape: (n_rows, n_inputs) to (n_rows, n_outputs).
    """

    def __init__(self, weights: Linear) -> None:
        super().__init__()
        n_outputs, n_inputs = weights.coef.shape
        self.is_wide = n_inputs > n_outputs
        # With the longer side first, the product that gives the weight's gradient is
        # up to a third faster on a CPU.
        stored = weights.coef.T if self.is_wide else weights.coef
        self.weight = nn.Parameter(torch.tensor(np.ascontiguousarray(stored)).float())
        self.bias = nn.Parameter(torch.tensor(weights.intercept).float())

    @property
    def kernel(self) -> Tensor:
        """The matrix to multiply inputs by, of shape (n_inputs, n_outputs)."""
        return self.weight if self.is_wide else self.weight.T

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias.to(x.dtype), x, self.kernel.to(x.dtype))

    def to_numpy(self) -> Linear:
        """Return copies of the weights."""
        kernel, bias = (x.detach().cpu().numpy() for x in (self.kernel, self.bias))
        return Linear(np.array(kernel.T, order="C"), bias.copy())


class AdjustmentNet(nn.Module):
    """The adjustment module without its skip connection, Fig. 2 of the paper.

    The M of Eq. (3), with SiLU between its two factors.

    Shape: (n_rows, n_features) to (n_rows, n_features).
    """

    def __init__(self, weights: Adjustment) -> None:
        super().__init__()
        self.down = LinearLayer(weights.down)
        self.up = LinearLayer(weights.up)

    def forward(self, embedding: Tensor) -> Tensor:
        # Through (n_rows, n_units): the low rank of M.
        return self.up(F.silu(self.down(embedding)))

    def to_numpy(self) -> Adjustment:
        """Return copies of the weights."""
        return Adjustment(self.down.to_numpy(), self.up.to_numpy())


class Part(NamedTuple):
    """Rows and columns of a matrix, and a mask to multiply them by elementwise."""

    rows: slice
    columns: slice
    mask: Tensor | None = None

    def of(self, x: Tensor) -> Tensor:
        part = x[self.rows, self.columns]
        return part if self.mask is None else part * self.mask


def linear_on_parts(
    x: Tensor, parts: Sequence[Part], layers: Iterable[Any]
) -> list[Tensor]:
    """Apply each layer to its own part of a matrix.

    PyTorch's own gradient of a slice has the size of the whole matrix, one for each
    part, all to be added up. Here the products of the backward pass add to one matrix.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_columns)
    parts : sequence of Part
        They may overlap.
    layers : iterable of LinearLayer

    Returns
    -------
    scores : list of Tensor of shape (n_rows_of_part, n_outputs)
        In single precision, or that of `x` if it is double: the losses need it.
    """
    pairs = [(layer.kernel, layer.bias) for layer in layers]
    weights = [weight for kind in zip(*pairs, strict=True) for weight in kind]
    scores = _LinearOnParts.apply(x, parts, *_cast(weights, x.dtype))
    return _cast(scores, torch.promote_types(x.dtype, torch.float32))


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    # In a small network even casts that change nothing take time: ask once for all.
    if all(tensor.dtype is dtype for tensor in tensors):
        return list(tensors)
    return [tensor.to(dtype) for tensor in tensors]


class _LinearOnParts(torch.autograd.Function):
    """See `linear_on_parts`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, parts: Sequence[Part], *weights: Tensor
    ) -> tuple[Tensor, ...]:
        n = len(parts)
        inputs = [part.of(x) for part in parts]
        # Only the shape of `x` is needed later. A part without a mask is a view of it,
        # one with a mask a copy: kept, so that backward need not multiply again.
        ctx.parts, ctx.like = parts, x
        ctx.save_for_backward(*inputs, *weights[:n])
        return tuple(map(torch.addmm, weights[n:], inputs, weights[:n]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        n = len(gradients)
        inputs, kernels = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        of_x, needed = None, ctx.needs_input_grad
        if needed[0]:
            of_x = torch.zeros_like(ctx.like)  # (n_rows, n_columns)
            for part, kernel, g in zip(ctx.parts, kernels, gradients, strict=True):
                own = of_x[part.rows, part.columns]
                # Both add in place, in one kernel with the product or with the mask.
                if part.mask is None:
                    own.addmm_(g, kernel.T)
                else:
                    own.addcmul_(g @ kernel.T, part.mask)
        # Weights that are not trained in this phase, and those of teachers where only
        # students are distilled, cost no product.
        of_kernels = [
            x.T @ g if wanted else None
            for x, g, wanted in zip(inputs, gradients, needed[2 : 2 + n], strict=True)
        ]
        of_biases = [
            g.sum(dim=0) if wanted else None
            for g, wanted in zip(gradients, needed[2 + n :], strict=True)
        ]
        return of_x, None, *of_kernels, *of_biases
