"""Students and teachers as ONNX, for programs without Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from .._version import __version__
from ..encoders import MLPEncoder, TorchEncoder
from ..encoders._onnx import torch_as_onnx
from ..experts.expert import unwrapped
from ..utils.files import write_whole
from .weights import Branch, Linear, Parts

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# Versions of the operators, of which all parts of a graph must be: the oldest that
# torch's exporter still writes.
OPSETS = {"": 18, "ai.onnx.ml": 3}

# What skl2onnx computes with as scikit-learn does. Other numbers become float64, as in
# scikit-learn.
_TAKEN = ("float32", "float64")

# As many rows show whether a conversion computes what the encoder does.
_N_CHECKED = 20


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
        If onnx, or what converts an encoder, is not installed.
    OSError
        If the file cannot be written.
    ValueError
        If the path ends otherwise, X is no array, or an encoder cannot be converted.
    """
    if path.suffix != ".onnx":
        raise ValueError(f"path must end in '.onnx', got {str(path)!r}.")
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "biufU" or not len(X):
        raise ValueError(
            "X must be a NumPy array of numbers or str, with at least one row, as the "
            f"encoders take it; got {type(X)}."
        )
    with _installed():
        import onnx
    model = _whole(parts, X)
    onnx.checker.check_model(model)
    write_whole(path, [model.SerializeToString()])


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f'ONNX needs {error.name}: pip install "jedi_sklearn[export]"'
        ) from error


def _whole(parts: Parts, X: npt.NDArray) -> ModelProto:
    """Return encoders and classifier as one graph."""
    from onnx import compose, helper

    encoders = [_named(branch, X) for branch in parts.branches]
    model = _classifier(parts, [_output_type(encoder) for encoder in encoders])
    version = max(model.ir_version, *(encoder.ir_version for encoder in encoders))
    model.ir_version = version
    entries = []
    for number, encoder in enumerate(encoders):
        encoder.ir_version = version
        encoder = compose.add_prefix(encoder, f"encoder_{number}_")
        join = [(encoder.graph.output[0].name, f"embedding_{number}")]
        model = compose.merge_models(encoder, model, join)
        entries.append(encoder.graph.input[0].name)
    # All encoders take the same rows.
    identities = [helper.make_node("Identity", ["X"], [name]) for name in entries]
    nodes = [*identities, *model.graph.node]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(_tensor("X", _type_of(X), X.shape[1:]))
    model.producer_name, model.producer_version = "jedi_sklearn", __version__
    return model


def _named(branch: Branch, X: npt.NDArray) -> ModelProto:
    """Return a branch's encoder as a graph, or say of which expert there is none."""
    failed = f"Expert {branch.name!r} cannot be converted to ONNX"
    try:
        return _encoder(branch.encoder, X)
    except ImportError:
        raise
    except Exception as error:
        # Those who convert raise whatever stops them.
        raise ValueError(f"{failed}, {branch.encoder!r}: {error}") from error


# --------------------------------------------------------------------------------------
# The package's own part.
# --------------------------------------------------------------------------------------


class _Graph:
    """Nodes and constants of a graph, as they are written down one after another."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        from onnx import helper

        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, value: npt.NDArray) -> str:
        """Add a constant; return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def linear(self, x: str, linear: Linear, dtype: str = "float32") -> str:
        """Add an affine map; return the name of its output."""
        weights = self.constant(linear.coef.T.astype(dtype))
        intercept = self.constant(linear.intercept.astype(dtype))
        return self.add("Add", self.add("MatMul", x, weights), intercept)

    def model(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> ModelProto:
        """Return the whole."""
        from onnx import helper

        renamed = [
            helper.make_node("Identity", [name], [info.name]) for name, info in outputs
        ]
        graph = helper.make_graph(
            [*self.nodes, *renamed],
            "jedi_sklearn",
            inputs,
            [info for _, info in outputs],
            self.constants,
        )
        return helper.make_model(graph, ir_version=8, opset_imports=_opsets())


def _opsets() -> list[Any]:
    from onnx import helper

    return [helper.make_opsetid(*opset) for opset in OPSETS.items()]


def _tensor(name: str, kind: int, shape: Sequence[int]) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, ["n_rows", *shape])


def _type_of(array: npt.NDArray) -> int:
    from onnx import TensorProto, helper

    if array.dtype.kind in "UO":
        return int(TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _output_type(model: ModelProto) -> int:
    return int(model.graph.output[0].type.tensor_type.elem_type)


def _classifier(parts: Parts, types: Sequence[int]) -> ModelProto:
    """Return what follows on the encoders, whose outputs have these types."""
    from onnx import TensorProto

    graph, inputs, adjusted = _Graph(), [], []
    for number, (branch, kind) in enumerate(zip(parts.branches, types, strict=True)):
        inputs.append(_tensor(f"embedding_{number}", kind, [branch.width]))
        embedding = graph.add("Cast", inputs[-1].name, to=TensorProto.FLOAT)
        hidden = graph.linear(embedding, branch.adjustment.down)
        hidden = graph.add("Mul", hidden, graph.add("Sigmoid", hidden))
        change = graph.linear(hidden, branch.adjustment.up)
        adjusted.append(graph.add("Add", embedding, change))
    seen = graph.add("Concat", *adjusted, axis=1)
    scores = graph.linear(seen, parts.linear)
    best = graph.add("ArgMax", scores, axis=1, keepdims=0)
    classes = _classes(parts.classes)
    label = graph.add("Gather", graph.constant(classes), best, axis=0)
    probabilities = graph.add("Softmax", scores, axis=1)
    shape = [len(classes)]
    return graph.model(
        inputs,
        [
            (label, _tensor("label", _type_of(classes), [])),
            (probabilities, _tensor("probabilities", TensorProto.FLOAT, shape)),
        ],
    )


def _classes(classes: npt.NDArray) -> npt.NDArray:
    """Return labels as scikit-learn's converters give them: int64 or str."""
    if classes.dtype.kind == "O":
        classes = np.array(classes.tolist())
    if classes.dtype.kind == "f":
        return classes.astype(np.float64)
    if classes.dtype.kind == "u" and classes.max() > np.iinfo(np.int64).max:
        raise ValueError(f"ONNX has labels of int64; {classes.max()} is larger.")
    return classes.astype(object if classes.dtype.kind == "U" else np.int64)


# --------------------------------------------------------------------------------------
# Encoders.
# --------------------------------------------------------------------------------------


def _encoder(encoder: Any, X: npt.NDArray) -> ModelProto:
    """Return an encoder as a graph with one input and one output."""
    encoder = unwrapped(encoder)
    if isinstance(encoder, Pipeline):
        return _pipeline([step for _, step in encoder.steps], X)
    convert: Callable[..., ModelProto] = _by_skl2onnx
    if isinstance(encoder, MLPEncoder):
        convert = _mlp
    elif isinstance(encoder, TorchEncoder):
        convert = _torch
    return convert(encoder, X)


def _pipeline(steps: Sequence[Any], X: npt.NDArray) -> ModelProto:
    from onnx import compose, helper

    models: list[ModelProto] = []
    for number, step in enumerate(steps):
        if isinstance(step, str) or step is None:  # "passthrough"
            continue
        model = compose.add_prefix(_encoder(step, X), f"step_{number}_")
        X = _dense(step.transform(X))
        if _output_type(model) != _type_of(X):
            # Such as float64 of integers, where the graph has float32.
            X = X.astype(helper.tensor_dtype_to_np_dtype(_output_type(model)))
        models.append(model)
    whole = models[0]
    for model in models[1:]:
        whole.ir_version = model.ir_version = max(whole.ir_version, model.ir_version)
        join = [(whole.graph.output[0].name, model.graph.input[0].name)]
        whole = compose.merge_models(whole, model, join)
    return whole


def _dense(X: Any) -> npt.NDArray:
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X)


def _mlp(encoder: MLPEncoder, X: npt.NDArray) -> ModelProto:
    from onnx import helper

    dtype = np.dtype("float64" if X.dtype == np.float64 else "float32")
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    graph = _Graph()
    rows = graph.add("Cast", "rows", to=kind)
    if X.ndim > 2:
        rows = graph.add("Flatten", rows, axis=1)
    weights = Linear(encoder.coef_.T, encoder.intercept_)
    hidden = graph.add("Relu", graph.linear(rows, weights, dtype.name))
    output = _tensor("embedding", kind, [len(encoder.intercept_)])
    inputs = [_tensor("rows", _type_of(X), X.shape[1:])]
    return graph.model(inputs, [(hidden, output)])


def _torch(encoder: TorchEncoder, X: npt.NDArray) -> ModelProto:
    with _installed():
        import onnxscript  # noqa: F401 - torch asks for it much later
    model = torch_as_onnx(encoder, X, OPSETS[""])
    return _with_opsets(model)


def _by_skl2onnx(encoder: Any, X: npt.NDArray) -> ModelProto:
    with _installed():
        from skl2onnx import to_onnx
    known = X.dtype.name in _TAKEN or X.dtype.kind == "U"
    taken = X if known else X.astype(np.float64)
    model = to_onnx(encoder, taken[:1], target_opset=OPSETS)
    _keep_embedding(model, encoder, taken[:_N_CHECKED])
    model = _with_opsets(model)
    return model if known else _cast_first(model, X)


def _with_opsets(model: ModelProto) -> ModelProto:
    """Return a model that names all operators' versions: it may name fewer, or older.

    Those of the same domain are the same in both where a converter was asked for ours.
    """
    del model.opset_import[:]
    model.opset_import.extend(_opsets())
    return model


def _cast_first(model: ModelProto, X: npt.NDArray) -> ModelProto:
    from onnx import TensorProto, compose

    graph = _Graph()
    cast = graph.add("Cast", "rows", to=TensorProto.DOUBLE)
    shape = X.shape[1:]
    first = graph.model(
        [_tensor("rows", _type_of(X), shape)],
        [(cast, _tensor("numbers", TensorProto.DOUBLE, shape))],
    )
    first.ir_version = model.ir_version
    model = compose.add_prefix(model, "cast_")
    return compose.merge_models(first, model, [("numbers", model.graph.input[0].name)])


def _keep_embedding(model: ModelProto, encoder: Any, X: npt.NDArray) -> None:
    """Leave, of what a graph returns, the embedding alone.

    A clusterer returns labels, too, and of a classifier that also transforms skl2onnx
    converts the classifier.

    Raises
    ------
    ValueError
        If none of the outputs is what the encoder makes of the rows.
    """
    from onnx.reference import ReferenceEvaluator

    names = [output.name for output in model.graph.output]
    values = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: X})
    expected = _dense(encoder.transform(X))
    for name, value in zip(names, values, strict=True):
        if _is_close(value, expected):
            outputs = [o for o in model.graph.output if o.name == name]
            del model.graph.output[:]
            model.graph.output.extend(outputs)
            return
    raise ValueError("what skl2onnx makes of it does not return the embedding.")


def _is_close(value: Any, expected: npt.NDArray) -> bool:
    if np.shape(value) != expected.shape:
        return False
    scale = np.abs(expected).max(initial=0.0)
    return np.allclose(value, expected, rtol=1e-3, atol=1e-4 * scale)
