"""A stall of 50 ms: what a control loop makes of it, and what calls back to back do.

With a period P, calls of c and one call that takes S, the step k after the stalled one ends
``S + k c - k P`` after its intended start. It misses its deadline where that is more than P, so
``ceil((S - P) / (P - c))`` deadlines are missed in all.
"""

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import SETTLING_CALLS, measure_latency
from dspctl.benchmarks.calls.paced import PacedSamples, measure_paced
from dspctl.benchmarks.calls.timer import calibrate
from dspctl.benchmarks.command.programs import command_of
from dspctl.benchmarks.command.raw import RawSamples, read_samples
from dspctl.benchmarks.stats import percentile
from dspctl.exporter import export
from dspctl.runtime.sleep import choose_sleeper
from tests.benchmarks.networks import FakeClock, network
from tests.exporter.native.tools import needs

STALL_NS = 50_000_000
CALL_NS = 100_000
OBSERVATIONS = np.zeros((4, 2), np.float32)
SHARES = (0.5, 0.9, 0.99, 0.999)


def predicted(hz: float, call_ns: int = CALL_NS) -> int:
    """Deadlines that a stall makes a loop miss."""
    period_ns = 1e9 / hz
    return max(0, math.ceil((STALL_NS - period_ns) / (period_ns - call_ns)))


class Stalling:
    """A policy whose call number *which* stalls; the others take *call_ns*."""

    def __init__(self, clock: FakeClock, which: int | None, call_ns: int = CALL_NS) -> None:
        self.clock, self.which, self.call_ns = clock, which, call_ns
        self.calls = 0

    def __call__(self, _: object) -> None:
        self.clock.work(STALL_NS if self.calls == self.which else self.call_ns)
        self.calls += 1


def simulated_loop(hz: float, which: int | None) -> PacedSamples:
    clock = FakeClock(cost_ns=0)

    def sleep_until(time_ns: int) -> None:
        clock.now_ns = max(clock.now_ns, time_ns)

    policy = Stalling(clock, which)
    return measure_paced(
        {"x": policy}, OBSERVATIONS, hz=hz, seconds=1.0, read=clock, sleep_until=sleep_until
    )["x"]


@pytest.mark.parametrize(
    ("hz", "misses"), [(50, 2), (100, 5), (200, 10), (400, 20), (500, 26), (1000, 55), (2000, 124)]
)
def test_a_loop_misses_what_arithmetic_predicts(hz: float, misses: int) -> None:
    found = simulated_loop(hz, SETTLING_CALLS + 10)
    assert found.deadline_misses == predicted(hz) == misses
    assert found.latency_ns.max() == STALL_NS
    assert simulated_loop(hz, None).deadline_misses == 0


def test_the_stall_is_in_the_loops_percentiles() -> None:
    assert percentile(simulated_loop(200.0, SETTLING_CALLS + 10).latency_ns, 0.99) > 1e9 / 200
    assert percentile(simulated_loop(200.0, None).latency_ns, 0.99) == CALL_NS


def back_to_back(which: int | None) -> NDArray[np.int64]:
    clock = FakeClock(cost_ns=20)
    policy = Stalling(clock, which)
    found = measure_latency({"x": policy}, OBSERVATIONS, calibrate(clock), seconds=4.0)["x"]
    # Calls of 0.1 ms are long enough to be timed one by one.
    assert found.calls_per_sample == 1
    return found.single


def test_back_to_back_it_is_one_call_among_many() -> None:
    quiet, stalled = back_to_back(None), back_to_back(20_000)
    assert np.count_nonzero(stalled >= STALL_NS) == 1
    assert stalled.size == quiet.size > 10_000
    for share in SHARES:
        assert percentile(stalled, share) == percentile(quiet, share)


def test_a_stall_of_a_real_loop() -> None:
    """A machine that is busy may add misses, and takes none away: calls take some time."""
    step = iter(range(1_000))

    def policy(_: object) -> None:
        if next(step) == SETTLING_CALLS + 20:
            time.sleep(STALL_NS / 1e9)

    found = measure_paced(
        {"x": policy},
        OBSERVATIONS,
        hz=200.0,
        seconds=0.4,
        read=time.perf_counter_ns,
        sleep_until=choose_sleeper().until,
    )["x"]
    assert found.deadline_misses >= predicted(200.0, call_ns=0) == 9
    assert found.latency_ns.max() >= STALL_NS
    assert found.inference_ns[20] >= STALL_NS


class Stopped(NamedTuple):
    """What a program found that was stopped while it measured.

    `stop_ns` is for how long it stood still, at least.
    """

    report: dict[str, Any]
    raw: RawSamples
    stop_ns: int


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("gcc")
    bundle = tmp_path_factory.mktemp("stall") / "bundle"
    export(network((4, 8, 8, 2)), "cpu", bundle)
    return command_of(bundle)


def stopped(program: Path, folder: Path, measures: Callable[[int], bool], *words: str) -> Stopped:
    """Stop the program for 50 ms once it *measures*, and let it end."""
    samples = folder / "samples"
    command = [str(program), "bench", "--json", *words, "--samples", str(samples)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        try:
            while not measures(running.pid):
                assert running.poll() is None
                time.sleep(0.001)
            os.kill(running.pid, signal.SIGSTOP)
            while state(running.pid) != "T":
                assert running.poll() is None
            begin = time.monotonic_ns()
            time.sleep(STALL_NS / 1e9)
            stop_ns = time.monotonic_ns() - begin
            running.send_signal(signal.SIGCONT)
            output, _ = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 0
    return Stopped(json.loads(output), read_samples(samples.read_bytes()), stop_ns)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def has_slept_often(pid: int) -> bool:
    """A control loop gives the processor away once per step; nothing else here does."""
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches:")
    )
    return int(line.split()[1]) > 20


def has_worked(pid: int) -> bool:
    """For 0.3 s; warming up and calibrating take 0.1 s."""
    user = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    return user > 0.3 * os.sysconf("SC_CLK_TCK")


def test_a_stall_of_the_programs_loop(program: Path, tmp_path: Path) -> None:
    hz, period_ns = 200.0, 5_000_000
    words = ("--paced", "--hz", f"{hz:g}", "--steps", "500")
    found = stopped(program, tmp_path, has_slept_often, *words)
    assert found.stop_ns > STALL_NS
    latency_ns = found.raw.wakeup_ns + found.raw.inference_ns
    # The first step that stands still is due up to a period after the stop, so step i of those
    # waits for at least stop - i P, and is missed where that is more than P.
    least = (STALL_NS - period_ns) // period_ns
    assert found.report["paced"]["deadline_misses"] >= least == 9
    assert np.count_nonzero(latency_ns > period_ns) == found.report["paced"]["deadline_misses"]
    assert latency_ns.max() >= found.stop_ns - period_ns
    assert found.report["paced"]["latency_ns"]["p99_9"] >= found.stop_ns - period_ns
    assert found.report["paced"]["latency_ns"]["p99"] > period_ns


def test_calls_back_to_back_do_not_show_it(program: Path, tmp_path: Path) -> None:
    words = ("--back-to-back", "--seconds", "2")
    found = stopped(program, tmp_path, has_worked, *words)
    for samples, kind in ((found.raw.single_ns, "single"), (found.raw.block_ns, "block")):
        assert samples.size > 3000
        # One of all samples stood still; a busy machine may add a few of its own.
        assert np.count_nonzero(samples >= found.stop_ns) < 1e-3 * samples.size
        calls = found.report["back_to_back"][kind]["calls_per_sample"]
        figures = found.report["back_to_back"][kind]["latency_ns"]
        assert max(figures[name] for name in ("p50", "p90", "p99", "p99_9")) * calls < STALL_NS
    both = np.concatenate([found.raw.single_ns, found.raw.block_ns])
    assert np.count_nonzero(both >= found.stop_ns) < 1e-4 * both.size
