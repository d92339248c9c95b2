"""Students and teachers as ONNX graphs, for programs without Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..utils.files import write_whole
from .onnx_encoders import encoder_as_onnx
from .onnx_graph import Graph, connect, element_type_of, output_type_of, rows_info
from .optional_dependencies import needed
from .weights import Parts

if TYPE_CHECKING:
    from onnx import ModelProto


def write_onnx(path: Path, parts: Parts, X: Any) -> None:
    """Write a student or a teacher.

    Parameters
    ----------
    path : Path
        Ends in ".onnx".
    parts : Parts
    X : ndarray of shape (n_rows, ...)
        Rows as the encoders take them.

    Raises
    ------
    ImportError
        If onnx, or a library that converts an encoder, is not installed.
    OSError
        If the file cannot be written.
    ValueError
        If the path has another suffix, X is no array, or an encoder cannot be
        converted.
    """
    if path.suffix != ".onnx":
        raise ValueError(f"path must end in '.onnx', got {str(path)!r}.")
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "biufU" or not len(X):
        raise ValueError(
            "X must be a NumPy array of numbers or str, with at least one row, as the "
            f"encoders take it; got {type(X)}."
        )
    with needed("ONNX needs onnx"):
        import onnx
    model = _whole(parts, X)
    onnx.checker.check_model(model)
    write_whole(path, [model.SerializeToString()])


def _whole(parts: Parts, X: npt.NDArray) -> ModelProto:
    """Return encoders and classifier as one graph."""
    from onnx import compose, helper

    encoders = []
    for branch in parts.branches:
        try:
            encoders.append(encoder_as_onnx(branch.encoder, X))
        except ImportError:
            raise
        except Exception as error:  # whatever stops one of the converters
            failed = f"Expert {branch.name!r} cannot be converted to ONNX"
            raise ValueError(f"{failed}, {branch.encoder!r}: {error}") from error
    model = _classifier(parts, [output_type_of(encoder) for encoder in encoders])
    entries = []
    for number, encoder in enumerate(encoders):
        encoder = compose.add_prefix(encoder, f"encoder_{number}_")
        model = connect(encoder, model, f"embedding_{number}")
        entries.append(encoder.graph.input[0].name)
    # All encoders take the same rows.
    identities = [helper.make_node("Identity", ["X"], [name]) for name in entries]
    nodes = [*identities, *model.graph.node]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(rows_info("X", element_type_of(X), X.shape[1:]))
    model.producer_name, model.producer_version = "jedi_sklearn", __version__
    return model


def _classifier(parts: Parts, types: Sequence[int]) -> ModelProto:
    """Return the graph from embeddings, which have these types, to predictions."""
    from onnx import TensorProto

    classes = parts.classes
    if classes.dtype.kind == "O":
        classes = np.array(classes.tolist())
    if classes.dtype.kind == "u" and classes.max() > np.iinfo(np.int64).max:
        raise ValueError(f"ONNX has labels of int64; {classes.max()} is larger.")
    # The types of labels that scikit-learn's converters use.
    types_of_labels = {"f": np.float64, "U": object}
    classes = classes.astype(types_of_labels.get(classes.dtype.kind, np.int64))
    graph, inputs, adjusted = Graph(), [], []
    for number, (branch, kind) in enumerate(zip(parts.branches, types, strict=True)):
        inputs.append(rows_info(f"embedding_{number}", kind, [branch.width]))
        embedding = graph.add("Cast", inputs[-1].name, to=TensorProto.FLOAT)
        hidden = graph.linear(embedding, branch.adjustment.down)
        hidden = graph.add("Mul", hidden, graph.add("Sigmoid", hidden))
        change = graph.linear(hidden, branch.adjustment.up)
        adjusted.append(graph.add("Add", embedding, change))
    seen = graph.add("Concat", *adjusted, axis=1)
    scores = graph.linear(seen, parts.linear)
    best = graph.add("ArgMax", scores, axis=1, keepdims=0)
    label = graph.add("Gather", graph.constant(classes), best, axis=0)
    probabilities = graph.add("Softmax", scores, axis=1)
    shape = [len(classes)]
    return graph.model(
        inputs,
        [
            (label, rows_info("label", element_type_of(classes), [])),
            (probabilities, rows_info("probabilities", TensorProto.FLOAT, shape)),
        ],
    )
