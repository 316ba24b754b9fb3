"""The int8 graph: weights stored as int8 per row, activations quantised by recorded observations.

Off unless asked for, and only with recorded observations: ranges guessed from random ones cost
accuracy that nobody measured. For a 9-wide network it saves some hundred bytes; the report says how
many, and the share of actions that change on observations that were kept apart.

The graph holds ``QuantizeLinear`` and ``DequantizeLinear`` around every matrix product (explicit
quantisation, which every TensorRT from 8 on reads and TensorRT 11 alone knows), symmetric, with
float32 scales: opset 17 has these operators in the version of opset 13, with scale and sums in
float32 only (float16 scales came with opset 19). Written here rather than with
onnxruntime.quantization, which splits every layer in two and adds its own names and metadata.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import CalibrationMissing, MissingExtra, PrecisionOverflow
from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy
from dspctl.exporter.onnx.precision import PrecisionReport, measure_precision
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.observations import check_recorded

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError as error:
    raise MissingExtra("onnx", "export", "exporting to ONNX") from error

LEAST_ROWS = 256
"""Fewer recorded observations do not show a policy's range."""

_LEVELS = 127
_HELD_OUT = 5
"""One fifth of the recording, its end, is kept apart: neighbouring steps are nearly equal."""

_TRIED = np.linspace(0.5, 1.0, 26)
"""Ranges tried, as shares of the largest value seen; the one with the least squared error wins."""


@dataclass(frozen=True)
class Int8Export:
    """A quantised graph.

    Attributes:
        model: its file.
        report: what it saves and costs, on observations kept apart.
    """

    model: bytes
    report: PrecisionReport


def int8_from_policy(policy: Policy, recorded: NDArray[np.floating[Any]] | None) -> Int8Export:
    """Quantise a policy.

    Args:
        policy: what to convert.
        recorded: float [n, obs_dim], raw, from episodes of this policy, in the order recorded.

    Raises:
        CalibrationMissing: there are none, or fewer than `LEAST_ROWS`.
        ObservationShape, ObservationNotFinite: they are not this policy's.
        PolicyProblem: the policy cannot be stored.
    """
    rows = 0 if recorded is None else len(recorded)
    if recorded is None or rows < LEAST_ROWS:
        raise CalibrationMissing(
            f"int8 needs at least {LEAST_ROWS} recorded observations, not {rows}: export the run "
            "folder, which holds them, or export where the policy's environment is installed, so "
            "that dspctl records episodes"
        )
    check_recorded(recorded, policy)
    observations = np.ascontiguousarray(recorded, np.float32)
    split = rows - rows // _HELD_OUT
    model = int8_from_onnx(onnx_from_policy(policy), policy, observations[:split])
    data = bytes_from_model(model)
    return Int8Export(data, measure_precision("int8", policy, data, observations[split:]))


def int8_from_onnx(
    model: onnx.ModelProto, policy: Policy, observations: NDArray[np.float32]
) -> onnx.ModelProto:
    """A quantised copy of `onnx_from_policy`'s graph, with ranges from *observations*."""
    scales = iter([activation_scale(values) for values in _layer_inputs(policy, observations)])
    converted = onnx.ModelProto()
    converted.CopyFrom(model)
    graph = converted.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "Gemm":
            name = node.input[1].removesuffix(".weight")
            x, weight = f"{name}.input", f"{name}.weight"
            nodes += _quantise_input(graph, node.input[0], x, next(scales))
            nodes.append(_dequantise_weight(graph, weights[weight], weight))
            node.input[0], node.input[1] = x, f"{weight}.dequantised"
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    converted = onnx.shape_inference.infer_shapes(converted, check_type=True, strict_mode=True)
    onnx.checker.check_model(converted, full_check=True)
    return converted


def activation_scale(values: NDArray[np.float64]) -> np.float32:
    """The step of a symmetric int8 grid for *values*, of any shape, by least squared error."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return np.float32(1.0)
    steps = largest * _TRIED / _LEVELS
    errors = [np.square(_rounded(values, step) * step - values).mean() for step in steps]
    return np.float32(steps[int(np.argmin(errors))])


def _layer_inputs(policy: Policy, observations: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """What each layer is given, float64 [n, fan_in] each."""
    repaired = policy.guard.repair(observations, policy.inputs).astype(np.float64)
    h: NDArray[Any] = repaired[:, policy.inputs]
    if policy.normalizer is not None:
        h = policy.normalizer.apply(h)
    given = []
    for layer in (each.unmasked for each in policy.layers):
        given.append(np.asarray(h, np.float64))
        h = h @ layer.weight.T.astype(np.float64)
        if layer.bias is not None:
            h = h + layer.bias
        if layer.activation == "tanh":
            h = np.tanh(h)
        elif layer.activation == "relu":
            h = np.maximum(h, 0.0)
    return given


def _quantise_input(
    graph: onnx.GraphProto, x: str, output: str, scale: np.float32
) -> list[onnx.NodeProto]:
    """Nodes that round *x* to the grid of *scale*."""
    names = _grid(graph, output, np.asarray(scale), np.zeros((), np.int8))
    quantised = f"{output}.quantised"
    return [
        helper.make_node("QuantizeLinear", [x, *names], [quantised], f"{quantised}.node"),
        helper.make_node("DequantizeLinear", [quantised, *names], [output], f"{output}.node"),
    ]


def _dequantise_weight(
    graph: onnx.GraphProto, tensor: onnx.TensorProto, name: str
) -> onnx.NodeProto:
    """Make the weight int8 with one scale per row, in place; the node that gives it as float32."""
    value = numpy_helper.to_array(tensor).astype(np.float64)
    largest = np.abs(value).max(axis=1)
    scale = np.where(largest > 0, largest / _LEVELS, 1.0).astype(np.float32)
    if (scale == 0).any():
        raise PrecisionOverflow(f"{name} holds a row too small for int8: use the fp32 graph")
    rounded = _rounded(value, scale[:, None].astype(np.float64)).astype(np.int8)
    tensor.CopyFrom(numpy_helper.from_array(rounded, name))
    names = _grid(graph, name, scale, np.zeros(len(scale), np.int8))
    output = f"{name}.dequantised"
    return helper.make_node("DequantizeLinear", [name, *names], [output], f"{output}.node", axis=0)


def _grid(
    graph: onnx.GraphProto, name: str, scale: NDArray[np.float32], zero: NDArray[np.int8]
) -> list[str]:
    """Add a grid's scale and zero point (always 0: TensorRT takes no other)."""
    for each, value in ((f"{name}.scale", scale), (f"{name}.zero", zero)):
        graph.initializer.append(numpy_helper.from_array(value, each))
    return [f"{name}.scale", f"{name}.zero"]


def _rounded(values: NDArray[np.float64], step: Any) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.clip(np.rint(values / step), -_LEVELS, _LEVELS)
    return rounded
