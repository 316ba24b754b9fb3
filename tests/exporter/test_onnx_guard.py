import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspctl.errors import BackendUnavailable
from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy
from dspctl.runtime import Policy
from dspctl.runtime.backends.onnx_runner import OnnxRunner
from dspctl.runtime.policy.guard import ON_INVALID
from tests.runtime.policies import make_policy, policies, suspicious_of
from tests.runtime.runners import assert_follows_the_rules

NETWORK = ["Gemm", "Relu", "Gemm", "Relu", "Gemm"]


def every_graph() -> list[Policy]:
    """A policy for every way to write the guard."""
    return [
        make_policy(rule=rule, on_invalid=mode, ranged=ranged, unread=unread, bounded=True)
        for rule, mode, ranged, unread in itertools.product(
            ("argmax", "clip", "tanh_unscale"), ON_INVALID, (False, True), (0, 2)
        )
    ]


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@settings(max_examples=40, deadline=None)
@given(policies(guarded=True), st.integers(0, 2**32 - 1))
def test_onnx_follows_the_rules(policy: Policy, seed: int) -> None:
    with OnnxRunner(policy, bytes_from_model(onnx_from_policy(policy))) as runner:
        assert_follows_the_rules(runner, suspicious_of(policy, 12, seed))


@pytest.mark.parametrize("opset", [14, 17, 18, 21])
def test_every_way_to_write_it_in_every_opset(opset: int) -> None:
    for policy in every_graph():
        model = onnx_from_policy(policy, opset=opset)
        assert model.opset_import[0].version == opset
        with OnnxRunner(policy, bytes_from_model(model)) as runner:
            assert_follows_the_rules(runner, suspicious_of(policy, 4, 3))


@pytest.mark.parametrize(
    ("rule", "mode", "ranged", "before", "after"),
    [
        (
            "argmax",
            "flag",
            False,
            ["Clip", "Equal", "Where", "Not", "Cast", "ReduceMax", "Cast", "Cast"],
            ["ArgMax", "Where"],
        ),
        (
            "argmax",
            "zero",
            False,
            ["Clip", "Equal", "Where", "Not", "Cast", "ReduceMax", "Cast"],
            ["ArgMax"],
        ),
        (
            "argmax",
            "clamp",
            False,
            ["Clip", "Equal", "IsNaN", "Where", "Not", "Cast", "ReduceMax", "Cast"],
            ["ArgMax"],
        ),
        (
            "clip",
            "hold",
            True,
            [
                *["Max", "Min", "Equal", "Where"],
                *["Abs", "LessOrEqual", "Not", "Cast", "ReduceMax"],
                *["Xor", "Cast", "ReduceMax", "Mul", "Add"],
                *["Cast", "Squeeze", "Cast"],
            ],
            ["Max", "Min", "Where"],
        ),
    ],
)
def test_the_guard_is_as_small_as_it_can_be(
    rule: str, mode: str, ranged: bool, before: list[str], after: list[str]
) -> None:
    policy = make_policy(
        rule=rule, on_invalid=mode, ranged=ranged, normalizer=False, activation="relu"
    )
    assert operators(onnx_from_policy(policy)) == [*before, *NETWORK, *after]


def test_a_range_narrow_only_where_nothing_reads_is_not_tested() -> None:
    policy = make_policy(on_invalid="flag", unread=3)
    unread = np.setdiff1d(np.arange(8), policy.inputs)
    policy.guard.high[unread] = 1.0
    assert "Xor" not in operators(onnx_from_policy(policy))
    policy.guard.high[policy.inputs[-1]] = 1.0
    assert "Xor" in operators(onnx_from_policy(policy))


def test_the_status_is_an_output_and_the_plain_graph_has_none() -> None:
    policy = make_policy(normalizer=False, activation="relu", on_invalid="flag", ranged=True)
    (status,) = [each for each in onnx_from_policy(policy).graph.output if each.name == "status"]
    assert status.type.tensor_type.elem_type == onnx.TensorProto.INT32
    assert [each.dim_param for each in status.type.tensor_type.shape.dim] == ["batch"]
    plain = onnx_from_policy(policy, guard=False)
    assert operators(plain) == [*NETWORK, "ArgMax"]
    assert [each.name for each in plain.graph.output] == ["action", "outputs"]
    with pytest.raises(BackendUnavailable, match="'status'"):
        OnnxRunner(policy, bytes_from_model(plain))


def test_tensorrt_parses_every_graph() -> None:
    trt: Any = pytest.importorskip("tensorrt_rtx")
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    for policy in every_graph():
        network = builder.create_network(0)  # the parser does not keep it alive
        parser = trt.OnnxParser(network, log)
        parsed = parser.parse(bytes_from_model(onnx_from_policy(policy)))
        assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
