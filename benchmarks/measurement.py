"""Measuring subjects against each other on every backend that runs here."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dspctl import runtime
from dspctl.benchmarks.calls.latency import ROUNDS
from dspctl.benchmarks.calls.paced import HZ, check_pace
from dspctl.benchmarks.calls.scheduling import Wanted
from dspctl.benchmarks.calls.sleep import Sleeper, choose_sleeper
from dspctl.benchmarks.calls.timer import calibrate
from dspctl.benchmarks.calls.timing import Timing, measure_calls
from dspctl.benchmarks.comparison.ratios import count_ratios, memory_ratios
from dspctl.benchmarks.keeper import Keeper, Progress
from dspctl.benchmarks.memory.process import measure_memory
from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.record.result import (
    BenchResult,
    ClockRecord,
    Settings,
)
from dspctl.benchmarks.subjects import Opened, choose_observations, open_subjects
from dspctl.errors import BackendUnavailable, ConfigProblem, UnknownBackend

SECONDS = 10.0
"""Latency measurement per backend, all subjects together; as long again for the control loop."""


def measure(
    subjects: Mapping[str, Path],
    *,
    backends: Sequence[str] | None = None,
    seconds: float = SECONDS,
    hz: float = HZ,
    paced_seconds: float | None = None,
    wanted: Wanted | None = None,
    observations: NDArray[Any] | None = None,
    memory: bool = True,
    seed: int = 0,
    out: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> BenchResult:
    """Measure latency, memory and size of *subjects*, interleaved, backend by backend.

    Args:
        subjects: label → policy file or bundle folder; the first is the baseline of all ratios.
        backends: some of ``runtime.BACKENDS``; None tries all of them.
        seconds: calls back to back per backend, all subjects together.
        hz: rate of the control loop, 50 to 10,000.
        paced_seconds: control loop per backend, all subjects together; None takes as long as
            *seconds*, 0 leaves it out.
        wanted: processor, priority and locked memory to ask for while timing.
        observations: float [n, obs_dim], raw, recorded in the environment; None draws random
            ones.
        memory: whether to start processes for memory and start-up time.
        seed: of the observations drawn and of resampling.
        out: JSON file, replaced after every finished measurement; None keeps nothing.
        on_progress: called as measurements proceed.

    Raises:
        UnknownBackend: a name that is none.
        BackendUnavailable: no backend runs any subject; the message holds each reason.
        InvalidRate: *hz* outside its bounds.
        ConfigProblem: no subjects, or no time.
        ObservationShape: subjects or observations of different sizes.
        PolicyProblem, BundleProblem: a subject cannot be read.
        WriteFailed: *out* cannot be written.
    """
    chosen_backends = runtime.BACKENDS if backends is None else tuple(backends)
    for backend in chosen_backends:
        if backend not in runtime.BACKENDS:
            raise UnknownBackend(
                f"there is no backend {backend!r}: choose from {', '.join(runtime.BACKENDS)}"
            )
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigProblem(f"seconds must be a positive number, not {seconds}")
    loop_s = seconds if paced_seconds is None else paced_seconds
    if loop_s != 0:
        check_pace(hz, loop_s)
    opened = open_subjects(subjects)
    machine = describe_machine()
    clock = calibrate()
    sleeper = choose_sleeper(clock.read)
    chosen, origin = choose_observations(opened[0].policy, observations, seed=seed)
    result = BenchResult(
        status="partial",
        machine=machine,
        clock=ClockRecord(clock.name, clock.resolution_ns, clock.cost_ns, clock.loop_ns),
        settings=Settings(
            seconds=seconds,
            rounds=ROUNDS,
            seed=seed,
            observations=origin,
            hz=hz,
            paced_seconds=loop_s,
            sleep=sleeper.name,
        ),
        subjects=tuple(one.subject for one in opened),
        ratios=tuple(count_ratios([one.subject for one in opened])),
        notes=(*machine.notes(), *_masked(opened), *_relative_sleep(sleeper, loop_s)),
    )
    keeper = Keeper(result, out, on_progress)
    keeper.update()
    timing = Timing(clock, sleeper, wanted or Wanted())
    for backend in chosen_backends:
        runnable = measure_calls(keeper, opened, backend, chosen, timing)
        if memory and runnable:
            _measure_memory(keeper, runnable, backend)
    if not keeper.result.latency:
        reasons = "; ".join(f"{one.backend}: {one.reason}" for one in keeper.result.skipped)
        raise BackendUnavailable(f"no backend could run any subject ({reasons})")
    return keeper.update(status="complete")


def _measure_memory(keeper: Keeper, runnable: Sequence[Opened], backend: str) -> None:
    paths = {one.subject.label: one.path for one in runnable}
    try:
        found = measure_memory(paths, backend, on_probe=keeper.reporter("memory", backend))
    except BackendUnavailable as error:
        lost = tuple(one.skipped(backend, error) for one in runnable)
        keeper.update(skipped=(*keeper.result.skipped, *lost))
    else:
        baseline, seed = keeper.result.subjects[0].label, keeper.result.settings.seed
        keeper.update(
            memory=(*keeper.result.memory, *found.values()),
            ratios=(
                *keeper.result.ratios,
                *memory_ratios(found, baseline, backend, seed=seed),
            ),
        )


def _masked(opened: Sequence[Opened]) -> Iterator[str]:
    """Say so where nothing has been removed yet."""
    for one in opened:
        if one.subject.masked:
            yield (
                f"'{one.subject.label}' still stores its masked units, so it is as large and as "
                "slow as before: run  dspctl compact  on it first"
            )


def _relative_sleep(sleeper: Sleeper, paced_s: float) -> Iterator[str]:
    """Say so where the control loop's wake-ups are not those of a real one."""
    if paced_s > 0 and not sleeper.absolute:
        yield (
            "this system has no sleep until an absolute time, so the control loop's wake-ups are "
            "later than on a vehicle: take them on Linux"
        )
