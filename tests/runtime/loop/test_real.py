"""The same on the machine's own clock and disk: at 200 Hz, from a bundle, with its native code."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dspctl.exporter import export
from dspctl.runtime.bundle import open_bundle
from dspctl.runtime.loop import ControlLoop, EventLog, LoopSettings, prepare
from dspctl.runtime.loop.clock import RealClock
from dspctl.runtime.loop.injection import Injector
from dspctl.runtime.loop.plans import INJECTABLE, plan_of
from tests.exporter.native.tools import needs
from tests.runtime.loop.test_event_log import accounted, records
from tests.runtime.policies import make_policy

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("cc")
    policy = make_policy(rule="clip", ranged=True)
    return export(policy, "cpu", tmp_path_factory.mktemp("loop") / "bundle").path


def run_and_check(bundle: Path, path: Path, *, seconds: int, faults: str) -> None:
    """Run at 200 Hz with faults; hold log and summary against the injector's own count."""
    first, second = prepare(bundle, "native")
    assert (first.backend, second.backend) == ("native", "numpy")
    settings, clock = LoopSettings(hz=200.0), RealClock()
    injector = Injector(plan_of(faults, hz=200, seed=0), settings, clock, first.policy)
    valid, applied, stalls = first.policy.guard.fill, list[Any](), list[int]()
    steps = 200 * seconds
    with first, EventLog(path) as log:
        loop = ControlLoop(
            [injector.running(first), second],
            injector.observing(lambda: valid),
            injector.applying(applied.append),
            settings=settings,
            record=log.put,
            on_stall=lambda step, since: stalls.append(step),
            clock=clock,
        )
        summary = loop.run(steps=steps)
        account = log.close(summary)
    assert (summary.steps, summary.ended) == (steps, "steps")
    assert (steps - 1) / 200 <= summary.seconds < (steps - 1) / 200 + 30
    put = Counter(one.kind for one in injector.injected)
    assert put == injector.counts
    assert set(put) == set(INJECTABLE)
    # The machine itself may be late and may stall; it breaks nothing else.
    for kind in ("invalid", "observe", "backend", "apply"):
        assert summary.faults[kind] == put[kind]
    for kind in ("late", "stall"):
        assert summary.faults[kind] >= put[kind]
    assert summary.faults["loop"] == summary.faults["no_backend"] == 0
    assert len(applied) == steps - put["apply"]
    # A busy machine may run the watchdog's thread too late: then the loop has counted the stall.
    assert 0 < len(stalls) <= summary.faults["stall"]
    assert summary.actions["numpy"] >= put["backend"]
    # The log: every event is in it, and every fault that was put in, at its step.
    expected = {kind: count for kind, count in summary.faults.items() if count}
    assert accounted(path) == expected
    assert (account.dropped, account.lost) == ({}, {})
    written = {(line["step"], line["kind"]) for line in records(path) if "step" in line}
    ranges = [line for line in records(path) if line["record"] == "aggregate"]
    for step, kind in injector.injected:
        assert (step, kind) in written or any(
            line["kind"] == kind and line["first_step"] <= step <= line["last_step"]
            for line in ranges
        ), (step, kind)


def test_some_seconds_with_ten_faults_a_second(bundle: Path, tmp_path: Path) -> None:
    run_and_check(bundle, tmp_path / "loop.jsonl", seconds=3, faults="every=100ms")


@pytest.mark.slow
def test_ten_minutes_with_a_fault_every_second(bundle: Path, tmp_path: Path) -> None:
    run_and_check(bundle, tmp_path / "loop.jsonl", seconds=600, faults="every=1s")


def test_the_program_of_the_document_runs(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "control-loop.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    applied: list[Any] = []

    def drive(action: Any) -> None:
        applied.append(action)
        if len(applied) == 8:
            raise KeyboardInterrupt

    (tmp_path / "bundle").symlink_to(bundle)
    monkeypatch.chdir(tmp_path)
    size = open_bundle(bundle).policy.observation.size
    sensors = SimpleNamespace(read=lambda: np.zeros(size))
    actuators = SimpleNamespace(drive=drive, stop=lambda: None)
    exec(program, {"sensors": sensors, "actuators": actuators})
    last = records(tmp_path / "faults.jsonl")[-1]
    assert (last["steps"], last["ended"]) == (7, "interrupted")
    assert len(applied) == 8


PROGRAM = """
import json, sys
from pathlib import Path
from dspctl.runtime.loop import ControlLoop, EventLog, LoopSettings, prepare
from dspctl.runtime.loop.clock import RealClock
from dspctl.runtime.loop.injection import Injector
from dspctl.runtime.loop.plans import plan_of

bundle, path, backend = sys.argv[1:]
runners = prepare(bundle, backend)
settings, clock = LoopSettings(hz=1000.0, watchdog_ms=5.0), RealClock()
faults = "invalid=0.1,observe=0.1,late=0.05,backend=0.1,apply=0.1,stall=0.02"
injector = Injector(plan_of(faults, hz=1000, seed=0), settings, clock, runners[0].policy)
valid = runners[0].policy.guard.fill
log = EventLog(Path(path))
loop = ControlLoop(
    [injector.running(runners[0]), *runners[1:]],
    injector.observing(lambda: valid),
    injector.applying(lambda action: None),
    settings=settings, record=log.put, on_stall=lambda step, since: None, clock=clock,
)
seen, watching = [], False
def hook(event, arguments):
    if watching and event in ("open", "import", "ctypes.dlopen", "os.listdir", "compile", "exec",
                              "subprocess.Popen", "os.posix_spawn", "marshal.loads"):
        seen.append((event, str(arguments)[:80]))
sys.addaudithook(hook)
watching = True
import colorsys  # nobody has it: the hook is there
noticed, seen[:] = list(seen), []
summary = loop.run(steps=600)
log.close(summary)
watching = False
print(json.dumps([noticed, seen, summary.faults, injector.counts]))
"""


@pytest.mark.parametrize("backend", ["native", "onnxruntime", "numpy"])
def test_the_loop_loads_and_opens_nothing(bundle: Path, tmp_path: Path, backend: str) -> None:
    """Neither when it falls back, nor when it logs, nor in its first step."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, bundle, tmp_path / "loop.jsonl", backend],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    noticed, seen, faults, injected = json.loads(done.stdout)
    assert noticed[0][0] == "import"
    assert seen == []
    assert min(injected.values()) > 0
    assert faults["backend"] == injected["backend"]
    assert accounted(tmp_path / "loop.jsonl") == {k: v for k, v in faults.items() if v}
