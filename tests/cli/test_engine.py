"""``dspctl engine`` on a fake device, and for real with TensorRT-RTX, which needs no GPU."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.exporter.onnx.precision import bytes_fp16
from dspctl.runtime import Policy, load
from dspctl.runtime.bundle import ONNX_FP16
from dspctl.runtime.deploy import deploy
from dspctl.runtime.tensorrt.stamp import engine_folder, read_engine
from tests.cli.conftest import Call
from tests.runtime.bundles import bundle_of, graph_of
from tests.runtime.fake_cuda import FakeCuda, cudaError_t
from tests.runtime.fake_trt import CACHE, PLAN, fake_trt
from tests.runtime.policies import make_policy, observations_of


@pytest.fixture
def policy() -> Policy:
    return make_policy(rule="clip")


@pytest.fixture
def bundle(policy: Policy, tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "lander", policy, {ONNX_FP16: bytes_fp16(policy)})


@pytest.fixture
def gpu() -> FakeCuda:
    return FakeCuda()


@pytest.fixture
def device(gpu: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A machine with TensorRT 10 and a GPU, on which nothing may be left."""
    trt = fake_trt(cuda=gpu)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", gpu)
    yield trt
    assert gpu.memory == gpu.queues == gpu.graphs == {}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_build_writes_a_plan_beside_the_bundle(
    call: Call, device: Any, bundle: Path, policy: Policy
) -> None:
    before = contents(bundle)
    report = call("engine", "build", bundle, "--json").json()
    folder = bundle.with_name("lander.engines") / "tensorrt-fp32"
    assert report["path"] == str(folder)
    assert report["parity"]["disagreements"] == 0
    assert report["parity"]["observations"] > 100
    plan, stamp = read_engine(folder)
    assert plan == PLAN + graph_of(policy)
    assert (stamp.tensorrt, stamp.compute_capabilities) == ("10.3.0.30", ("8.7",))
    assert (folder / "timing.cache").read_bytes() == CACHE
    assert contents(bundle) == before
    x = observations_of(policy, 5)
    with load(bundle, "tensorrt") as runner:  # it is found there
        assert runner.backend == "tensorrt"
        np.testing.assert_allclose(runner(x), policy.act(x.astype(np.float64)), atol=1e-5)


def test_the_plan_of_what_is_deployed_lies_beside_its_release(
    call: Call, device: Any, bundle: Path, tmp_path: Path
) -> None:
    to = tmp_path / "policies"
    deployed = deploy(bundle, to).path
    report = call("engine", "build", to / "current", "--json").json()
    assert report["path"] == str(deployed.with_name(f"{deployed.name}.engines") / "tensorrt-fp32")
    assert engine_folder(to / "current", "tensorrt", "fp32") == Path(report["path"])
    with load(to / "current", "tensorrt") as runner:
        assert runner.backend == "tensorrt"
    assert deploy(bundle, to).path == deployed  # nothing is in the way of the next one


def test_build_again_needs_force_and_keeps_the_timing_cache(
    call: Call, device: Any, bundle: Path
) -> None:
    assert call("engine", "build", bundle).code == 0
    again = call("engine", "build", bundle)
    assert again.code == 2
    assert "--force" in again.stderr
    assert call("engine", "build", bundle, "--force").code == 0
    assert device.config.cache.data == CACHE


def test_a_folder_that_cannot_be_looked_into(
    call: Call, device: Any, bundle: Path, tmp_path: Path
) -> None:
    """As one that is closed to this user: what an earlier build left there is not needed."""
    done = call("engine", "build", bundle, "-o", tmp_path / ("x" * 300))
    assert done.code == 2
    assert "File name too long" in done.stderr


def test_a_folder_below_a_file_is_refused_before_the_build(
    call: Call, device: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dspctl.exporter.tensorrt.engine_from_onnx", None)
    done = call("engine", "build", bundle, "-o", bundle / "manifest.json" / "x" / "y")
    assert done.code == 2
    assert "manifest.json: Not a directory" in done.stderr


def test_another_precision_and_folder(
    call: Call, device: Any, bundle: Path, tmp_path: Path, policy: Policy
) -> None:
    done = call("engine", "build", bundle, "--precision", "fp16", "-o", tmp_path / "deep" / "plan")
    assert done.code == 0, done.stderr
    assert "fp16" in done.stdout
    plan, stamp = read_engine(tmp_path / "deep" / "plan")
    assert (plan, stamp.precision) == (PLAN + bytes_fp16(policy), "fp16")


def test_info_tells_whether_the_plan_fits(
    call: Call, device: Any, gpu: FakeCuda, bundle: Path
) -> None:
    call("engine", "build", bundle)
    folder = bundle.with_name("lander.engines") / "tensorrt-fp32"
    shown = call("engine", "info", folder).stdout
    for part in ("TensorRT 10.3.0.30", "compute capability 8.7", "yes"):
        assert part in shown
    gpu._attributes[75] = 11
    report = call("engine", "info", folder, "--json").json()
    assert "8.7, but this one has 11.7" in report["unfit"]
    with_other_gpu = call("engine", "info", folder)
    assert with_other_gpu.code == 0
    assert "11.7" in with_other_gpu.stdout


def test_a_plan_that_computes_something_else_is_not_written(
    call: Call, device: Any, tmp_path: Path, policy: Policy
) -> None:
    wrong = graph_of(make_policy(9, rule="clip"))
    bundle = bundle_of(tmp_path / "wrong", policy, {"policy.onnx": wrong})
    done = call("engine", "build", bundle)
    assert done.code == 2
    assert "nothing was written" in done.stderr
    assert not bundle.with_name("wrong.engines").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--precision", "int8"], "holds no policy.int8.onnx"),
        (["--precision", "fp8"], "choose fp32, fp16, int8"),
        (["--flavor", "lite"], "choose tensorrt, rtx"),
    ],
)
def test_what_cannot_be_built(
    call: Call, device: Any, bundle: Path, words: list[str], said: str
) -> None:
    done = call("engine", "build", bundle, *words)
    assert done.code == 2
    assert said in done.stderr


def test_a_machine_without_a_gpu(call: Call, device: Any, gpu: FakeCuda, bundle: Path) -> None:
    gpu.fails["cudaSetDevice"] = cudaError_t.cudaErrorInsufficientDriver
    done = call("engine", "build", bundle)
    assert done.code == 2
    assert "no NVIDIA driver" in done.stderr
    assert not bundle.with_name("lander.engines").exists()


def test_without_tensorrt(call: Call, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    done = call("engine", "build", bundle)
    assert done.code == 2
    assert "--flavor rtx" in done.stderr


def test_rtx_builds_for_real(call: Call, bundle: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    done = call("engine", "build", bundle, "--flavor", "rtx")
    assert done.code == 0, done.stderr
    assert "8.6, 8.9, 12.0" in done.stdout
    plan, stamp = read_engine(bundle.with_name("lander.engines") / "rtx-fp32")
    assert len(plan) > 100_000
    assert stamp.flavor == "rtx"
