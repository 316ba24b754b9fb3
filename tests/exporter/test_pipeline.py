import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dspctl import errors
from dspctl.exporter import TARGETS, export, targets
from dspctl.exporter.targets import plan_of
from dspctl.runtime import load
from dspctl.runtime.backends.native_runner import runner_from_bundle
from dspctl.runtime.bundle import GOLDEN, MANIFEST, ONNX, ONNX_FP16, PARITY, POLICY, open_bundle
from dspctl.runtime.policy.guarded import with_guard
from tests.exporter.conftest import Exported, contents
from tests.exporter.native.tools import needs
from tests.runtime.policies import assert_same_policy, make_policy, observations_of

SMALL = {MANIFEST, POLICY, ONNX, GOLDEN, PARITY, "README.md", "SHA256SUMS", "bom.cdx.json"}


# --- what a bundle holds ----------------------------------------------------------------------


def test_the_graph_alone(tmp_path: Path) -> None:
    policy = make_policy(rule="clip_unscale")
    result = export(policy, "onnx", tmp_path / "b", observations=observations_of(policy, 30))
    written = contents(tmp_path / "b")
    assert set(written) == SMALL
    sizes = {name: len(data) for name, data in written.items() if name != MANIFEST}
    assert result.files == sizes
    assert result.size_bytes == sum(sizes.values())
    opened = open_bundle(tmp_path / "b")
    assert_same_policy(opened.policy, policy)
    (artefact,) = result.artefacts
    assert (artefact.name, artefact.ran, artefact.passed) == (ONNX, "here", True)
    assert artefact.figures["observations"] > 200
    assert artefact.figures["invalid"] > 0
    assert opened.artefacts == result.artefacts
    assert (result.name, result.manifest.version) == ("test_v1", "1")
    with load(tmp_path / "b", "onnxruntime") as runner:
        assert runner.policy.guard.on_invalid == policy.guard.on_invalid


def test_native_code_for_this_machine(discrete: Exported) -> None:
    (target,) = plan_of("cpu").native
    native = {
        f"native/{target.name}/{file}"
        for file in (
            "build.json",
            "libtest_v1.a",
            "libtest_v1.so",
            "policy",
            "test_v1.c",
            "test_v1.h",
        )
    }
    files = set(contents(discrete.path))
    assert native | SMALL | {"CMakeLists.txt", "examples/control_loop.cpp"} <= files
    assert {"command/golden.c", "command/main.c", "cmake/test_v1-config.cmake"} <= files
    opened = open_bundle(discrete.path)
    build = opened.manifest.builds[target.name]
    assert build.architecture == target.architecture
    assert build.requires == target.requires
    report = json.loads(opened.data[f"native/{target.name}/build.json"])
    assert " ".join(build.flags) in report["commands"]["object"]
    assert report["compiler"]["version"] in build.compiler
    need = discrete.result.footprints[target.name]
    assert need.flash_bytes == report["size"]["flash_bytes"]
    assert 0 < need.stack_bytes <= report["stack"]["stated_bytes"]
    assert {each.name: (each.ran, each.passed) for each in discrete.result.artefacts} == {
        ONNX: ("here", True),
        f"native/{target.name}/libtest_v1.so": ("here", True),
        f"native/{target.name}/policy": ("here", True),
    }
    (command,) = [name for name, entry in opened.manifest.files.items() if entry.executable]
    assert command == f"native/{target.name}/policy"
    assert os.access(discrete.path / command, os.X_OK)


def test_the_exported_library_is_the_policy(discrete: Exported) -> None:
    opened = open_bundle(discrete.path)
    x = observations_of(discrete.policy, 200, seed=7).clip(
        opened.policy.guard.low, opened.policy.guard.high
    )
    with runner_from_bundle(opened) as runner:
        wanted = discrete.policy.outputs(x.astype(np.float64))
        np.testing.assert_allclose(runner.outputs(x), wanted, atol=1e-5)
        gap = np.diff(np.sort(wanted, axis=1)[:, -2:], axis=1)[:, 0] > 1e-5
        np.testing.assert_array_equal(runner(x)[gap], wanted.argmax(axis=1)[gap])


def test_several_targets_in_one_bundle(continuous: Exported) -> None:
    opened = open_bundle(continuous.path)
    assert opened.manifest.targets == ("jetson-orin", "cpu", "cortex-m4")  # each once
    (here,) = plan_of("cpu").native
    assert set(opened.manifest.builds) == {"jetson-orin", here.name, "cortex-m4"}
    assert set(opened.libraries) == {"jetson-orin", here.name}
    ran = {each.name: (each.ran, each.passed) for each in opened.artefacts}
    assert ran["native/jetson-orin/policy"] == ("emulated", True)
    assert ran["native/jetson-orin/libarm.so"] == ("not run", None)
    assert ran["native/cortex-m4/libarm.a"] == ("emulated", True)
    assert ran[f"native/{here.name}/libarm.so"] == ("here", True)
    assert ran[ONNX_FP16] == ("here", True)
    assert "native/cortex-m4/policy" not in opened.data
    assert {"tensorrt/recipe.json", "tensorrt/build_engine.sh"} <= set(opened.data)
    assert opened.manifest.files["tensorrt/build_engine.sh"].executable
    with pytest.raises(errors.WrongProcessor, match="for aarch64"):
        runner_from_bundle(opened, "jetson-orin")


def test_a_plan_for_rtx(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    export(make_policy(), "rtx", tmp_path / "b")
    opened = open_bundle(tmp_path / "b")
    assert len(opened.data["tensorrt-rtx/policy.plan"]) > 1000
    assert opened.data[ONNX_FP16]
    ran = {each.name: each.ran for each in opened.artefacts}
    assert ran["tensorrt-rtx/policy.plan"] == "not run"


def test_an_int8_graph_only_with_a_recording(tmp_path: Path) -> None:
    policy = make_policy()
    with pytest.raises(errors.CalibrationMissing):
        export(policy, "onnx", tmp_path / "b", int8=True)
    assert list(tmp_path.iterdir()) == []
    recorded = observations_of(policy, 500)
    result = export(policy, "onnx", tmp_path / "b", int8=True, observations=recorded)
    int8 = result.artefacts[-1]
    assert (int8.name, int8.ran) == ("policy.int8.onnx", "here")
    assert "saved_bytes" in int8.figures
    assert "of the actions change on recorded observations" in int8.note


def test_golden_vectors_are_the_recording_and_the_reference(tmp_path: Path) -> None:
    policy = make_policy(rule="tanh_unscale")
    recorded = observations_of(policy, 1000).astype(np.float64)
    export(policy, "onnx", tmp_path / "b", observations=recorded)
    golden = open_bundle(tmp_path / "b").golden
    assert golden is not None
    np.testing.assert_array_equal(golden.observations[0], recorded[0].astype(np.float32))
    np.testing.assert_array_equal(golden.observations[63], recorded[-1].astype(np.float32))
    valid = golden.status == 0
    assert 128 <= valid.sum() < len(valid)  # recorded, edge cases, and some that are invalid
    np.testing.assert_allclose(
        golden.outputs[valid],
        policy.outputs(golden.observations[valid].astype(np.float64)),
        rtol=1e-12,
    )


def test_the_guard_is_part_of_the_export(discrete: Exported) -> None:
    opened = open_bundle(discrete.path).policy
    expected = with_guard(
        discrete.policy, "flag", 1, recorded=observations_of(discrete.policy, 100)
    ).guard
    np.testing.assert_array_equal(opened.guard.low, expected.low)
    np.testing.assert_array_equal(opened.guard.safe_action, [1])
    with load(discrete.path, "native") as runner:
        action = np.array([-1])
        x = np.zeros(discrete.policy.observation.size, np.float32)
        x[discrete.policy.inputs[0]] = np.nan
        assert runner.act(x, action) == 1
        assert action[0] == 1
        with pytest.raises(errors.ObservationInvalid):
            runner(x)


def test_progress_counts_up_to_the_end(continuous: Exported) -> None:
    steps = continuous.steps
    assert [step.done for step in steps] == list(range(len(steps)))
    assert {step.total for step in steps} == {len(steps) - 1}
    assert any("jetson-orin" in step.part for step in steps)
    assert steps[-1].part == "done"


# --- the same bytes ---------------------------------------------------------------------------


def test_exporting_twice_gives_identical_folders(discrete: Exported, tmp_path: Path) -> None:
    export(
        discrete.policy,
        "cpu",
        tmp_path / "elsewhere" / "named otherwise",
        version="1.4",
        observations=observations_of(discrete.policy, 100),
        on_invalid="flag",
        safe_action=1,
        rate_hz=50,
    )
    assert contents(tmp_path / "elsewhere" / "named otherwise") == contents(discrete.path)


def test_the_sums_are_what_sha256sum_expects(discrete: Exported) -> None:
    needs("sha256sum")
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    done = subprocess.run(command, cwd=discrete.path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    listed = {
        line.split("  ")[1] for line in (discrete.path / "SHA256SUMS").read_text().split("\n")[:-1]
    }
    assert listed == set(contents(discrete.path)) - {MANIFEST, "SHA256SUMS"}


def test_every_native_target_can_be_asked_for() -> None:
    from dspctl.exporter.native.targets import NATIVE_TARGETS

    assert set(NATIVE_TARGETS) < set(TARGETS)
    plan = plan_of(["jetson", "rtx", "jetson-orin"])
    assert [target.name for target in plan.native] == [
        "jetson-xavier",
        "jetson-orin",
        "jetson-thor",
    ]
    assert (plan.recipe, plan.rtx, plan.fp16) == (True, True, True)
    assert plan_of("onnx") == targets.Plan(("onnx",), (), recipe=False, rtx=False)
