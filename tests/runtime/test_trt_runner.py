"""The TensorRT runner on a fake GPU, and for real where one can be used."""

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl import errors
from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy
from dspctl.runtime import Policy
from dspctl.runtime.l4t import l4t_release
from dspctl.runtime.policy.guarded import with_guard
from dspctl.runtime.reference.edges import edge_observations
from dspctl.runtime.reference.golden import golden_from_policy
from dspctl.runtime.reference.parity import measure_parity
from dspctl.runtime.tensorrt.api import engine_machine, platform_name, version_of
from dspctl.runtime.tensorrt.cuda import Cuda
from dspctl.runtime.tensorrt.runner import TrtRunner
from dspctl.runtime.tensorrt.stamp import (
    PLAN,
    STAMP,
    EngineStamp,
    bytes_from_stamp,
    check_stamp,
    engine_folder,
    read_engine,
    stamp_from_bytes,
)
from tests.runtime import fake_trt as fakes
from tests.runtime.fake_cuda import FakeCuda, cudaError_t
from tests.runtime.policies import make_policy, observations_of

VERSION = "10.3.0.30"


def stamp_of(plan: bytes, onnx: bytes, **changes: Any) -> EngineStamp:
    stamp = EngineStamp(
        flavor="tensorrt",
        tensorrt=VERSION,
        compute_capabilities=("8.7",),
        l4t=None,
        platform=platform_name(),
        precision="fp32",
        onnx_sha256=hashlib.sha256(onnx).hexdigest(),
        plan_sha256=hashlib.sha256(plan).hexdigest(),
    )
    return replace(stamp, **changes)


Open = Callable[..., TrtRunner]


@pytest.fixture
def gpu() -> FakeCuda:
    return FakeCuda()


@pytest.fixture
def open_fake(gpu: FakeCuda) -> Iterator[Open]:
    """Open a policy's plan on the fake GPU; afterwards nothing may be left on it."""
    opened: list[TrtRunner] = []

    def run(policy: Policy, version: str = VERSION, **attributes: Any) -> TrtRunner:
        onnx = bytes_from_model(onnx_from_policy(policy))
        trt = fakes.fake_trt(version, gpu)
        for name, value in attributes.items():
            setattr(trt, name, value)
        stamp = stamp_of(fakes.PLAN + onnx, onnx, tensorrt=version)
        runner = TrtRunner(policy, fakes.PLAN + onnx, stamp, trt=trt, cuda=Cuda(runtime=gpu))
        opened.append(runner)
        return runner

    yield run
    for runner in opened:
        runner.close()
    assert gpu.memory == gpu.queues == gpu.graphs == {}


# --- what it computes ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", fakes.VERSIONS)
@pytest.mark.parametrize("rule", ["argmax", "tanh_unscale"])
def test_it_computes_what_the_reference_does(open_fake: Open, version: str, rule: str) -> None:
    policy = make_policy(rule=rule, unread=1, start=2 if rule == "argmax" else 0)
    runner = open_fake(policy, version)
    observations = edge_observations(policy, np.random.default_rng(0))[::5]
    parity = measure_parity(runner, golden_from_policy(policy, observations))
    assert parity.passed, parity
    assert parity.backend == "tensorrt"
    assert runner.device_memory_bytes == 512  # what the fake engine asks for
    assert runner(observations[0]).dtype == (np.int64 if rule == "argmax" else np.float32)


def test_one_observation_is_a_graph_captured_once(open_fake: Open, gpu: FakeCuda) -> None:
    policy = make_policy()
    runner = open_fake(policy)
    x = observations_of(policy, 20)
    gpu.calls.clear()
    answers = [runner(row) for row in x]
    assert gpu.calls == ["cudaGraphLaunch", "cudaStreamSynchronize"] * 20
    np.testing.assert_array_equal(answers, policy.act(x.astype(np.float64)))


def test_batches_leave_the_captured_graph_alone(open_fake: Open, gpu: FakeCuda) -> None:
    policy = make_policy(rule="clip")
    runner = open_fake(policy)
    assert runner.max_batch == 4
    x = observations_of(policy, 11)
    expected = policy.act(x.astype(np.float64))
    first = runner(x[0])
    np.testing.assert_allclose(runner(x), expected, atol=1e-5)  # in parts of 4, 4 and 3
    np.testing.assert_allclose(runner.outputs(x[:2]), policy.outputs(x[:2]), atol=1e-5)
    np.testing.assert_array_equal(runner(x[0]), first)
    assert runner(x[:0]).shape == (0, 3)
    assert len(gpu.graphs) == 1


def test_memory_is_shared_by_the_contexts(open_fake: Open, gpu: FakeCuda) -> None:
    runner = open_fake(make_policy())
    trt = runner._gpu.trt  # type: ignore[union-attr]
    runner(np.zeros((3, 5), np.float32))
    assert [entry for entry in trt.log if entry[0] != "execute_async_v3"] == [
        ("create_execution_context", "USER_MANAGED"),
        ("set_device_memory", 512),
    ] * 2
    # Once to set up, once captured, then the batch.
    assert [rows for name, rows in trt.log if name == "execute_async_v3"] == [1, 1, 3]
    assert gpu.flags == [gpu.cudaHostAllocDefault] * 8


def test_no_scratch_memory_is_no_problem(open_fake: Open) -> None:
    runner = open_fake(make_policy(), scratch=0)
    assert ("set_device_memory", 0) not in runner._gpu.trt.log  # type: ignore[union-attr]
    assert runner(np.zeros(5, np.float32)) in range(3)


def test_a_jetson_copies_nothing(open_fake: Open, gpu: FakeCuda) -> None:
    gpu._attributes[18] = 1
    policy = make_policy(rule="clip")
    runner = open_fake(policy)
    x = observations_of(policy, 3)
    np.testing.assert_allclose(runner(x[0]), policy.act(x[0].astype(np.float64)), atol=1e-5)
    np.testing.assert_allclose(runner(x), policy.act(x.astype(np.float64)), atol=1e-5)
    assert "cudaMemcpyAsync" not in gpu.calls
    assert gpu.flags == [gpu.cudaHostAllocMapped] * 8


def test_old_tensorrt_takes_its_memory_through_a_property(open_fake: Open) -> None:
    runner = open_fake(make_policy(), "8.5.2.2")
    assert ("device_memory", True) in runner._gpu.trt.log  # type: ignore[union-attr]


def test_what_cannot_be_captured_runs_all_the_same(
    open_fake: Open, gpu: FakeCuda, caplog: pytest.LogCaptureFixture
) -> None:
    policy = make_policy()
    runner = open_fake(policy, capturable=False)
    assert "cannot be captured" in caplog.text
    assert "cudaStreamBeginCapture" not in gpu.calls
    x = observations_of(policy, 1)
    assert runner(x[0]) == policy.act(x[0])


@pytest.mark.parametrize("rule", ["argmax", "clip"])
@pytest.mark.parametrize("mode", ["flag", "hold", "zero", "clamp"])
def test_the_guard_decides(open_fake: Open, mode: Any, rule: str) -> None:
    policy = with_guard(make_policy(rule=rule, bounded=True), mode)
    runner = open_fake(policy)
    x = np.zeros((2, 5), np.float32)
    x[1, policy.inputs[0]] = np.nan
    kind, width = (np.int64, ()) if rule == "argmax" else (np.float32, (3,))
    action = np.full((2, *width), 77, kind)
    assert runner.act(x, action).tolist() == [0, 1]
    repaired = policy.guard.repair(x, policy.inputs).astype(np.float64)
    if mode == "hold":
        assert (action[1] == 77).all()
    elif mode == "flag":
        np.testing.assert_array_equal(action[1], policy.guard.safe_action.reshape(width))
    else:
        np.testing.assert_allclose(action[1], policy.act(repaired[1]), atol=1e-5)
    np.testing.assert_allclose(runner.outputs(x), policy.outputs(repaired), atol=1e-5)
    if mode in ("flag", "hold"):
        with pytest.raises(errors.ObservationInvalid):
            runner(x[1])
    single = np.full(width or 1, 77, kind)
    assert runner.act(x[1], single) == 1
    np.testing.assert_array_equal(single.reshape(width), action[1])


# --- what it refuses ----------------------------------------------------------------------------


def test_a_closed_runner_says_so(open_fake: Open) -> None:
    runner = open_fake(make_policy())
    runner.close()
    runner.close()
    with pytest.raises(errors.BackendUnavailable, match="closed"):
        runner(np.zeros(5, np.float32))


def test_a_plan_that_tensorrt_refuses(gpu: FakeCuda) -> None:
    policy, plan = make_policy(), b"of another format"
    with pytest.raises(errors.EngineMismatch, match=r"plan file is not compatible.+engine build"):
        TrtRunner(
            policy,
            plan,
            stamp_of(plan, b""),
            trt=fakes.fake_trt(VERSION, gpu),
            cuda=Cuda(runtime=gpu),
        )
    assert gpu.memory == {}


def test_a_plan_of_another_policy(gpu: FakeCuda) -> None:
    onnx = bytes_from_model(onnx_from_policy(make_policy(sizes=(4, 8, 3))))
    plan = fakes.PLAN + onnx
    with pytest.raises(errors.EngineMismatch, match="this policy needs"):
        TrtRunner(
            make_policy(),
            plan,
            stamp_of(plan, onnx),
            trt=fakes.fake_trt(VERSION, gpu),
            cuda=Cuda(runtime=gpu),
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tensorrt": "10.3.1"}, "TensorRT 10.3.1, but here is 10.3.0.30"),
        ({"compute_capabilities": ("7.2",)}, "7.2, but this one has 8.7"),
        ({"l4t": "36.4.3"}, "L4T 36.4.3, but here is none"),
        ({"platform": "linux-other"}, "linux-other, but this is"),
        ({"onnx_sha256": "0" * 64}, "another graph"),
        ({"plan_sha256": "0" * 64}, "not the one that its stamp describes"),
    ],
)
def test_what_differs_is_said_before_the_plan_is_read(
    gpu: FakeCuda, changes: dict[str, Any], said: str
) -> None:
    policy = make_policy()
    onnx = bytes_from_model(onnx_from_policy(policy))
    plan = fakes.PLAN + onnx
    stamp = stamp_of(plan, onnx, **changes)
    trt = fakes.fake_trt(VERSION, gpu)
    trt.Runtime = None  # deserialising would fail
    with pytest.raises(errors.EngineMismatch, match=re.escape(said)) as raised:
        TrtRunner(
            policy, plan, stamp, onnx=onnx, command="build it", trt=trt, cuda=Cuda(runtime=gpu)
        )
    assert "build it" in str(raised.value)


def test_a_version_of_three_numbers_is_enough(gpu: FakeCuda) -> None:
    machine = engine_machine(fakes.fake_trt(VERSION), Cuda(runtime=gpu))
    check_stamp(stamp_of(b"", b"", tensorrt="10.3.0"), machine)  # as trtexec prints it


# --- CUDA ---------------------------------------------------------------------------------------


def test_every_cuda_error_is_named(gpu: FakeCuda) -> None:
    gpu.fails["cudaSetDevice"] = cudaError_t.cudaErrorInsufficientDriver
    with pytest.raises(errors.DeviceError, match=r"cudaSetDevice failed.+no NVIDIA driver"):
        Cuda(runtime=gpu)
    del gpu.fails["cudaSetDevice"]
    cuda = Cuda(runtime=gpu)
    stream = cuda.stream()
    for name in ("cudaMalloc", "cudaStreamSynchronize", "cudaGraphLaunch"):
        gpu.fails[name] = cudaError_t.cudaErrorMemoryAllocation
    for call in (
        lambda: cuda.allocate(8),
        lambda: cuda.wait(stream),
        lambda: cuda.launch(1, stream),
    ):
        with pytest.raises(errors.DeviceError, match="close other programs"):
            call()
    cuda.close()


def test_a_failed_capture_leaves_the_stream_usable(gpu: FakeCuda) -> None:
    cuda = Cuda(runtime=gpu)
    stream = cuda.stream()

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cuda.capture(stream, fail)
    cuda.wait(stream)
    cuda.close()


def test_absent_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(errors.MissingExtra, match=r"cuda-python.+dspctl\[tensorrt\]"):
        Cuda()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    policy = make_policy()
    with pytest.raises(errors.MissingTensorRT, match=r"JetPack brings it.+--flavor rtx"):
        TrtRunner(policy, b"", stamp_of(b"", b""))


# --- the stamp ----------------------------------------------------------------------------------


def test_a_stamp_survives_its_file(tmp_path: Path) -> None:
    stamp = stamp_of(b"plan", b"onnx", l4t="36.4.3")
    assert stamp_from_bytes(bytes_from_stamp(stamp)) == stamp
    (tmp_path / PLAN).write_bytes(b"plan")
    with pytest.raises(errors.EngineMismatch, match=r"holds no stamp.json"):
        read_engine(tmp_path)
    (tmp_path / STAMP).write_bytes(bytes_from_stamp(stamp))
    assert read_engine(tmp_path) == (b"plan", stamp)
    (tmp_path / PLAN).write_bytes(b"plaN")
    with pytest.raises(errors.EngineMismatch, match="its stamp describes"):
        read_engine(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"schema": 1', '"schema": 2'),
        ('"flavor": "tensorrt"', '"flavor": "other"'),
        ('"precision": "fp32"', '"precision": "fp8"'),
        ('"tensorrt": "10.3.0.30"', '"tensorrt": "ten"'),
        ('"l4t": null', '"l4t": 36'),
        ('"l4t": null', '"l4t": "", "l5t": 1'),
        ('"8.7"', "8.7"),
        ("}", ', "more": 1}'),
        ("{", "["),
    ],
)
def test_a_malformed_stamp_is_refused(old: str, new: str) -> None:
    text = bytes_from_stamp(stamp_of(b"", b"")).decode()
    assert old in text
    with pytest.raises(errors.EngineMismatch, match="no stamp of a plan"):
        stamp_from_bytes(text.replace(old, new).encode())


def test_plans_lie_beside_the_bundle(tmp_path: Path) -> None:
    folder = engine_folder(tmp_path / "lander", "tensorrt", "fp16")
    assert folder == tmp_path / "lander.engines" / "tensorrt-fp16"


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64", "35.4.1"),
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic", "36.4.3"),
        ("# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic", "38.2.0"),
    ],
)
def test_l4t_release(tmp_path: Path, text: str, release: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "nv_tegra_release").write_text(text + ", DATE: Tue\n# KERNEL\n")
    assert l4t_release(tmp_path) == release


# --- are the fakes like the real thing? ---------------------------------------------------------

REAL_CLASSES = [
    "Builder",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IOptimizationProfile",
    "OnnxParser",
    "Runtime",
]


@pytest.mark.parametrize("name", REAL_CLASSES)
def test_the_fakes_have_the_signatures_of_tensorrt(name: str) -> None:
    real = getattr(pytest.importorskip("tensorrt_rtx"), name)
    fake = getattr(fakes, name)
    checked = []
    for each, function in inspect.getmembers(fake, inspect.isfunction):
        if each.startswith("_") or each in ("dtype", "array_at"):
            continue
        text = getattr(real, each).__doc__
        wanted = list(inspect.signature(function).parameters)[1:]
        heads = re.findall(r"\(self: (.*)\) ->", text)
        found = [re.findall(r", (\w+): ", head) for head in heads]
        assert wanted in found, (each, found)
        checked.append(each)
    properties = [each for each, _ in inspect.getmembers(fake, lambda x: isinstance(x, property))]
    assert [each for each in properties if not hasattr(real, each)] == []
    assert checked


def test_the_fake_has_the_signatures_of_cuda_python() -> None:
    real = pytest.importorskip("cuda.bindings.runtime")
    for name, function in inspect.getmembers(FakeCuda, inspect.isfunction):
        if not name.startswith("cuda"):
            continue
        first = getattr(real, name).__doc__.splitlines()[0]
        inside = first[first.index("(") + 1 : first.rindex(")")]
        found = [re.split(r":", part)[0].split()[-1] for part in inside.split(",") if part]
        assert list(inspect.signature(function).parameters)[1:] == found, name
    for group in ("cudaError_t", "cudaDeviceAttr", "cudaMemcpyKind", "cudaStreamCaptureMode"):
        for member in getattr(FakeCuda, group):
            assert getattr(getattr(real, group), member.name) == member.value
    for flag in ("cudaStreamNonBlocking", "cudaHostAllocDefault", "cudaHostAllocMapped"):
        assert getattr(real, flag) == getattr(FakeCuda, flag)
    assert int(real.cudaStream_t(5)) == 5


# --- on a GPU -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_gpu() -> Iterator[tuple[Any, str]]:
    """TensorRT and its flavor, where a plan can be built and run: tried, not guessed."""
    reasons = []
    for flavor, module in (("tensorrt", "tensorrt"), ("rtx", "tensorrt_rtx")):
        try:
            trt = __import__(module)
            cuda = Cuda()
        except (ImportError, OSError, errors.DspctlError) as error:
            reasons.append(f"{module}: {error}")
            continue
        capability = cuda.compute_capability
        cuda.close()
        if flavor == "rtx" and capability not in ("8.6", "8.9", "12.0"):
            reasons.append(f"{module}: not for compute capability {capability}")
            continue
        yield trt, flavor
        return
    pytest.skip(f"no GPU runs a plan here ({'; '.join(reasons)})")


@pytest.mark.parametrize("rule", ["argmax", "clip", "clip_unscale", "tanh_unscale"])
def test_a_real_gpu_computes_what_the_reference_does(real_gpu: tuple[Any, Any], rule: str) -> None:
    from dspctl.exporter.tensorrt import engine_from_onnx

    trt, flavor = real_gpu
    policy = make_policy(rule=rule, unread=1)
    onnx = bytes_from_model(onnx_from_policy(policy))
    engine = engine_from_onnx(onnx, flavor=flavor)
    assert version_of(trt) == engine.stamp.tensorrt
    observations = edge_observations(policy, np.random.default_rng(0))
    with TrtRunner(policy, engine.plan, engine.stamp, onnx=onnx) as runner:
        parity = measure_parity(runner, golden_from_policy(policy, observations))
        assert parity.passed, parity
        x = observations_of(policy, 600)
        np.testing.assert_allclose(runner.outputs(x), policy.outputs(x.astype(float)), atol=1e-4)
