"""The fp16 graph: float32 in and out, the layers in float16, every conversion a Cast in the graph.

Typed in the graph, so that no builder flag decides: the guard and the normaliser stay in float32,
because a raw observation may need its range or its digits; the last layer's outputs return to
float32, so that the action rule and whoever reads the outputs see float32. What is given to the
first layer is held within ±65504, the largest float16: a value beyond would become an infinity.

Opset 17 has float16 in every operator used here. Quantised graphs: `dspctl.exporter.onnx.int8`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import MissingExtra, ObservationInvalid, PrecisionOverflow
from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy
from dspctl.runtime.backends.onnx_runner import ACTION, INPUT, OUTPUTS
from dspctl.runtime.policy import Policy

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingExtra("onnx", "export", "exporting to ONNX") from error

LARGEST = float(np.finfo(np.float16).max)
"""65504, the largest finite float16."""

_FOLLOWS = ("Tanh", "Relu")


@dataclass(frozen=True)
class PrecisionReport:
    """What a graph of lower precision computes, against the float64 reference.

    Attributes:
        precision: ``fp16`` or ``int8``.
        observations: how many were compared; those that the guard refuses are not.
        largest_output_error: absolute, over all network outputs.
        largest_action_error: as a share of the action's range; 0 for discrete actions.
        changed_actions: share of the observations with another discrete action, or a continuous
            one that is off by more than 1% of its range.
        graph_bytes: size of this graph's file.
        saved_bytes: how much smaller it is than the fp32 graph's file.
        largest_value: bound of the values inside the network for any finite observation within the
            guard's range, by interval arithmetic; beyond `LARGEST` an fp16 sum may overflow.
    """

    precision: str
    observations: int
    largest_output_error: float
    largest_action_error: float
    changed_actions: float
    graph_bytes: int
    saved_bytes: int
    largest_value: float

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def bytes_fp16(policy: Policy) -> bytes:
    """The file `policy.fp16.onnx` of a bundle. Raises as `onnx_fp16_from_policy`."""
    return bytes_from_model(onnx_fp16_from_policy(policy))


def onnx_fp16_from_policy(policy: Policy) -> onnx.ModelProto:
    """The policy as a graph whose layers are float16, checked; the same policy gives the same.

    Raises:
        PrecisionOverflow: a weight or bias is too large for float16; says which.
        PolicyProblem: the policy cannot be stored.
    """
    return fp16_from_onnx(onnx_from_policy(policy))


def fp16_from_onnx(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a graph of `onnx_from_policy` with the layers in float16.

    Raises:
        PrecisionOverflow: a weight or bias is too large for float16; says which.
    """
    converted = onnx.ModelProto()
    converted.CopyFrom(model)
    graph = converted.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    half: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "Gemm":
            if node.input[0] not in half:
                nodes += _to_half(graph, node.input[0], held=_held(nodes, weights, node.input[0]))
                node.input[0] = _LAYERS_IN
            for name in node.input[1:]:
                _convert(weights[name])
            half.add(node.output[0])
        elif node.op_type in _FOLLOWS and node.input[0] in half:
            half.add(node.output[0])
        nodes.append(node)
        if node.output[0] == OUTPUTS:
            node.output[0] = _LAYERS_OUT
            nodes.append(_cast(_LAYERS_OUT, OUTPUTS, TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # inferred again, with the new types
    converted = onnx.shape_inference.infer_shapes(converted, check_type=True, strict_mode=True)
    onnx.checker.check_model(converted, full_check=True)
    return converted


def fp16_report(policy: Policy, observations: NDArray[np.float32]) -> PrecisionReport:
    """Measure the fp16 graph on *observations*, float32 [n, obs_dim], with ONNX Runtime."""
    model = bytes_from_model(onnx_fp16_from_policy(policy))
    return measure_precision("fp16", policy, model, observations)


def measure_precision(
    precision: str, policy: Policy, model: bytes, observations: NDArray[np.float32]
) -> PrecisionReport:
    """Run *model* on *observations*, float32 [n, obs_dim], and compare with float64.

    Raises:
        MissingExtra: onnxruntime is not installed.
        ObservationInvalid: no observation passes the policy's guard.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "export", "measuring a graph's error") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = np.ascontiguousarray(observations, np.float32)
    outputs, actions = session.run([OUTPUTS, ACTION], {INPUT: feed})
    valid = policy.guard.status(feed, policy.inputs) == 0  # what is done with the others is exact
    if not valid.any():
        raise ObservationInvalid(
            "none of these observations is in the policy's valid range: record episodes of it"
        )
    feed, outputs, actions = feed[valid], outputs[valid], actions[valid]
    exact = policy.outputs(feed.astype(np.float64))
    best = policy.action.apply(exact)
    action_error, changed = 0.0, np.asarray(actions != best)
    if not policy.action.discrete:
        spread = policy.action.high.astype(np.float64) - policy.action.low.astype(np.float64)
        spread = np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)
        off = np.abs(actions.astype(np.float64) - best) / spread
        action_error, changed = float(off.max()), (off > 0.01).any(axis=1)
    full = len(bytes_from_model(onnx_from_policy(policy)))
    return PrecisionReport(
        precision=precision,
        observations=len(feed),
        largest_output_error=float(np.abs(outputs.astype(np.float64) - exact).max()),
        largest_action_error=action_error,
        changed_actions=float(changed.mean()),
        graph_bytes=len(model),
        saved_bytes=full - len(model),
        largest_value=largest_value(policy),
    )


def largest_value(policy: Policy) -> float:
    """Bound of every sum in the network, for any observation within the guard's range."""
    low = np.abs(policy.guard.low[policy.inputs].astype(np.float64))
    reach = np.maximum(low, np.abs(policy.guard.high[policy.inputs].astype(np.float64)))
    if policy.normalizer is not None:
        mean, scale = policy.normalizer.mean, policy.normalizer.scale.astype(np.float64)
        reach = (reach + np.abs(mean.astype(np.float64))) * np.abs(scale)
        if policy.normalizer.clip is not None:
            reach = np.minimum(reach, policy.normalizer.clip)
    reach = np.minimum(reach, LARGEST)  # the graph holds it there
    largest = float(reach.max())
    for layer in policy.layers:
        bias = 0.0 if layer.bias is None else np.abs(layer.bias.astype(np.float64))
        reach = (np.abs(layer.weight.astype(np.float64)) @ reach + bias) * layer.kept
        largest = max(largest, float(reach.max()))
        reach = np.minimum(reach, 1.0) if layer.activation == "tanh" else reach
    return largest


def float32_nodes(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the nodes that compute in float32 in a typed graph, in order.

    TensorRT 8 has no strongly typed networks: there each has to be held by its name. Casts are not
    among them, because their types are given.
    """
    types = {each.name: each.type.tensor_type.elem_type for each in model.graph.value_info}
    types |= {each.name: each.type.tensor_type.elem_type for each in model.graph.input}
    types |= {each.name: each.type.tensor_type.elem_type for each in model.graph.output}
    return tuple(
        node.name
        for node in model.graph.node
        if node.op_type != "Cast"
        and any(types.get(name) == TensorProto.FLOAT for name in node.input)
    )


_LAYERS_IN, _LAYERS_OUT = "layers.input", "layers.output"


def _held(nodes: list[onnx.NodeProto], weights: dict[str, onnx.TensorProto], x: str) -> bool:
    """True when the normaliser's clip keeps *x* within float16 already."""
    for node in nodes:
        if node.output[0] == x and node.op_type == "Clip":
            bounds = [numpy_helper.to_array(weights[name]) for name in node.input[1:]]
            return all(float(np.abs(bound).max()) <= LARGEST for bound in bounds)
    return False


def _to_half(graph: onnx.GraphProto, x: str, *, held: bool) -> list[onnx.NodeProto]:
    """Nodes that convert *x*, and hold it within float16 where nothing else does."""
    if held:
        return [_cast(x, _LAYERS_IN, TensorProto.FLOAT16)]
    bounds = []
    for name, value in (("half.low", -LARGEST), ("half.high", LARGEST)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
        bounds.append(name)
    clip = helper.make_node("Clip", [x, *bounds], ["half.held"], "half.held.node")
    return [clip, _cast("half.held", _LAYERS_IN, TensorProto.FLOAT16)]


def _cast(x: str, output: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [x], [output], f"{output}.cast.node", to=to)


def _convert(tensor: onnx.TensorProto) -> None:
    """Make an initialiser float16, in place; one shared by two layers is converted once."""
    value = numpy_helper.to_array(tensor)
    if value.dtype == np.float16:
        return
    largest = float(np.abs(value).max(initial=0.0))
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    if not np.isfinite(half).all():
        raise PrecisionOverflow(
            f"{tensor.name} holds {largest:g}, but float16 ends at {LARGEST:g}: use the fp32 graph"
        )
    tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
