"""The command `policy`, as this machine's compiler builds it: verify, info, arguments."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl import __version__
from dspctl.exporter.native.build import build_native
from dspctl.exporter.native.sources import command_sources
from dspctl.exporter.native.targets import resolve_targets
from dspctl.runtime.machine import this_machine
from tests.exporter.native.conftest import NAME, Built, Case, CaseOf, Run
from tests.exporter.native.tools import needs, run, write_files

KINDS = ["discrete", "held", "continuous", "clipped"]


@pytest.mark.parametrize("kind", KINDS)
def test_verify_passes(policy: Run, case: CaseOf, kind: str) -> None:
    done = policy("verify", "--json", kind=kind)
    assert done.returncode == 0, done.stdout
    result = json.loads(done.stdout)
    assert result["passed"] is True
    assert result["rows"] == len(case(kind).golden.observations)
    assert result["differences"] == 0
    assert 0 < result["largest_bound_share"] < 1
    assert result["bits"]["algorithm"] == "fnv1a-64"
    assert "passed" in policy("verify", kind=kind).stdout


def rebuilt(case: Case, tmp_path: Path, change: Callable[[Any], None]) -> tuple[int, Any]:
    """The result of verify with golden vectors that were changed."""
    golden = deepcopy(case.golden)
    change(golden)
    (target,) = resolve_targets(["cpu"])
    build = build_native(case.policy, NAME, target, golden)
    folder = write_files(tmp_path / "changed", build.files, tuple(build.executables))
    done = run(folder / "policy", "verify", "--json")
    return done.returncode, json.loads(done.stdout)


def test_verify_names_every_difference(case: CaseOf, tmp_path: Path) -> None:
    needs("gcc")

    def change(golden: Any) -> None:
        golden.outputs[2, 1] += 0.01
        other = (golden.actions[3] + 2 + 1) % 4  # actions start at -2
        golden.actions[3], golden.outputs[3, other] = other - 2, 50.0
        golden.status[4] = 2

    code, result = rebuilt(case("discrete"), tmp_path, change)
    assert code == 1
    assert result["passed"] is False
    found = {(each["row"], each["call"], each["value"]) for each in result["first_differences"]}
    expected = {
        *{(2, "outputs", "output")},
        *{(3, "outputs", "output"), (3, "act", "action"), (3, "act_batch", "action")},
        *{(4, call, "status") for call in ("act", "outputs", "act_batch")},
    }
    assert expected <= found
    assert {row for row, _, _ in found} == {2, 3, 4}
    output = result["first_differences"][0]
    assert output["expected"] - output["got"] == pytest.approx(0.01, rel=1e-3)
    assert output["allowed"] == pytest.approx(case("discrete").golden.output_bound[2], rel=1e-6)


def test_a_full_disk_is_not_overlooked(built: Built) -> None:
    _, folder = built("cpu")
    done = run("sh", "-c", f"{folder}/policy info > /dev/full")
    assert done.returncode == 1
    assert "No space left" in done.stderr


def test_info(policy: Run, case: CaseOf) -> None:
    spec, golden = case("continuous")
    info = json.loads(policy("info", "--json", kind="continuous").stdout)
    assert info["environment"] == spec.environment
    assert info["golden_rows"] == len(golden.observations)
    assert info["on_invalid"] == "clamp"
    assert [each["name"] for each in info["observation"]] == list(spec.observation.names)
    assert {(each["low"], each["high"]) for each in info["observation"]} == {(-2, 2)}
    read = [index for index, each in enumerate(info["observation"]) if each["read"]]
    assert read == spec.inputs.tolist()
    np.testing.assert_allclose([each["low"] for each in info["action"]], spec.action.low, rtol=1e-7)
    assert info["discrete"] is False
    assert re.fullmatch("[0-9a-f]{64}", info["policy_sha256"])
    assert spec.environment in policy("info").stdout


def test_discrete_info_has_the_range_of_actions(policy: Run) -> None:
    info = json.loads(policy("info", "--json").stdout)
    assert [(each["low"], each["high"]) for each in info["action"]] == [(-2, 1)]


def test_version_and_help(policy: Run) -> None:
    assert f"dspctl {__version__}" in policy("--version").stdout
    for words in (("--help",), ("verify", "--help"), ("-h",)):
        done = policy(*words)
        assert done.returncode == 0
        for word in ("verify", "bench", "act", "info", "--hz", "exit code"):
            assert word in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "usage: policy COMMAND"),
        (("fly",), "there is no command 'fly'"),
        (("verify", "--jsn"), "policy verify: unknown argument '--jsn'"),
        (("bench", "--seconds"), "--seconds needs a value"),
        (("bench", "--seconds", "nan"), "--seconds takes a number from 0.01 to 86400, not 'nan'"),
        (("bench", "--hz", "0"), "--hz takes a number"),
        (("bench", "--fifo", "100"), "--fifo takes a whole number from 1 to 99, not '100'"),
        (("bench", "--cpu", "1x"), "--cpu takes a whole number"),
        (("bench", "--seconds", "3600", "--hz", "1000"), "use fewer --seconds or a lower --hz"),
        (("bench", "--paced", "--steps", "1001", "--keep", "1000"), "or a larger --keep"),
        (("bench", "--blocks", "500", "--singles", "3", "--keep", "1000"), "fewer --blocks"),
        (("bench", "--blocks", "0"), "--blocks takes a whole number from 1 to 67108864, not '0'"),
        (("bench", "--block-calls", "1e3"), "--block-calls takes a whole number"),
        (("bench", "--keep", "999"), "--keep takes a whole number from 1000"),
        (("bench", "--samples"), "--samples needs a value"),
        (("bench", "--samples", ""), "--samples takes a text that is not empty"),
    ],
)
def test_bad_arguments(policy: Run, words: tuple[str, ...], sentence: str) -> None:
    done = policy(*words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""


def test_names_cannot_break_out_of_their_literals(case: CaseOf, tmp_path: Path) -> None:
    """Quotes and trigraphs in a feature's name reach JSON as they are; no name has line ends."""
    needs("gcc")
    spec, golden = case("discrete")
    names = ('a"b', "back\\slash", "what??/", "\\n", "é", "%s%n", "*/", "\\t", "")
    policy = replace(spec, observation=replace(spec.observation, names=names))
    (target,) = resolve_targets(["cpu"])
    build = build_native(policy, NAME, target, golden)
    folder = write_files(tmp_path / "names", build.files, ("policy",))
    info = json.loads(run(folder / "policy", "info", "--json").stdout)
    assert tuple(each["name"] for each in info["observation"]) == names


def test_sources_are_the_same_for_every_target(case: CaseOf) -> None:
    """A bundle holds them once."""
    policy, golden = case("discrete")
    files = command_sources(policy, NAME, golden)
    assert {"main.c", "verify.c", "golden.c", "golden.h", "policy_bindings.h"} <= files.keys()
    assert all(b"jetson" not in data and b"x86" not in data for data in files.values())


@pytest.mark.slow
def test_zigs_command_for_a_named_pc(built: Built) -> None:
    """The first time, zig builds a C library for half a minute."""
    machine = this_machine()
    target = resolve_targets(["x86-64-v2"])[0]
    if not machine.runs(target.architecture, target.requires):
        pytest.skip("this machine is no x86-64-v2")
    _, folder = built("x86-64-v2")
    done = run(folder / "policy", "verify")
    assert done.returncode == 0, done.stdout
