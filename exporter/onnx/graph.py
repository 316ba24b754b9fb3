"""The graph while it is being written: nodes and constants, in the order they are added."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import MissingExtra
from dspctl.runtime.policy.guard import FLOAT32_MAX

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingExtra("onnx", "export", "exporting to ONNX") from error

_AXES_ARE_AN_INPUT = 18
"""Since this opset ReduceMax takes its axes as an input; before, as an attribute."""


class Graph:
    """Nodes and constants in the order they are added; a node is named after what it gives.

    Args:
        opset: version of the operators that are written.
    """

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any) -> str:
        """Add a constant; floats become float32. Returns its name."""
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node. Returns the name of its output."""
        node = helper.make_node(operator, inputs, [output], f"{output}.node", **attributes)
        self._nodes.append(node)
        return output

    def largest(self, x: str, output: str, *, keepdims: bool) -> str:
        """The maximum over features: [batch, 1] or [batch]."""
        keep = int(keepdims)
        if self._opset < _AXES_ARE_AN_INPUT:
            return self.add("ReduceMax", [x], output, axes=[1], keepdims=keep)
        axes = self.constant(f"{output}.axes", np.array([1], np.int64))
        return self.add("ReduceMax", [x, axes], output, keepdims=keep)

    def finish(
        self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> onnx.GraphProto:
        """The graph with these inputs and outputs."""
        return helper.make_graph(self._nodes, "policy", inputs, outputs, self._constants)


def floats(name: str, width: int) -> onnx.ValueInfoProto:
    """An input or output float32 [batch, width]."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])


def integers(name: str, bits: int) -> onnx.ValueInfoProto:
    """An output int32 [batch] or int64 [batch]."""
    kind = TensorProto.INT32 if bits == 32 else TensorProto.INT64
    return helper.make_tensor_value_info(name, kind, ["batch"])


def clamp(
    graph: Graph, x: str, low: NDArray[np.float32], high: NDArray[np.float32], output: str
) -> str:
    """Clip to bounds per feature; infinite ones become the largest float32 in the graph."""
    if np.isinf(low).all() and np.isinf(high).all():
        return graph.add("Identity", [x], output)
    low, high = (np.clip(bound, -FLOAT32_MAX, FLOAT32_MAX) for bound in (low, high))
    same = (low == low[0]).all() and (high == high[0]).all()
    bounds = [
        graph.constant(f"{output}.{end}", bound[0] if same else bound)
        for end, bound in (("low", low), ("high", high))
    ]
    if same:  # Clip takes scalars only
        return graph.add("Clip", [x, *bounds], output)
    raised = graph.add("Max", [x, bounds[0]], f"{output}.raised")
    return graph.add("Min", [raised, bounds[1]], output)
