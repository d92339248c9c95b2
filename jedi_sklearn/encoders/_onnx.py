"""Export of torch encoders to ONNX."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._run_module import as_matrix, run_module
from ._torch_encoder import TorchEncoder

if TYPE_CHECKING:
    from onnx import ModelProto

# torch itself uses a deprecated function while it traces a module.
_DEPRECATED = r"`isinstance\(treespec, LeafSpec\)` is deprecated"


def torch_as_onnx(encoder: TorchEncoder, X: npt.NDArray, opset: int) -> ModelProto:
    """Export an encoder as a graph that takes any number of rows.

    Parameters
    ----------
    encoder : TorchEncoder
    X : ndarray of shape (n_rows, ...)
        Input of the encoder, at least one row.
    opset : int
        Version of the ONNX operators.

    Returns
    -------
    model : ModelProto
        Has one input and one output, float32 of shape (n_rows, n_features).

    Raises
    ------
    ValueError
        If the encoder does not take arrays.
    Exception
        Any error of torch about a module that it cannot convert.
    """
    if encoder.dataset is not None:
        raise ValueError(
            "it loads samples by its `dataset`, which is Python and no part of a graph."
        )
    import torch

    class Embedding(torch.nn.Module):
        """Module that returns the embedding alone, in float32."""

        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            if rows.dtype == torch.float64:
                rows = rows.float()
            found, _ = run_module(self.module, encoder.layer, rows)
            return as_matrix(found, encoder.layer, rows.shape[0]).float()

    module = encoder.module.eval()
    device = next((t.device for t in module.parameters()), torch.device("cpu"))
    # Two rows at least: torch would fix the number of rows at 1.
    rows = torch.from_numpy(X[np.arange(2) % len(X)]).to(device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _DEPRECATED, FutureWarning)
        program: Any = torch.onnx.export(
            Embedding(module).eval(),
            (rows,),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        )
    model: ModelProto = program.model_proto
    return model
