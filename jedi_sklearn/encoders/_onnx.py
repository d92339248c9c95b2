"""Torch modules as ONNX."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._run_module import as_matrix, run_module
from ._torch_encoder import TorchEncoder

if TYPE_CHECKING:
    from onnx import ModelProto

# torch's own use of what it deprecates, while it traces.
_OF_TORCH = r"`isinstance\(treespec, LeafSpec\)` is deprecated"


def torch_as_onnx(encoder: TorchEncoder, X: npt.NDArray, opset: int) -> ModelProto:
    """Return what an encoder computes as a graph of any number of rows.

    Parameters
    ----------
    encoder : TorchEncoder
    X : ndarray of shape (n_rows, ...)
        Rows as the encoder takes them, at least one.
    opset : int
        Version of the operators.

    Returns
    -------
    model : ModelProto
        Has one input and one output, float32 of shape (n_rows, n_features).

    Raises
    ------
    ValueError
        If the encoder does not take arrays.
    Exception
        Whatever torch raises for a module that it cannot convert.
    """
    if encoder.dataset is not None:
        raise ValueError(
            "it loads samples by its `dataset`, which is Python and no part of a graph."
        )
    import torch

    module = encoder.module.eval()
    device = next((t.device for t in module.parameters()), torch.device("cpu"))
    # A single row would be taken for all that there can be.
    rows = torch.from_numpy(X[np.arange(2) % len(X)]).to(device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _OF_TORCH, FutureWarning)
        program: Any = torch.onnx.export(
            _embedding_of(module, encoder.layer),
            (rows,),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        )
    model: ModelProto = program.model_proto
    return model


def _embedding_of(module: Any, layer: str | None) -> Any:
    """Return a module that makes the embedding alone, in float32."""
    import torch

    class Embedding(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            if rows.dtype == torch.float64:
                rows = rows.float()
            found, _ = run_module(self.module, layer, rows)
            return as_matrix(found, layer, rows.shape[0]).float()

    return Embedding().eval()
