"""Policy → ONNX: raw observation in, environment action out, everything between inside the graph.

The graph has one input, ``observation`` float32 [batch, obs_dim], and two outputs: ``action``
(int64 [batch], or float32 [batch, action_dim]) and ``outputs`` (float32 [batch, out], logits or
means). It uses Gather, Sub, Mul, Clip, Gemm, Tanh, Relu, Add, Max, Min, Identity and ArgMax only.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl import __version__
from dspctl.errors import MissingExtra, UnsupportedOpset
from dspctl.runtime.onnx_runner import ACTION, INPUT, OUTPUTS
from dspctl.runtime.policy import ActionRule, Layer, Normalizer, Policy
from dspctl.runtime.policy_file import bytes_from_policy

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingExtra("onnx", "export", "exporting to ONNX") from error

OPSET = 17
"""The newest opset that TensorRT 8.5 parses (onnx-tensorrt, release/8.5-GA, docs/operators.md),
which is what JetPack 5 ships; every newer TensorRT and ONNX Runtime reads it too. Its IR version
is 8 (onnx 1.12). Every operator used here last changed in opset 14 or earlier."""

OLDEST_OPSET = 14

_OPERATORS = {"tanh": "Tanh", "relu": "Relu"}
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def onnx_from_policy(policy: Policy, *, opset: int = OPSET) -> onnx.ModelProto:
    """The policy as an ONNX model, checked and with every shape inferred.

    Masks are multiplied through: the rows of removed units are zero (DSP Eq 8).

    Args:
        policy: what to convert.
        opset: version of the operators.

    Raises:
        UnsupportedOpset: older than `OLDEST_OPSET`, or unknown to the installed onnx.
        PolicyProblem: the policy cannot be stored as float32.
    """
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise UnsupportedOpset(
            f"opset {opset} cannot be written: choose one from {OLDEST_OPSET} to {newest}; "
            f"{OPSET} is read by the most runtimes"
        )
    graph = _Graph()
    x = INPUT
    if policy.inputs.size < policy.observation.size:
        x = graph.add("Gather", [x, graph.constant("inputs", policy.inputs)], "inputs.read", axis=1)
    if policy.normalizer is not None:
        x = _normalizer(graph, policy.normalizer, x)
    for index, layer in enumerate(policy.layers):
        x = _layer(graph, layer, x, index, last=index == len(policy.layers) - 1)
    _action(graph, policy.action)
    versions = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        graph.finish(policy),
        opset_imports=versions,
        ir_version=helper.find_min_ir_version_for(versions),
        producer_name="dspctl",
        producer_version=__version__,
    )
    helper.set_model_props(
        model,
        {
            "dspctl.environment": policy.environment,
            "dspctl.policy_sha256": hashlib.sha256(bytes_from_policy(policy)).hexdigest(),
        },
    )
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def bytes_from_model(model: onnx.ModelProto) -> bytes:
    """The model's file; the same model gives the same bytes."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


class _Graph:
    """Nodes and constants in the order they are added; a node is named after what it gives."""

    def __init__(self) -> None:
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

    def finish(self, policy: Policy) -> onnx.GraphProto:
        """The graph with the policy's inputs and outputs."""
        value, batch, width = helper.make_tensor_value_info, "batch", policy.layers[-1].width
        action = (
            value(ACTION, TensorProto.INT64, [batch])
            if policy.action.discrete
            else value(ACTION, TensorProto.FLOAT, [batch, width])
        )
        return helper.make_graph(
            self._nodes,
            "policy",
            [value(INPUT, TensorProto.FLOAT, [batch, policy.observation.size])],
            [action, value(OUTPUTS, TensorProto.FLOAT, [batch, width])],
            self._constants,
        )


def _normalizer(graph: _Graph, normalizer: Normalizer, x: str) -> str:
    mean = graph.constant("normalizer.mean", normalizer.mean)
    scale = graph.constant("normalizer.scale", normalizer.scale)
    x = graph.add("Sub", [x, mean], "normalizer.centred")
    x = graph.add("Mul", [x, scale], "normalizer.scaled")
    if normalizer.clip is None:
        return x
    low = graph.constant("normalizer.low", -normalizer.clip)
    high = graph.constant("normalizer.high", normalizer.clip)
    return graph.add("Clip", [x, low, high], "normalizer.clipped")


def _layer(graph: _Graph, layer: Layer, x: str, index: int, *, last: bool) -> str:
    # Zero rows are the mask, multiplied through: all activations map 0 to 0.
    kept = layer.kept
    weight = np.where(kept[:, None], layer.weight, 0.0)
    inputs = [x, graph.constant(f"layers.{index}.weight", weight)]
    if layer.bias is not None:
        inputs.append(graph.constant(f"layers.{index}.bias", np.where(kept, layer.bias, 0.0)))
    x = graph.add("Gemm", inputs, OUTPUTS if last else f"layers.{index}.affine", transB=1)
    if layer.activation == "identity":
        return x
    return graph.add(_OPERATORS[layer.activation], [x], f"layers.{index}.hidden")


def _action(graph: _Graph, rule: ActionRule) -> None:
    if rule.kind == "argmax":
        name = "action.index" if rule.start else ACTION
        graph.add("ArgMax", [OUTPUTS], name, axis=1, keepdims=0)
        if rule.start:
            start = graph.constant("action.start", np.array(rule.start, np.int64))
            graph.add("Add", [name, start], ACTION)
        return
    if rule.kind == "clip":
        _clamp(graph, OUTPUTS, rule.low, rule.high, ACTION)
        return
    if rule.kind == "tanh_unscale":
        unit = graph.add("Tanh", [OUTPUTS], "action.unit")
    else:
        ones = np.ones_like(rule.low)
        unit = _clamp(graph, OUTPUTS, -ones, ones, "action.unit")
    # low + (unit + 1) / 2 * (high - low), with the constants computed in float64.
    low, high = rule.low.astype(np.float64), rule.high.astype(np.float64)
    half = ((high - low) / 2).astype(np.float32)
    centre = ((high + low) / 2).astype(np.float32)
    # Rounding may carry the ends of the range past the bound, which an environment may refuse.
    outside = bool((centre + half > rule.high).any() or (centre - half < rule.low).any())
    x = graph.add("Mul", [unit, graph.constant("action.half", half)], "action.scaled")
    name = "action.shifted" if outside else ACTION
    graph.add("Add", [x, graph.constant("action.centre", centre)], name)
    if outside:
        _clamp(graph, name, rule.low, rule.high, ACTION)


def _clamp(
    graph: _Graph, x: str, low: NDArray[np.float32], high: NDArray[np.float32], output: str
) -> str:
    """Clip to bounds per dimension; infinite ones become the largest float32 in the graph."""
    if np.isinf(low).all() and np.isinf(high).all():
        return graph.add("Identity", [x], output)
    low, high = (np.clip(bound, -_FLOAT32_MAX, _FLOAT32_MAX) for bound in (low, high))
    same = (low == low[0]).all() and (high == high[0]).all()
    bounds = [
        graph.constant(f"{output}.{end}", bound[0] if same else bound)
        for end, bound in (("low", low), ("high", high))
    ]
    if same:  # Clip takes scalars only
        return graph.add("Clip", [x, *bounds], output)
    raised = graph.add("Max", [x, bounds[0]], f"{output}.raised")
    return graph.add("Min", [raised, bounds[1]], output)
