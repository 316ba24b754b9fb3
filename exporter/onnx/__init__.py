"""Policy → ONNX: raw observation in, environment action out, everything between inside the graph.

The graph has one input, ``observation`` float32 [batch, obs_dim], and three outputs: ``action``
(int64 [batch], or float32 [batch, action_dim]), ``outputs`` (float32 [batch, out], logits or means
of the repaired observation) and ``status`` (int32 [batch], see `dspctl.runtime.policy.guard`). The
network uses Gather, Sub, Mul, Clip, Gemm, Tanh, Relu, Add, Max, Min, Identity and ArgMax only; the
guard, in :mod:`dspctl.exporter.onnx.guard`, adds a few comparisons.
"""

import hashlib

import numpy as np

from dspctl import __version__
from dspctl.errors import MissingExtra, UnsupportedOpset
from dspctl.exporter.onnx.graph import Graph, clamp, floats, integers
from dspctl.exporter.onnx.guard import add_action, add_guard
from dspctl.runtime.backends.onnx_runner import ACTION, INPUT, OUTPUTS, STATUS
from dspctl.runtime.policy import ActionRule, Layer, Normalizer, Policy
from dspctl.runtime.policy.file import bytes_from_policy

try:
    import onnx
    from onnx import helper
except ImportError as error:
    raise MissingExtra("onnx", "export", "exporting to ONNX") from error

OPSET = 17
"""The newest opset that TensorRT 8.5 parses (onnx-tensorrt, release/8.5-GA, docs/operators.md),
which is what JetPack 5 ships; every newer TensorRT and ONNX Runtime reads it too. Its IR version
is 8 (onnx 1.12). Every operator used here last changed in opset 14 or earlier."""

OLDEST_OPSET = 14

_OPERATORS = {"tanh": "Tanh", "relu": "Relu"}


def onnx_from_policy(policy: Policy, *, opset: int = OPSET, guard: bool = True) -> onnx.ModelProto:
    """The policy as an ONNX model, checked and with every shape inferred.

    Masks are multiplied through: the rows of removed units are zero (DSP Eq 8).

    Args:
        policy: what to convert.
        opset: version of the operators.
        guard: False leaves out the guard and the output ``status``, to compare the bare network
            with other tools. No runner of dspctl takes such a graph.

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
    graph = Graph(opset)
    x = INPUT
    if policy.inputs.size < policy.observation.size:
        x = graph.add("Gather", [x, graph.constant("inputs", policy.inputs)], "inputs.read", axis=1)
    if guard:
        x = add_guard(graph, policy, x)
    if policy.normalizer is not None:
        x = _normalizer(graph, policy.normalizer, x)
    for index, layer in enumerate(policy.layers):
        x = _layer(graph, layer, x, index, last=index == len(policy.layers) - 1)
    if guard and not policy.guard.repairs:
        _action(graph, policy.action, "action.computed")
        add_action(graph, policy, "action.computed")
    else:
        _action(graph, policy.action, ACTION)
    versions = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        _finish(graph, policy, guard=guard),
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


def _finish(graph: Graph, policy: Policy, *, guard: bool) -> onnx.GraphProto:
    width = policy.layers[-1].width
    action = integers(ACTION, 64) if policy.action.discrete else floats(ACTION, width)
    outputs = [action, floats(OUTPUTS, width)]
    if guard:
        outputs.append(integers(STATUS, 32))
    return graph.finish([floats(INPUT, policy.observation.size)], outputs)


def _normalizer(graph: Graph, normalizer: Normalizer, x: str) -> str:
    mean = graph.constant("normalizer.mean", normalizer.mean)
    scale = graph.constant("normalizer.scale", normalizer.scale)
    x = graph.add("Sub", [x, mean], "normalizer.centred")
    x = graph.add("Mul", [x, scale], "normalizer.scaled")
    if normalizer.clip is None:
        return x
    low = graph.constant("normalizer.low", -normalizer.clip)
    high = graph.constant("normalizer.high", normalizer.clip)
    return graph.add("Clip", [x, low, high], "normalizer.clipped")


def _layer(graph: Graph, layer: Layer, x: str, index: int, *, last: bool) -> str:
    layer = layer.unmasked
    inputs = [x, graph.constant(f"layers.{index}.weight", layer.weight)]
    if layer.bias is not None:
        inputs.append(graph.constant(f"layers.{index}.bias", layer.bias))
    x = graph.add("Gemm", inputs, OUTPUTS if last else f"layers.{index}.affine", transB=1)
    if layer.activation == "identity":
        return x
    return graph.add(_OPERATORS[layer.activation], [x], f"layers.{index}.hidden")


def _action(graph: Graph, rule: ActionRule, output: str) -> None:
    if rule.kind == "argmax":
        name = "action.index" if rule.start else output
        graph.add("ArgMax", [OUTPUTS], name, axis=1, keepdims=0)
        if rule.start:
            start = graph.constant("action.start", np.array(rule.start, np.int64))
            graph.add("Add", [name, start], output)
        return
    if rule.kind == "clip":
        clamp(graph, OUTPUTS, rule.low, rule.high, output)
        return
    if rule.kind == "tanh_unscale":
        unit = graph.add("Tanh", [OUTPUTS], "action.unit")
    else:
        ones = np.ones_like(rule.low)
        unit = clamp(graph, OUTPUTS, -ones, ones, "action.unit")
    # low + (unit + 1) / 2 * (high - low), with the constants computed in float64.
    low, high = rule.low.astype(np.float64), rule.high.astype(np.float64)
    half = ((high - low) / 2).astype(np.float32)
    centre = ((high + low) / 2).astype(np.float32)
    # Rounding may carry the ends of the range past the bound, which an environment may refuse.
    outside = bool((centre + half > rule.high).any() or (centre - half < rule.low).any())
    x = graph.add("Mul", [unit, graph.constant("action.half", half)], "action.scaled")
    name = "action.shifted" if outside else output
    graph.add("Add", [x, graph.constant("action.centre", centre)], name)
    if outside:
        clamp(graph, name, rule.low, rule.high, output)
