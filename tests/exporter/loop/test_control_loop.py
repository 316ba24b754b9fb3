"""The bundle's control loop in C++, driven by parts that fail; the harness counts for itself."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from dspctl.runtime import NumpyRunner
from dspctl.runtime.bundle import open_bundle
from dspctl.runtime.loop import KINDS
from tests.exporter.conftest import Exported
from tests.exporter.native.tools import needs
from tests.exporter.test_bundle_files import WARNINGS, here, run

HARNESS = Path(__file__).with_name("harness.cpp")
VALUE = 0.125
EVERY, WAYS = 10, 14
STEPS = EVERY * WAYS * 3 + 1


class Harness(NamedTuple):
    """A compiled harness, and what it should apply."""

    program: Path
    good: float
    safe: float
    holds: bool


def compile_harness(exported: Exported, folder: Path, *, max_hold: int, flags: str = "") -> Harness:
    opened = open_bundle(exported.path)
    name, native = opened.manifest.name, exported.path / "native" / here(opened)
    policy = opened.policy
    read = {int(feature) for feature in policy.inputs}
    others = [feature for feature in range(policy.observation.size) if feature not in read]
    holds = policy.guard.on_invalid == "hold"
    definitions = {
        "HEADER": f'"{name}.h"',
        "UP(rest)": f"{name.upper()}##rest",
        "ACT": f"{name}_act",
        "ACTION": "std::int32_t" if policy.action.discrete else "float",
        "READ": int(policy.inputs[0]),
        "UNREAD": others[0] if others else int(policy.inputs[0]),
        "VALUE": f"{VALUE}F",
        "MAX_HOLD": max_hold,
        "HOLDS": str(holds).lower(),
    }
    program = folder / "harness"
    run(
        "c++",
        "-std=c++17",
        "-O1",
        "-g",
        *shlex.split(WARNINGS),
        *shlex.split(flags),
        *(f"-D{key}={value}" for key, value in definitions.items()),
        f"-I{native}",
        f"-I{exported.path / 'examples'}",
        HARNESS,
        native / f"lib{name}.a",
        "-pthread",
        "-o",
        program,
    )
    observation = np.full(policy.observation.size, VALUE, np.float32)
    good = float(np.ravel(NumpyRunner(policy)(observation))[0])
    return Harness(program, good, float(policy.guard.safe_action[0]), holds)


class Drive(NamedTuple):
    """What one run of the harness printed."""

    applied: dict[int, float]
    counted: dict[str, int]
    put: dict[str, int]
    last: dict[str, int]


def drive(harness: Harness, log: Path, *, hz: int = 1000, steps: int = STEPS) -> Drive:
    words: list[str | Path] = [harness.program, str(steps), str(hz), str(log), str(EVERY)]
    text = run(*words)
    rows = re.findall(r"^counted (\w+) (\d+) (\d+)$", text, re.M)
    last = re.search(r"^steps (\d+) lost (\d+) hook (\d+)$", text, re.M)
    assert last is not None
    return Drive(
        {int(k): float(v) for k, v in re.findall(r"^applied (\d+) (\S+)$", text, re.M)},
        {kind: int(count) for kind, count, _ in rows},
        {kind: int(count) for kind, _, count in rows},
        dict(zip(("steps", "lost", "hook"), map(int, last.groups()), strict=True)),
    )


def events(log: Path) -> list[Any]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_every_fault_is_counted_logged_and_answered(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    needs("c++")
    exported: Exported = request.getfixturevalue(kind)
    harness = compile_harness(exported, tmp_path, max_hold=2)
    log = tmp_path / "events.jsonl"
    found = drive(harness, log)
    assert found.last["steps"] == STEPS
    assert found.last["lost"] == 0
    assert found.put == {
        "invalid": 6,
        "observe": 9,
        "late": 3,
        "behind": 0,
        "backend": 9,
        "apply": 9,
        "stall": 3,
    }
    for name in ("invalid", "observe", "backend", "apply"):
        assert found.counted[name] == found.put[name]
    for name in ("late", "stall"):  # the machine may be late and stall, too
        assert found.counted[name] >= found.put[name]
    # A busy machine may run the watchdog's thread too late: then the loop has counted the stall.
    assert 0 < found.last["hook"] <= found.counted["stall"]
    # The log accounts for every one of them, under the names of the loop in Python.
    told = Counter[str]()
    for line in events(log):
        told[line["kind"]] += line.get("events", 1)
    assert told == Counter({name: count for name, count in found.counted.items() if count})
    assert set(found.counted) <= set(KINDS)
    # What was applied: at faults 1 to 14 of each round.
    safe = {8, 9, 10} | (set() if harness.holds else {1, 2})
    for step, value in found.applied.items():
        number = (step // EVERY - 1) % WAYS + 1 if step else 0
        if number in safe:
            assert value == pytest.approx(harness.safe, abs=1e-5), (step, number)
        else:
            assert value == pytest.approx(harness.good, abs=1e-5), (step, number)
    assert len(found.applied) == 1 + 3 * WAYS


def test_exceptions_become_json(discrete: Exported, tmp_path: Path) -> None:
    needs("c++")
    log = tmp_path / "events.jsonl"
    drive(compile_harness(discrete, tmp_path, max_hold=5), log)
    details = {line["detail"] for line in events(log) if "detail" in line}
    for part in (
        'a "sensor" is gone',
        "an exception of another kind",
        "no bus",
        "nothing could be read",
        "not finite",
        "no usable action",
    ):
        assert part in details


def test_held_for_some_steps_then_the_safe_action(discrete: Exported, tmp_path: Path) -> None:
    """With no step to hold, the first unreadable observation gives the safe action."""
    needs("c++")
    harness = compile_harness(discrete, tmp_path, max_hold=0)
    found = drive(harness, tmp_path / "events.jsonl")
    for number in (4, 5, 6):
        assert found.applied[number * EVERY] == harness.safe
    done = Counter(
        line["done"] for line in events(tmp_path / "events.jsonl") if line.get("kind") == "observe"
    )
    assert done == {"safe action": 9}


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_sanitizers_find_nothing(discrete: Exported, tmp_path: Path, sanitizer: str) -> None:
    needs("c++")
    probe = tmp_path / "probe.cpp"
    probe.write_text("int main() { return 0; }\n")
    built = subprocess.run(
        ["c++", f"-fsanitize={sanitizer}", str(probe), "-o", str(tmp_path / "probe")],
        capture_output=True,
    )
    if built.returncode or subprocess.run([tmp_path / "probe"], capture_output=True).returncode:
        pytest.skip(f"no -fsanitize={sanitizer} here")
    flags = f"-fsanitize={sanitizer} -fno-sanitize-recover=all"
    harness = compile_harness(discrete, tmp_path, max_hold=2, flags=flags)
    found = drive(harness, tmp_path / "events.jsonl", hz=500)
    assert found.last["steps"] == STEPS


def test_a_full_disk_costs_lines_only(discrete: Exported, tmp_path: Path) -> None:
    needs("c++")
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    found = drive(compile_harness(discrete, tmp_path, max_hold=2), Path("/dev/full"))
    assert found.last["steps"] == STEPS
    assert found.last["lost"] == sum(found.counted.values())


def test_the_example_ends_on_a_signal(discrete: Exported, tmp_path: Path) -> None:
    needs("cmake", "c++", "make")
    target = here(open_bundle(discrete.path))
    run("cmake", "-S", discrete.path, "-B", tmp_path, f"-DPOLICY_TARGET={target}")
    run("cmake", "--build", tmp_path)
    process = subprocess.Popen(
        [tmp_path / "control_loop", "0", "20", os.devnull],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        shown, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    steps = int(shown.split()[0])
    assert 5 <= steps <= 40
