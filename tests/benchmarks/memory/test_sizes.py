import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dspctl.benchmarks import measure
from dspctl.benchmarks.calls import executions as processes
from dspctl.benchmarks.calls import running
from dspctl.benchmarks.calls._execution import Job
from dspctl.benchmarks.command.answer import Answer
from dspctl.benchmarks.memory.sizes import CodeSize, PlanSize, code_sizes, plan_sizes
from dspctl.benchmarks.request import Request
from dspctl.errors import BundleFormat, EngineMismatch
from dspctl.runtime import NumpyRunner, save_policy
from dspctl.runtime.bundle import ONNX, open_bundle
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.tensorrt.stamp import (
    PLAN,
    STAMP,
    EngineStamp,
    bytes_from_stamp,
    engine_folder,
)
from tests.benchmarks.networks import network
from tests.runtime.bundles import NAME, bundle_of

GRAPH = b"a graph"
HOSTED, BARE = Build("x86_64", (), "cc", ()), Build("thumb", (), "clang", ())


def report(folder: str, **changes: Any) -> bytes:
    values = {
        "target": folder,
        "size": {"flash_bytes": 1500, "data_bytes": 4, "bss_bytes": 8, "code_bytes": 900},
        "stack": {"measured_bytes": 136, "stated_bytes": 2752},
    }
    return json.dumps({**values, **changes}).encode()


def coded(folder: Path, files: dict[str, bytes]) -> Path:
    builds = {name.split("/")[1]: BARE if "cortex" in name else HOSTED for name in files}
    return bundle_of(folder, network((4, 8, 2)), {ONNX: GRAPH, **files}, builds=builds)


def stamp(plan: bytes, flavor: Any = "tensorrt", precision: Any = "fp32", **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "tensorrt": "10.3.0",
        "compute_capabilities": ("8.7",),
        "l4t": None,
        "platform": "linux-aarch64",
        "onnx_sha256": hashlib.sha256(GRAPH).hexdigest(),
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
    }
    return bytes_from_stamp(
        EngineStamp(flavor=flavor, precision=precision, **{**values, **changes})
    )


def beside(bundle: Path, plan: bytes, kind: str, typed: str, /, **changes: Any) -> None:
    folder = engine_folder(bundle, kind, typed)
    folder.mkdir(parents=True)
    (folder / PLAN).write_bytes(plan)
    (folder / STAMP).write_bytes(stamp(plan, **{"flavor": kind, "precision": typed, **changes}))


def test_sizes_of_a_pc_and_of_a_microcontroller(tmp_path: Path) -> None:
    pc, small = "native/x86-64-v3", "native/cortex-m7"
    unknown = {"measured_bytes": None, "stated_bytes": 2752}
    bundle = coded(
        tmp_path / "bundle",
        {
            f"{pc}/build.json": report("x86-64-v3"),
            f"{pc}/lib{NAME}.so": b"s" * 700,
            f"{pc}/policy": b"p" * 9000,
            f"{small}/build.json": report("cortex-m7", stack=unknown),
        },
    )
    assert code_sizes(bundle, "DSP") == (
        CodeSize("DSP", "cortex-m7", 1500, 12, None, None, None),
        CodeSize("DSP", "x86-64-v3", 1500, 12, 136, 700, 9000),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "aarch64"}, "another target"),
        ({"size": {"flash_bytes": 1500, "data_bytes": 4}}, "lacks the field 'bss_bytes'"),
        ({"size": {"flash_bytes": True, "data_bytes": 4, "bss_bytes": 8}}, "must be an integer"),
        ({"size": {"flash_bytes": -1, "data_bytes": 4, "bss_bytes": 8}}, "below 0"),
        ({"stack": {"stated_bytes": 2752}}, "lacks the field 'measured_bytes'"),
        ({"stack": {"measured_bytes": 1.5}}, "no number of bytes"),
    ],
)
def test_a_report_without_a_figure_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    bundle = coded(tmp_path / "b", {"native/x86-64-v3/build.json": report("x86-64-v3", **changes)})
    with pytest.raises(BundleFormat, match=message):
        code_sizes(bundle, "DSP")


def test_native_code_without_a_report_is_refused(tmp_path: Path) -> None:
    bundle = coded(tmp_path / "b", {f"native/x86-64-v3/lib{NAME}.so": b"s"})
    with pytest.raises(BundleFormat, match=r"lacks native/x86-64-v3/build\.json"):
        code_sizes(bundle, "DSP")


def test_plans_beside_and_inside(tmp_path: Path) -> None:
    inside = b"inside" * 100
    files = {f"tensorrt-rtx/{PLAN}": inside, f"tensorrt-rtx/{STAMP}": stamp(inside, "rtx")}
    bundle = bundle_of(tmp_path / "bundle", network((4, 8, 2)), {ONNX: GRAPH, **files})
    # Only the plan inside can be what the backend opened.
    assert plan_sizes(bundle, "DSP", 4096) == (PlanSize("DSP", "rtx", "fp32", 600, 4096),)
    beside(bundle, b"p" * 50, "tensorrt", "fp32")
    beside(bundle, b"p" * 30, "tensorrt", "int8", onnx_sha256="0" * 64)
    # The backend looks beside the bundle first.
    assert plan_sizes(bundle, "DSP", 4096) == (
        PlanSize("DSP", "tensorrt", "fp32", 50, 4096),
        PlanSize("DSP", "tensorrt", "int8", 30, None),
        PlanSize("DSP", "rtx", "fp32", 600, None),
    )
    assert {one.device_memory_bytes for one in plan_sizes(bundle, "DSP")} == {None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"onnx_sha256": "0" * 64}, "another graph"),
        ({"plan_sha256": "0" * 64}, "not the one that its stamp describes"),
        ({"precision": "fp16"}, "holds a plan of tensorrt in fp16"),
    ],
)
def test_a_plan_that_is_not_this_bundles_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    bundle = bundle_of(tmp_path / "bundle", network((4, 8, 2)), {ONNX: GRAPH})
    beside(bundle, b"p" * 50, "tensorrt", "fp32", **changes)
    with pytest.raises(EngineMismatch, match=message):
        plan_sizes(bundle, "DSP")


def test_a_policy_file_has_neither(tmp_path: Path) -> None:
    path = save_policy(network((4, 8, 2)), tmp_path / "policy.safetensors")
    assert (code_sizes(path, "DSP"), plan_sizes(path, "DSP")) == ((), ())


@pytest.mark.parametrize("executions", [1, 2])
def test_what_a_plan_needs_on_the_gpu_is_in_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executions: int
) -> None:
    """With NumPy in place of a GPU, saying what a plan's runner would."""

    class Planned(NumpyRunner):
        device_memory_bytes = 4096

    def run_elsewhere(job: Job, observations: NDArray[np.float32]) -> Answer:
        found = run(replace(job, backend="numpy"), observations)
        found.report["device_memory"] = {"DSP": 4096}
        return found

    plan = b"inside" * 100
    files = {f"tensorrt-rtx/{PLAN}": plan, f"tensorrt-rtx/{STAMP}": stamp(plan, "rtx")}
    bundle = bundle_of(tmp_path / "bundle", network((4, 8, 2)), {ONNX: GRAPH, **files})
    run = processes._run
    monkeypatch.setattr(processes, "_run", run_elsewhere)
    monkeypatch.setattr(running, "open_runner", lambda path, _: Planned(open_bundle(path).policy))
    result = measure(
        {"DSP": bundle},
        Request(
            ("tensorrt",),
            seconds=0.1,
            paced_seconds=0.1,
            memory=False,
            episodes=0,
            executions=executions,
        ),
    )
    assert result.plans == (PlanSize("DSP", "rtx", "fp32", 600, 4096),)
