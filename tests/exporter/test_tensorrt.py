"""The engine builder: its flags on fakes of every version, and real engines of TensorRT-RTX."""

import hashlib
import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from dspctl import errors
from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy
from dspctl.exporter.onnx.int8 import int8_from_policy
from dspctl.exporter.onnx.precision import bytes_fp16, float32_nodes, onnx_fp16_from_policy
from dspctl.exporter.tensorrt import MAX_BATCH, RTX_CAPABILITIES, engine_from_onnx
from dspctl.runtime.policy import ACTION_KINDS
from dspctl.runtime.policy.guard import ON_INVALID
from dspctl.runtime.policy.guarded import with_guard
from dspctl.runtime.tensorrt.stamp import EngineMachine
from tests.runtime.fake_trt import CACHE, VERSIONS, fake_trt
from tests.runtime.policies import make_policy, observations_of

ORIN = EngineMachine("10.3.0.30", "8.7", "36.4.3", "linux-aarch64")
OLD, TEN, ELEVEN = VERSIONS


def graph(**options: Any) -> bytes:
    return bytes_from_model(onnx_from_policy(make_policy(**options)))


def build(trt: Any, model: bytes, **options: Any) -> Any:
    return engine_from_onnx(model, flavor="tensorrt", module=trt, machine=ORIN, **options)


# --- flags --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "precision", "network", "flags"),
    [
        (OLD, "fp32", 0b01, set()),
        (OLD, "fp16", 0b01, {"FP16", "OBEY_PRECISION_CONSTRAINTS"}),
        (OLD, "int8", 0b01, {"INT8", "OBEY_PRECISION_CONSTRAINTS"}),
        (TEN, "fp32", 0b11, {"STRICT_NANS", "EDITABLE_TIMING_CACHE"}),
        (TEN, "fp16", 0b11, {"STRICT_NANS", "EDITABLE_TIMING_CACHE"}),
        (ELEVEN, "fp32", 0b10, {"STRICT_NANS", "EDITABLE_TIMING_CACHE"}),
        (ELEVEN, "fp16", 0b10, {"STRICT_NANS", "EDITABLE_TIMING_CACHE"}),
        (ELEVEN, "int8", 0b10, {"STRICT_NANS", "EDITABLE_TIMING_CACHE"}),
    ],
)
def test_each_version_gets_the_flags_that_it_has(
    version: str, precision: Any, network: int, flags: set[str]
) -> None:
    trt = fake_trt(version)
    engine = build(trt, graph(unread=2), precision=precision)
    assert trt.network_flags == network
    assert trt.config.flags_set == flags  # and not TF32, which is on by default
    (profile,) = trt.config.profiles
    assert profile.shapes == {"observation": ((1, 7), (1, 7), (MAX_BATCH, 7))}
    assert engine.stamp.tensorrt == version
    assert engine.stamp.compute_capabilities == ("8.7",)
    assert (engine.stamp.l4t, engine.stamp.platform) == ("36.4.3", "linux-aarch64")


def test_without_strong_typing_float32_is_held_layer_by_layer() -> None:
    policy = make_policy(rule="tanh_unscale")
    model = onnx_fp16_from_policy(policy)
    trt = fake_trt(OLD)
    build(trt, bytes_from_model(model), precision="fp16")
    layers = {layer.name: layer for layer in trt.network.layers}
    held = {name for name, layer in layers.items() if layer.precision == "float32"}
    assert held <= set(float32_nodes(model))
    assert {"normalizer.centred.node", "guard.valid.node", "action.unit.node"} <= held
    assert layers["layers.0.affine.node"].precision is None
    assert layers["layers.0.affine.node"].output_types == {}
    assert layers["normalizer.scaled.node"].output_types == {0: "float32"}
    assert layers["weights"].precision is None
    trt = fake_trt(TEN)
    build(trt, bytes_from_model(model), precision="fp16")
    assert {layer.precision for layer in trt.network.layers} == {None}


def test_the_timing_cache_is_kept_and_given_back() -> None:
    trt = fake_trt(TEN)
    first = build(trt, graph())
    assert first.timing_cache == CACHE
    build(trt, graph(), timing_cache=first.timing_cache)
    assert trt.config.cache.data == CACHE
    with pytest.raises(errors.EngineBuildFailed, match=r"another machine.+delete it"):
        build(trt, graph(), timing_cache=b"of another GPU")


def test_the_stamp_names_graph_and_plan() -> None:
    model = graph()
    engine = build(fake_trt(), model, precision="fp32")
    assert engine.stamp.onnx_sha256 == hashlib.sha256(model).hexdigest()
    assert engine.stamp.plan_sha256 == hashlib.sha256(engine.plan).hexdigest()
    assert (engine.stamp.flavor, engine.stamp.precision) == ("tensorrt", "fp32")


# --- what it refuses ----------------------------------------------------------------------------


def test_what_tensorrt_said_is_passed_on() -> None:
    trt = fake_trt()
    with pytest.raises(errors.EngineBuildFailed, match="not an ONNX file"):
        build(trt, b"no graph")
    trt.builder_fails = True
    with pytest.raises(errors.EngineBuildFailed, match="Error Code 2: OutOfMemory") as raised:
        build(trt, graph())
    assert "unimportant" not in str(raised.value)


def test_unknown_precision_and_absent_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.UnsupportedPrecision, match="fp32, fp16, int8"):
        build(fake_trt(), graph(), precision="fp8")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(errors.MissingExtra, match="JetPack brings it"):
        engine_from_onnx(graph(), flavor="tensorrt")
    with pytest.raises(errors.MissingExtra, match=r"pip install 'dspctl\[rtx\]'"):
        engine_from_onnx(graph(), flavor="rtx")


def test_the_builder_needs_no_onnx_package() -> None:
    code = (
        "import sys; sys.modules['onnx'] = sys.modules['onnxruntime'] = None; "
        "import dspctl.exporter.tensorrt; print('imported')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "imported\n", done.stderr


# --- real engines -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx")


def test_rtx_says_what_it_cannot_read_or_build(rtx: Any) -> None:
    with pytest.raises(errors.EngineBuildFailed, match="cannot read the graph"):
        engine_from_onnx(b"no graph")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_an_rtx_engine_is_real(rtx: Any, precision: Any) -> None:
    policy = make_policy(sizes=(8, 9, 9, 4), activation="relu")
    models = {
        "fp32": lambda: bytes_from_model(onnx_from_policy(policy)),
        "fp16": lambda: bytes_fp16(policy),
        "int8": lambda: int8_from_policy(policy, observations_of(policy, 500)).model,
    }
    engine = engine_from_onnx(models[precision](), precision=precision)
    assert len(engine.plan) > 100_000
    assert engine.stamp.flavor == "rtx"
    assert rtx.__version__.startswith(engine.stamp.tensorrt)
    assert engine.stamp.compute_capabilities == RTX_CAPABILITIES[precision]
    assert (engine.stamp.l4t, engine.timing_cache) == (None, None)


def test_turing_is_left_out_for_a_reason(rtx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RTX_CAPABILITIES, "fp32", ("7.5",))
    with pytest.raises(errors.EngineBuildFailed, match="FP32 GEMM is not supported"):
        engine_from_onnx(graph())


KINDS = list(itertools.product(ACTION_KINDS, ("tanh", "relu", "identity"), ON_INVALID))


@pytest.mark.parametrize(("rule", "activation", "mode"), KINDS)
def test_rtx_builds_every_kind_of_graph(rtx: Any, rule: str, activation: str, mode: Any) -> None:
    """Every action rule, activation and mode; the other options in turn, so that pairs meet."""
    turn = KINDS.index((rule, activation, mode))
    bits = [bool(turn >> shift & 1) ^ bool(turn % 3 == 1) for shift in range(4)]
    policy = make_policy(
        turn,
        sizes=[(5, 8, 6, 3), (4, 3), (3, 7, 2)][turn % 3],
        rule=rule,
        activation=activation,
        normalizer=bits[0],
        clip=None if bits[1] else 10.0,
        masks=bits[1],
        bias=not bits[2],
        unread=2 if bits[2] else 0,
        bounded=bits[3],
        start=4 if rule == "argmax" and bits[0] else 0,
    )
    policy = with_guard(policy, mode)
    assert engine_from_onnx(bytes_from_model(onnx_from_policy(policy))).plan
    if turn % 2 == 0:
        assert engine_from_onnx(bytes_fp16(policy), precision="fp16").plan
    else:
        recorded = observations_of(policy, 300).clip(policy.guard.low, policy.guard.high)
        model = int8_from_policy(policy, recorded.astype(np.float32)).model
        assert engine_from_onnx(model, precision="int8").plan
