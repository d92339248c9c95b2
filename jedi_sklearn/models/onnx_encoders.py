"""Encoders as ONNX graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from ..encoders._mlp import MLPEncoder
from ..encoders._onnx import torch_as_onnx
from ..encoders._torch_encoder import TorchEncoder
from ..experts.expert import unwrapped
from .onnx_graph import (
    OPSETS,
    Graph,
    connect,
    element_type_of,
    opsets,
    output_type_of,
    rows_info,
)
from .optional_dependencies import needed
from .weights import Linear

if TYPE_CHECKING:
    from onnx import ModelProto

# Input types with which graphs of skl2onnx compute as scikit-learn does. Other numbers
# are cast to float64, as scikit-learn does, too.
_KEPT_TYPES = ("float32", "float64")

# Number of rows on which a conversion is compared with the encoder.
_N_CHECKED = 20


def encoder_as_onnx(encoder: Any, X: npt.NDArray) -> ModelProto:
    """Return an encoder as a graph with one input and one output.

    Parameters
    ----------
    encoder : transformer
    X : ndarray of shape (n_rows, ...)
        Rows as the encoder takes them.

    Raises
    ------
    ImportError
        If a library for the conversion is not installed.
    Exception
        Any error of these libraries on an encoder that they cannot convert.
    """
    from onnx import compose, helper

    encoder = unwrapped(encoder)
    if isinstance(encoder, MLPEncoder):
        return _mlp(encoder, X)
    if isinstance(encoder, TorchEncoder):
        with needed("ONNX needs onnxscript"):
            import onnxscript  # noqa: F401 - torch would import it much later
        return _with_opsets(torch_as_onnx(encoder, X, OPSETS[""]))
    if not isinstance(encoder, Pipeline):
        return _by_skl2onnx(encoder, X)
    models: list[ModelProto] = []
    for number, (_, step) in enumerate(encoder.steps):
        if isinstance(step, str) or step is None:  # "passthrough"
            continue
        model = compose.add_prefix(encoder_as_onnx(step, X), f"step_{number}_")
        X = _dense(step.transform(X))
        if output_type_of(model) != element_type_of(X):
            # For example, a step makes float64 of integers and its graph float32.
            X = X.astype(helper.tensor_dtype_to_np_dtype(output_type_of(model)))
        models.append(model)
    whole = models[0]
    for model in models[1:]:
        whole = connect(whole, model, model.graph.input[0].name)
    return whole


def _dense(X: Any) -> npt.NDArray:
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X)


def _mlp(encoder: MLPEncoder, X: npt.NDArray) -> ModelProto:
    from onnx import helper

    dtype = np.dtype("float64" if X.dtype == np.float64 else "float32")
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    graph = Graph()
    rows = graph.add("Cast", "rows", to=kind)
    if X.ndim > 2:
        rows = graph.add("Flatten", rows, axis=1)
    weights = Linear(encoder.coef_.T, encoder.intercept_)
    hidden = graph.add("Relu", graph.linear(rows, weights, dtype.name))
    output = rows_info("embedding", kind, [len(encoder.intercept_)])
    inputs = [rows_info("rows", element_type_of(X), X.shape[1:])]
    return graph.model(inputs, [(hidden, output)])


def _by_skl2onnx(encoder: Any, X: npt.NDArray) -> ModelProto:
    from onnx import TensorProto, compose

    with needed("ONNX needs skl2onnx"):
        from skl2onnx import to_onnx
    is_kept = X.dtype.name in _KEPT_TYPES or X.dtype.kind == "U"
    taken = X if is_kept else X.astype(np.float64)
    model = to_onnx(encoder, taken[:1], target_opset=OPSETS)
    _keep_embedding(model, encoder, taken[:_N_CHECKED])
    model = _with_opsets(model)
    if is_kept:
        return model
    graph, shape = Graph(), X.shape[1:]
    numbers = graph.add("Cast", "rows", to=TensorProto.DOUBLE)
    cast = graph.model(
        [rows_info("rows", element_type_of(X), shape)],
        [(numbers, rows_info("numbers", TensorProto.DOUBLE, shape))],
    )
    model = compose.add_prefix(model, "cast_")
    return connect(cast, model, model.graph.input[0].name)


def _with_opsets(model: ModelProto) -> ModelProto:
    """Return a model with the same `OPSETS` as all others.

    A converter may leave out domains, or name an older version where the operators are
    the same in ours.
    """
    del model.opset_import[:]
    model.opset_import.extend(opsets())
    return model


def _keep_embedding(model: ModelProto, encoder: Any, X: npt.NDArray) -> None:
    """Remove all outputs of a graph except the embedding.

    The graph of a clusterer returns labels, too. A classifier that also transforms is
    converted as a classifier, without its embedding.

    Raises
    ------
    ValueError
        If no output equals the encoder's embedding of the rows.
    """
    from onnx.reference import ReferenceEvaluator

    names = [output.name for output in model.graph.output]
    values = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: X})
    expected = _dense(encoder.transform(X))
    for name, value in zip(names, values, strict=True):
        if np.shape(value) == expected.shape and np.allclose(
            value, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max(initial=0.0)
        ):
            outputs = [o for o in model.graph.output if o.name == name]
            del model.graph.output[:]
            model.graph.output.extend(outputs)
            return
    raise ValueError("what skl2onnx makes of it does not return the embedding.")
