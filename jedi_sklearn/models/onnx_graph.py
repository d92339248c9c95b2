"""ONNX graphs written node by node, and joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from .weights import Linear

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# Versions of the operators in all parts of a graph: the oldest that torch's exporter
# still writes.
OPSETS = {"": 18, "ai.onnx.ml": 3}


class Graph:
    """Nodes and constants of a graph under construction."""

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
        """Return the finished graph.

        Parameters
        ----------
        inputs : sequence of ValueInfoProto
        outputs : sequence of (str, ValueInfoProto)
            Each with the name of the node's output that it is.
        """
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
        return helper.make_model(graph, ir_version=8, opset_imports=opsets())


def opsets() -> list[Any]:
    """Return the versions of the operators as a model names them."""
    from onnx import helper

    return [helper.make_opsetid(*opset) for opset in OPSETS.items()]


def rows_info(name: str, element_type: int, shape: Sequence[int]) -> Any:
    """Return the description of an input or output with any number of rows.

    Parameters
    ----------
    name : str
    element_type : int
    shape : sequence of int
        Shape of one row.
    """
    from onnx import helper

    return helper.make_tensor_value_info(name, element_type, ["n_rows", *shape])


def element_type_of(array: npt.NDArray) -> int:
    """Return ONNX's number for the dtype of an array."""
    from onnx import TensorProto, helper

    if array.dtype.kind in "UO":
        return int(TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def output_type_of(model: ModelProto) -> int:
    """Return ONNX's number for the dtype of a model's first output."""
    return int(model.graph.output[0].type.tensor_type.elem_type)


def connect(first: ModelProto, second: ModelProto, into: str) -> ModelProto:
    """Return a model that feeds the output of one model into an input of another.

    Parameters
    ----------
    first, second : ModelProto
        Have no names in common. Their IR version becomes the later of the two.
    into : str
        Name of the input.
    """
    from onnx import compose

    first.ir_version = second.ir_version = max(first.ir_version, second.ir_version)
    return compose.merge_models(first, second, [(first.graph.output[0].name, into)])
