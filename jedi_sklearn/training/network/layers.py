"""Linear maps as the joint network needs them: in any precision, on parts of rows."""

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
        # The longer side first: so the product that is its gradient is the faster
        # one, on a CPU by up to a third.
        stored = weights.coef.T if self.is_wide else weights.coef
        self.weight = nn.Parameter(torch.tensor(np.ascontiguousarray(stored)).float())
        self.bias = nn.Parameter(torch.tensor(weights.intercept).float())

    @property
    def kernel(self) -> Tensor:
        """What an input is multiplied by, of shape (n_inputs, n_outputs)."""
        return self.weight if self.is_wide else self.weight.T

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias.to(x.dtype), x, self.kernel.to(x.dtype))

    def to_numpy(self) -> Linear:
        """Return copies of the weights."""
        kernel, bias = (x.detach().cpu().numpy() for x in (self.kernel, self.bias))
        return Linear(np.array(kernel.T, order="C"), bias.copy())


class AdjustmentNet(nn.Module):
    """What the adjustment module adds to an embedding, Fig. 2 of the paper.

    Two layers with SiLU between.

    Shape: (n_rows, n_features) to (n_rows, n_features).
    """

    def __init__(self, weights: Adjustment) -> None:
        super().__init__()
        self.down = LinearLayer(weights.down)
        self.up = LinearLayer(weights.up)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.up(F.silu(self.down(embedding)))

    def to_numpy(self) -> Adjustment:
        """Return copies of the weights."""
        return Adjustment(self.down.to_numpy(), self.up.to_numpy())


class Part(NamedTuple):
    """Rows and columns of a matrix, and what they are multiplied by, one by one."""

    rows: slice
    columns: slice
    mask: Tensor | None = None

    def of(self, x: Tensor) -> Tensor:
        part = x[self.rows, self.columns]
        return part if self.mask is None else part * self.mask


def linear_on_parts(
    x: Tensor, parts: Sequence[Part], layers: Iterable[Any]
) -> list[Tensor]:
    """Return what layers make of parts of a matrix, one part each, as losses want it.

    By PyTorch's own rules each part would have a gradient of the size of the whole
    matrix, to be added up; here all add to one.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_columns)
    parts : sequence of Part
        Which may overlap.
    layers : iterable of LinearLayer

    Returns
    -------
    scores : list of Tensor of shape (n_rows_of_part, n_outputs)
        In single precision, or that of `x` where it is double.
    """
    pairs = [(layer.kernel, layer.bias) for layer in layers]
    weights = [weight for kind in zip(*pairs, strict=True) for weight in kind]
    scores = _LinearOnParts.apply(x, parts, *_cast(weights, x.dtype))
    return _cast(scores, torch.promote_types(x.dtype, torch.float32))


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    # Asked once: in a small network even the casts that change nothing take time.
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
        ctx.parts, ctx.like = parts, x
        ctx.save_for_backward(*inputs, *weights[:n])
        return tuple(map(torch.addmm, weights[n:], inputs, weights[:n]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        n = len(gradients)
        inputs, kernels = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        of_x, needed = None, ctx.needs_input_grad
        if needed[0]:
            of_x = torch.zeros_like(ctx.like)
            for part, kernel, g in zip(ctx.parts, kernels, gradients, strict=True):
                own = of_x[part.rows, part.columns]
                if part.mask is None:
                    own.addmm_(g, kernel.T)
                else:
                    own.addcmul_(g @ kernel.T, part.mask)
        of_kernels = [
            x.T @ g if wanted else None
            for x, g, wanted in zip(inputs, gradients, needed[2 : 2 + n], strict=True)
        ]
        of_biases = [
            g.sum(dim=0) if wanted else None
            for g, wanted in zip(gradients, needed[2 + n :], strict=True)
        ]
        return of_x, None, *of_kernels, *of_biases
