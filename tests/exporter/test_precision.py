"""The graphs of lower precision: typed in the graph, measured, and refused where they cannot be."""

import hashlib
import itertools
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from onnx import TensorProto, numpy_helper

from dspctl import errors
from dspctl.exporter.onnx import OPSET, bytes_from_model, onnx_from_policy
from dspctl.exporter.onnx.int8 import activation_scale, int8_from_policy
from dspctl.exporter.onnx.precision import (
    LARGEST,
    bytes_fp16,
    float32_nodes,
    fp16_report,
    largest_value,
    onnx_fp16_from_policy,
)
from dspctl.runtime import Policy
from dspctl.runtime.backends.onnx_runner import OnnxRunner
from dspctl.runtime.policy import ACTION_KINDS
from dspctl.runtime.policy.guarded import with_guard
from tests.runtime.policies import make_policy, observations_of, policies


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def half_reference(policy: Policy, x: Any) -> Any:
    """The layers in float16 with sums in float32, written out."""
    h = x[:, policy.inputs].astype(np.float32)
    if policy.normalizer is not None:
        h = policy.normalizer.apply(h)
    h = np.clip(h, -LARGEST, LARGEST).astype(np.float16)
    for layer in policy.layers:
        weight = np.where(layer.kept[:, None], layer.weight, 0).astype(np.float16)
        h = h.astype(np.float32) @ weight.T.astype(np.float32)
        if layer.bias is not None:
            h = h + np.where(layer.kept, layer.bias, 0).astype(np.float16).astype(np.float32)
        with np.errstate(over="ignore"):
            h = h.astype(np.float16)
        if layer.activation == "tanh":
            h = np.tanh(h.astype(np.float32)).astype(np.float16)
        elif layer.activation == "relu":
            h = np.maximum(h, np.float16(0))
    return h.astype(np.float32)


# --- fp16 ---------------------------------------------------------------------------------------


def test_layers_are_float16_and_everything_else_is_not() -> None:
    policy = make_policy(rule="tanh_unscale", unread=2)
    model = onnx_fp16_from_policy(policy)
    types = types_of(model)
    assert types["observation"] == types["action"] == types["outputs"] == TensorProto.FLOAT
    assert types["status"] == TensorProto.INT32
    assert types["normalizer.clipped"] == types["guard.repaired"] == TensorProto.FLOAT
    for node in model.graph.node:
        if node.op_type == "Gemm":
            assert {types[name] for name in [*node.input, *node.output]} == {TensorProto.FLOAT16}
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    kinds = [(types[node.input[0]], types[node.output[0]]) for node in casts]
    assert kinds.count((TensorProto.FLOAT, TensorProto.FLOAT16)) == 1
    assert kinds.count((TensorProto.FLOAT16, TensorProto.FLOAT)) == 1
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
    assert {name.split(".")[0] for name in float32_nodes(model)} == {
        *("inputs", "guard", "normalizer", "action")
    }


def test_the_fp16_graph_computes_in_half_precision() -> None:
    for activation, normalizer, masks in itertools.product(
        ("tanh", "relu", "identity"), (True, False), (True, False)
    ):
        policy = make_policy(activation=activation, normalizer=normalizer, masks=masks, unread=1)
        x = observations_of(policy, 200)
        with OnnxRunner(policy, bytes_fp16(policy)) as runner:
            outputs = runner.outputs(x)
        # Two roundings of a float16 apart at most: the order of additions is the runtime's.
        tolerance = 4 * 2.0**-11 * max(1.0, float(np.abs(outputs).max()))
        np.testing.assert_allclose(outputs, half_reference(policy, x), atol=tolerance)
        error = np.abs(outputs - policy.outputs(x.astype(np.float64))).max()
        report = fp16_report(policy, x)
        assert report.largest_output_error == pytest.approx(error)
        assert 1e-5 < report.largest_output_error < 0.02


@settings(max_examples=25, deadline=None)
@given(policies())
def test_any_policy_that_fits_becomes_a_valid_graph(policy: Policy) -> None:
    model = onnx_fp16_from_policy(policy)
    onnx.checker.check_model(model, full_check=True)
    with OnnxRunner(policy, bytes_from_model(model)) as runner:
        assert np.isfinite(runner.outputs(observations_of(policy, 8))).all()


def test_what_float16_cannot_hold_is_refused() -> None:
    policy = make_policy()
    first = policy.layers[0]
    weight = first.weight.copy()
    weight[1, 2] = 70000.0
    wide = replace(policy, layers=(replace(first, weight=weight), *policy.layers[1:]))
    with pytest.raises(errors.PrecisionOverflow, match=r"layers\.0\.weight holds 70000.+fp32"):
        onnx_fp16_from_policy(wide)
    assert isinstance(first.bias, np.ndarray)
    bias = replace(first, bias=first.bias - np.float32(1e6))
    with pytest.raises(errors.PrecisionOverflow, match=r"layers\.0\.bias"):
        onnx_fp16_from_policy(replace(policy, layers=(bias, *policy.layers[1:])))


def test_a_large_observation_does_not_become_an_infinity() -> None:
    policy = make_policy(normalizer=False, activation="tanh")
    x = np.full((1, 5), 1e30, np.float32)
    with OnnxRunner(policy, bytes_fp16(policy)) as runner:
        outputs = runner.outputs(x)
    np.testing.assert_allclose(outputs, half_reference(policy, x), atol=0.01)
    assert largest_value(policy) > LARGEST  # and the report says that sums may overflow
    assert fp16_report(policy, observations_of(policy, 50)).largest_value > LARGEST


def test_the_normalisers_clip_is_not_doubled() -> None:
    def clips(policy: Policy) -> int:
        return [node.op_type for node in onnx_fp16_from_policy(policy).graph.node].count("Clip")

    assert clips(make_policy(clip=10.0)) == clips(make_policy(clip=None))
    assert clips(make_policy(clip=1e6)) == clips(make_policy(clip=10.0)) + 1


def test_largest_value_bounds_what_is_seen() -> None:
    policy = with_guard(make_policy(bounded=True, activation="relu", normalizer=False), "clamp")
    low, high = policy.guard.low, policy.guard.high
    x = np.random.default_rng(0).uniform(low, high, (5000, 5)).astype(np.float32)
    seen = np.abs(policy.outputs(x.astype(np.float64))).max()
    assert seen <= largest_value(policy) < 100 * seen


def test_the_same_policy_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from tests.runtime.policies import make_policy; "
        "from dspctl.exporter.onnx.precision import bytes_fp16; "
        "print(hashlib.sha256(bytes_fp16(make_policy(masks=True))).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    data = bytes_fp16(make_policy(masks=True))
    assert hashlib.sha256(data).hexdigest() == other.stdout.strip()


def test_a_report_leaves_out_what_the_guard_refuses() -> None:
    policy = make_policy()
    x = observations_of(policy, 10)
    x[3, policy.inputs[0]] = np.nan
    report = fp16_report(policy, x)
    assert report.observations == 9
    assert report.to_json()["precision"] == "fp16"
    with pytest.raises(errors.ObservationInvalid, match="valid range"):
        fp16_report(policy, x[3:4])


# --- int8 ---------------------------------------------------------------------------------------


def test_int8_needs_a_recording() -> None:
    policy = make_policy()
    for recorded in (None, observations_of(policy, 255)):
        with pytest.raises(errors.CalibrationMissing, match=r"256 recorded.+export the run"):
            int8_from_policy(policy, recorded)
    with pytest.raises(errors.ObservationShape):
        int8_from_policy(policy, np.zeros((500, 4), np.float32))
    with pytest.raises(errors.ObservationNotFinite):
        int8_from_policy(policy, np.full((500, 5), np.nan, np.float32))


@pytest.mark.parametrize("rule", ACTION_KINDS)
def test_int8_says_what_it_saves_and_costs(rule: str) -> None:
    policy = make_policy(sizes=(8, 64, 64, 4), activation="relu", rule=rule, masks=True)
    x = observations_of(policy, 2000)
    quantised = int8_from_policy(policy, x)
    report = quantised.report
    fp32 = bytes_from_model(onnx_from_policy(policy))
    assert report.observations == 400  # the end of the recording, kept apart
    assert report.graph_bytes == len(quantised.model)
    assert report.saved_bytes == len(fp32) - len(quantised.model) > 0.4 * len(fp32)
    session = onnxruntime.InferenceSession(quantised.model)
    outputs, actions = session.run(["outputs", "action"], {"observation": x[1600:]})
    exact = policy.outputs(x[1600:].astype(np.float64))
    assert report.largest_output_error == pytest.approx(np.abs(outputs - exact).max())
    assert 1e-3 < report.largest_output_error < 0.3 * np.abs(exact).max()
    if rule == "argmax":
        assert report.changed_actions == (actions != exact.argmax(axis=1)).mean()
        assert report.changed_actions < 0.05
    else:
        assert 0 < report.largest_action_error < 0.2


def test_a_tiny_network_grows() -> None:
    policy = make_policy()
    assert int8_from_policy(policy, observations_of(policy, 300)).report.saved_bytes < 0


def test_weights_are_int8_per_row_and_symmetric() -> None:
    policy = make_policy(sizes=(6, 9, 3), masks=True)
    x = observations_of(policy, 500)
    model = onnx.load_from_string(int8_from_policy(policy, x).model)
    assert model.opset_import[0].version == OPSET
    tensors = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for index, layer in enumerate(policy.layers):
        weight = np.where(layer.kept[:, None], layer.weight, 0)
        stored, scale = tensors[f"layers.{index}.weight"], tensors[f"layers.{index}.weight.scale"]
        assert (stored.dtype.name, scale.dtype.name) == ("int8", "float32")
        assert scale.shape == (layer.width,)
        assert np.abs(stored).max() == 127
        assert (tensors[f"layers.{index}.weight.zero"] == 0).all()
        error = np.abs(stored * scale[:, None] - weight)
        assert (error <= scale[:, None] * 0.5001).all()  # nearest point of the grid
        assert tensors[f"layers.{index}.input.zero"] == 0
    quantisers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantisers) == len(policy.layers)


def test_a_scale_has_the_least_error_of_those_tried() -> None:
    rng = np.random.default_rng(0)
    values = np.append(rng.standard_normal(10000), 40.0)  # one outlier
    chosen = float(activation_scale(values))

    def error(step: float) -> float:
        return float(np.square(np.clip(np.rint(values / step), -127, 127) * step - values).mean())

    assert chosen <= 40.0 / 127 + 1e-6
    assert error(chosen) <= error(40.0 / 127)
    assert activation_scale(np.zeros(5)) == 1.0


def test_the_same_recording_gives_the_same_bytes() -> None:
    policy = make_policy()
    x = observations_of(policy, 600)
    assert int8_from_policy(policy, x).model == int8_from_policy(policy, x).model
    assert int8_from_policy(policy, x).model != int8_from_policy(policy, 2 * x).model
