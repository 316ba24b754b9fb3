"""The recipe in a Jetson's bundle, and its script with a recorded trtexec of every version."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy
from dspctl.exporter.onnx.precision import bytes_fp16
from dspctl.exporter.tensorrt.recipe import RECIPE, SCRIPT, recipe_files, rtx_files
from dspctl.runtime.tensorrt.stamp import (
    EngineMachine,
    check_stamp,
    read_engine,
    stamp_from_bytes,
)
from tests.runtime.policies import make_policy

# What each version's --help lists, as far as the script looks, and the number in its banner.
HELP = {
    "8.5": (
        "8502",
        "noTF32 fp16 int8 best precisionConstraints=spec layerPrecisions=spec "
        "timingCacheFile=<file> buildOnly useCudaGraph useSpinWait noDataTransfers",
    ),
    "10": (
        "101602",
        "noTF32 fp16 int8 best stronglyTyped precisionConstraints=spec layerPrecisions=spec "
        "timingCacheFile=<file> skipInference useCudaGraph useSpinWait noDataTransfers",
    ),
    "11": (
        "110401",
        "noTF32 timingCacheFile=<file> skipInference noCudaGraph noSpinWait includeDataTransfers",
    ),
}
STAMPED = {"8.5": "8.5.2", "10": "10.16.2", "11": "11.4.1"}
TRTEXEC_SCRIPT = """#!/bin/sh
echo "&&&& RUNNING TensorRT.trtexec [TensorRT v{number}] # $0"
case "$*" in
    *--help*) printf '  --%s   a sentence\\n' {flags}; exit 0 ;;
esac
printf '%s\\n' "$@" >> "$RECORD"
echo "[05/01/2026-10:00:00] [I] Compute Capability: 8.7"
{fail}
for argument in "$@"; do
    case $argument in
        --saveEngine=*) printf plan > "${{argument#--saveEngine=}}" ;;
        --timingCacheFile=*) printf cache > "${{argument#--timingCacheFile=}}" ;;
    esac
done
echo "[05/01/2026-10:00:01] [I] Latency: min = 0.02 ms, max = 0.03 ms, percentile(99%) = 0.03 ms"
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder laid out like a bundle, as far as the script looks."""
    policy = make_policy(rule="clip", unread=1)
    folder = tmp_path / "some where" / "lander"
    (folder / "tensorrt").mkdir(parents=True)
    (folder / "policy.onnx").write_bytes(bytes_from_model(onnx_from_policy(policy)))
    (folder / "policy.fp16.onnx").write_bytes(bytes_fp16(policy))
    for name, data in recipe_files(policy, "lander").items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def run(bundle: Path, tmp_path: Path) -> Run:
    """Run the script with a trtexec of a version."""

    def call(version: str, *words: str, fail: str = "") -> "subprocess.CompletedProcess[str]":
        number, flags = HELP.get(version, (version, HELP["10"][1]))
        trtexec = tmp_path / "trtexec"
        quoted = " ".join(f"'{flag}'" for flag in flags.split())
        trtexec.write_text(TRTEXEC_SCRIPT.format(number=number, flags=quoted, fail=fail))
        trtexec.chmod(0o755)
        release = tmp_path / "nv_tegra_release"
        release.write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n")
        record = tmp_path / "record"
        record.unlink(missing_ok=True)
        return subprocess.run(
            ["sh", str(bundle / SCRIPT), *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "TRTEXEC": str(trtexec),
                "RECORD": str(record),
                "NV_TEGRA_RELEASE": str(release),
            },
        )

    return call


def recorded(tmp_path: Path) -> list[str]:
    """The flags that trtexec was given, without those that hold a path."""
    paths = ("--onnx=", "--saveEngine=", "--loadEngine=", "--timingCacheFile=")
    lines = (tmp_path / "record").read_text().splitlines()
    return [line for line in lines if not line.startswith(paths)]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("version", list(HELP))
def test_the_script_gives_what_the_recipe_lists(
    run: Run, bundle: Path, tmp_path: Path, version: str, precision: str
) -> None:
    done = run(version, "--precision", precision)
    assert done.returncode == 0, done.stderr
    recipe = json.loads((bundle / RECIPE).read_text())
    flags = recorded(tmp_path)
    assert flags == recipe["trtexec"][version]["build"][precision]
    assert "--noTF32" in flags
    assert "--minShapes=observation:1x6" in flags
    assert "--maxShapes=observation:256x6" in flags
    assert ("--fp16" in flags) == (version == "8.5" and precision == "fp16")
    assert ("--stronglyTyped" in flags) == (version == "10")
    record = (tmp_path / "record").read_text()
    graph = {"fp32": "policy.onnx", "fp16": "policy.fp16.onnx"}[precision]
    assert f"--onnx={bundle / graph}\n" in record


@pytest.mark.parametrize("version", list(HELP))
def test_measuring_makes_every_default_the_same(
    run: Run, bundle: Path, tmp_path: Path, version: str
) -> None:
    done = run(version, "--measure")
    assert done.returncode == 0, done.stderr
    assert "Latency: min" in done.stdout
    recipe = json.loads((bundle / RECIPE).read_text())
    build, measure = (
        recipe["trtexec"][version]["build"]["fp32"],
        recipe["trtexec"][version]["measure"],
    )
    assert recorded(tmp_path) == [*build, "--shapes=observation:1x6", *measure]
    # On: CUDA graphs. Off: spinning. Counted: data transfers. What is not named is the default.
    newest = version == "11"
    assert ("--useCudaGraph" in measure) != newest
    assert ("--noSpinWait" in measure) == ("--includeDataTransfers" in measure) == newest


@pytest.mark.parametrize("version", list(HELP))
def test_the_stamp_is_one_that_python_takes(run: Run, bundle: Path, version: str) -> None:
    assert run(version).returncode == 0
    folder = bundle.with_name("lander.engines") / "tensorrt-fp32"
    plan, stamp = read_engine(folder)
    assert plan == b"plan"
    assert stamp.tensorrt == STAMPED[version]
    assert stamp.compute_capabilities == ("8.7",)
    assert stamp.l4t == "36.4.3"
    onnx = (bundle / "policy.onnx").read_bytes()
    assert stamp.onnx_sha256 == hashlib.sha256(onnx).hexdigest()
    here = f"{platform.system()}-{platform.machine()}".lower()
    machine = EngineMachine(f"{STAMPED[version]}.17", "8.7", "36.4.3", here)
    check_stamp(stamp, machine, onnx=onnx)
    assert {path.name for path in folder.iterdir()} == {
        *("policy.plan", "stamp.json", "timing.cache", "build.log")
    }
    # The bundle itself is as it was: its files are fixed.
    assert {path.name for path in bundle.iterdir()} == {
        *("policy.onnx", "policy.fp16.onnx", "tensorrt")
    }


def test_a_plan_is_replaced_only_when_told(run: Run, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "plans"
    assert run("10", "--output", str(out)).returncode == 0
    again = run("10", "--output", str(out))
    assert again.returncode == 1
    assert "--force" in again.stderr
    assert run("11", "--output", str(out), "--force").returncode == 0
    assert read_engine(out)[1].tensorrt == "11.4.1"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "keep").write_text("x")
    refused = run("10", "--output", str(tmp_path / "data"), "--force")
    assert refused.returncode == 1
    assert (tmp_path / "data" / "keep").read_text() == "x"


def test_a_slash_at_the_end_of_the_folder(run: Run, tmp_path: Path) -> None:
    assert run("10", "--output", "new//").returncode == 0
    assert run("11", "--output", "new/", "--force").returncode == 0
    assert read_engine(tmp_path / "new")[1].tensorrt == "11.4.1"
    assert not list(tmp_path.glob("new.*"))
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        *("policy.plan", "stamp.json", "timing.cache", "build.log")
    }


def test_the_old_plan_stays_where_the_new_one_cannot_be_moved(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("10", "--output", "plan").returncode == 0
    move = tmp_path / "bin" / "mv"
    move.parent.mkdir()
    real = shutil.which("mv")
    move.write_text(f'#!/bin/sh\ncase $1 in *.tmp.*) exit 1 ;; esac\nexec {real} "$@"\n')
    move.chmod(0o755)
    monkeypatch.setenv("PATH", f"{move.parent}:{os.environ['PATH']}")
    assert run("11", "--output", "plan", "--force").returncode == 1
    assert read_engine(tmp_path / "plan")[1].tensorrt == "10.16.2"
    assert not list(tmp_path.glob("plan.*"))


@pytest.mark.parametrize(
    ("version", "words", "fail", "code", "said"),
    [
        ("10", ["--precision", "int8"], "", 2, "choose fp32 or fp16"),
        ("10", ["--nonsense"], "", 2, "unknown argument"),
        ("10", ["--output"], "", 2, "needs a value"),
        ("7203", [], "", 1, "TensorRT 7.2.3 is too old"),
        ("x", [], "", 1, "does not tell its version"),
        ("10", [], "echo '[E] Error[2]: out of memory'; exit 1", 1, "out of memory"),
        ("10", [], "exit 0", 1, "could not build the plan"),
    ],
)
def test_what_goes_wrong_is_said_and_leaves_nothing(
    run: Run, tmp_path: Path, version: str, words: list[str], fail: str, code: int, said: str
) -> None:
    done = run(version, *words, fail=fail)
    assert done.returncode == code
    assert said in done.stderr
    assert not list(tmp_path.glob("some where/*.engines/*"))


def test_a_changed_graph_is_refused(run: Run, bundle: Path) -> None:
    path = bundle / "policy.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    done = run("10")
    assert done.returncode == 1
    assert "not what was exported" in done.stderr


def test_without_trtexec_the_script_says_where_to_get_it(bundle: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(bundle / SCRIPT)],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "TRTEXEC": str(tmp_path / "none")},
    )
    assert done.returncode == 1
    assert "libnvinfer-bin" in done.stderr


def test_weights_beyond_float16_leave_out_fp16(bundle: Path, run: Run) -> None:
    policy = make_policy(rule="clip", unread=1)
    first = policy.layers[0]
    wide = replace(policy, layers=(replace(first, weight=first.weight * 1e6), *policy.layers[1:]))
    made = recipe_files(wide, "wide")
    recipe = json.loads(made[RECIPE])
    assert recipe["graphs"]["fp16"] is None
    assert set(recipe["trtexec"]["10"]["build"]) == {"fp32"}
    (bundle / SCRIPT).write_bytes(made[SCRIPT])
    done = run("10", "--precision", "fp16")
    assert done.returncode == 1
    assert "do not fit float16" in done.stderr


def test_the_same_policy_gives_the_same_files() -> None:
    first, second = (recipe_files(make_policy(3), "one") for _ in range(2))
    assert first == second
    assert b"@" not in first[SCRIPT].split(b"# --- which trtexec")[0].replace(b'"$@"', b"")
    recipe: dict[str, Any] = json.loads(first[RECIPE])
    assert (recipe["tf32"], recipe["strongly_typed"]) == (False, True)
    assert recipe["input"] == {
        **{"name": "observation", "features": 5},
        **{"min_batch": 1, "opt_batch": 1, "max_batch": 256},
    }
    assert 0 < recipe["largest_value"] < np.inf


def test_the_script_is_clean(bundle: Path) -> None:
    found = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([found, "-s", "sh", str(bundle / SCRIPT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_rtx_files_hold_a_real_plan() -> None:
    pytest.importorskip("tensorrt_rtx")
    policy = make_policy()
    made = rtx_files(policy)
    assert set(made) == {"tensorrt-rtx/policy.plan", "tensorrt-rtx/stamp.json"}
    stamp = stamp_from_bytes(made["tensorrt-rtx/stamp.json"])
    plan = made["tensorrt-rtx/policy.plan"]
    assert stamp.plan_sha256 == hashlib.sha256(plan).hexdigest()
    onnx = bytes_from_model(onnx_from_policy(policy))
    assert stamp.onnx_sha256 == hashlib.sha256(onnx).hexdigest()
