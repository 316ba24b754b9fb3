"""The guard in the ONNX graph: `dspctl.runtime.policy.guard.Guard` in operators.

A value is valid if clamping it to its range changes nothing: ``x == min(max(x, low), high)``. That
is False for NaN whatever a runtime's min and max make of one, and False for infinities because the
range is finite. Where every finite value is valid, this one test is the whole guard.

Every operator costs a call: 0.15 us in ONNX Runtime, Where 0.6 us. So Where is used only where a
NaN must not get through arithmetic: for the repaired observation and for the action.

The operators are Clip (or Max and Min), Equal, Where, IsNaN, Not, ReduceMax and Cast, and for a
range narrower than float32 Abs, LessOrEqual, Xor, Mul and Add. TensorRT parses them since 8.4
(onnx-tensorrt, docs/operators.md), reductions in floating point only.
"""

import numpy as np
from onnx import TensorProto

from dspctl.exporter.onnx.graph import Graph, clamp
from dspctl.runtime.backends.onnx_runner import ACTION, STATUS
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import FLOAT32_MAX, OUT_OF_RANGE


def add_guard(graph: Graph, policy: Policy, x: str) -> str:
    """Guard the features that the network reads.

    Args:
        graph: where to.
        policy: whose guard.
        x: name of float32 [batch, inputs].

    Returns:
        The name of the repaired features, float32 [batch, inputs]. The graph then has the output
        ``status`` too.
    """
    guard, read = policy.guard, policy.inputs
    low, high, fill = guard.low[read], guard.high[read], guard.fill[read]
    clamped = clamp(graph, x, low, high, "guard.clamped")
    valid = graph.add("Equal", [x, clamped], "guard.valid")
    filler = graph.constant("guard.fill", fill[:1] if (fill == fill[0]).all() else fill)
    if guard.on_invalid == "clamp":
        missing = graph.add("IsNaN", [x], "guard.missing")
        repaired = graph.add("Where", [missing, filler, clamped], "guard.repaired")
    else:
        repaired = graph.add("Where", [valid, x, filler], "guard.repaired")
    if (low == -FLOAT32_MAX).all() and (high == FLOAT32_MAX).all():
        found = _any(graph, policy, graph.add("Not", [valid], "guard.not_finite"))
    else:
        found = _both_bits(graph, policy, x, valid)
    if _replaces(policy):
        graph.add("Cast", [found], "guard.invalid", to=TensorProto.BOOL)
    if _is_column(policy):
        axis = graph.constant("guard.feature_axis", np.array([1], np.int64))
        found = graph.add("Squeeze", [found, axis], "guard.found")
    graph.add("Cast", [found], STATUS, to=TensorProto.INT32)
    return repaired


def add_action(graph: Graph, policy: Policy, computed: str) -> None:
    """The graph's ``action``: the *computed* one, or the safe one for an invalid observation."""
    safe = graph.constant("guard.safe_action", policy.guard.safe_action)
    graph.add("Where", ["guard.invalid", safe, computed], ACTION)


def _both_bits(graph: Graph, policy: Policy, x: str, valid: str) -> str:
    size = graph.add("Abs", [x], "guard.size")
    top = graph.constant("guard.largest", np.array([FLOAT32_MAX]))
    finite = graph.add("LessOrEqual", [size, top], "guard.finite")
    not_finite = _any(graph, policy, graph.add("Not", [finite], "guard.not_finite"))
    # What is in its range is finite, so the two differ where a finite value is out of it.
    outside = _any(graph, policy, graph.add("Xor", [finite, valid], "guard.out_of_range"))
    bit = graph.constant("guard.out_of_range.bit", np.array([float(OUT_OF_RANGE)]))
    coded = graph.add("Mul", [outside, bit], "guard.out_of_range.code")
    return graph.add("Add", [coded, not_finite], "guard.code")


def _any(graph: Graph, policy: Policy, per_feature: str) -> str:
    """1.0 for observations of which some feature is True, else 0.0."""
    number = graph.add("Cast", [per_feature], f"{per_feature}.number", to=TensorProto.FLOAT)
    return graph.largest(number, f"{per_feature}.any", keepdims=_is_column(policy))


def _replaces(policy: Policy) -> bool:
    return not policy.guard.repairs


def _is_column(policy: Policy) -> bool:
    """A vector of actions is replaced by a condition [batch, 1]; ``status`` is [batch]."""
    return _replaces(policy) and not policy.action.discrete
