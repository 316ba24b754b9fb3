"""A whole benchmark: every subject against the first, backend by backend, on this machine."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import ROUNDS
from dspctl.benchmarks.calls.load import background_load
from dspctl.benchmarks.calls.program import ProgramTiming, energy_of_program
from dspctl.benchmarks.calls.timer import calibrate
from dspctl.benchmarks.calls.timing import PythonTiming, Timing, energy_of_calls
from dspctl.benchmarks.comparison.advice import advise
from dspctl.benchmarks.comparison.ratios import code_ratios, count_ratios, memory_ratios
from dspctl.benchmarks.comparison.returns import Return, measure_return, return_differences
from dspctl.benchmarks.comparison.sweep import is_sweep, sweep_verdict
from dspctl.benchmarks.comparison.verdict import verdict
from dspctl.benchmarks.device.changes import compare
from dspctl.benchmarks.energy.measure import check_energy
from dspctl.benchmarks.host import Host, LocalHost
from dspctl.benchmarks.keeper import Keeper, Progress
from dspctl.benchmarks.memory.process import measure_memory, prepare
from dspctl.benchmarks.memory.sizes import PlanSize, code_sizes, plan_sizes
from dspctl.benchmarks.record.file import load_result
from dspctl.benchmarks.record.result import (
    BenchResult,
    DeviceState,
    Settings,
    Skipped,
)
from dspctl.benchmarks.request import C, Request
from dspctl.benchmarks.steps import Steps
from dspctl.benchmarks.subjects import Opened, choose_observations, open_subjects
from dspctl.errors import (
    BackendUnavailable,
    ConfigProblem,
    EngineMismatch,
    EnvironmentProblem,
    MissingExtra,
    OutputExists,
    ResultProblem,
)
from dspctl.runtime.sleep import Sleeper, choose_sleeper


def measure(
    subjects: Mapping[str, Path],
    request: Request | None = None,
    *,
    observations: NDArray[Any] | None = None,
    host: Host | None = None,
    out: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> BenchResult:
    """Measure *subjects* against each other: latency in two ways, memory, energy, size, return.

    Every measurement is on the disk before the next one begins. Where *out* already holds some of
    them, of the same request and subjects on the same machine, only the others are made.

    Args:
        subjects: label → policy file or bundle folder; the first is the baseline of all ratios.
        request: what to measure, and how; None measures everything.
        observations: float [n, obs_dim], raw, recorded in the environment; None draws random
            ones.
        host: the machine to measure on; None is this one.
        out: JSON file, replaced after every finished measurement; None keeps nothing.
        on_progress: called as measurements proceed.

    Raises:
        BackendUnavailable: no backend runs any subject; the message holds each reason.
        ConfigProblem: no subjects, or windows of energy too short for this machine's sensor.
        ObservationShape: subjects or observations of different sizes.
        OutputExists: *out* holds another benchmark, or a complete one.
        PolicyProblem, BundleProblem: a subject cannot be read.
        WriteFailed: *out* cannot be written.
    """
    asked = request or Request()
    if host is not None and asked.load:
        raise ConfigProblem(
            f"a background load needs Python on {host.name}, which has none that could be used: "
            "leave out --load"
        )
    if asked.energy_seconds and host is None:
        check_energy(tuple(subjects), asked.energy_seconds)
    where = host or LocalHost(subjects)
    opened = open_subjects(subjects)
    clock = calibrate()
    sleeper = choose_sleeper(clock.read)
    chosen, origin = choose_observations(opened[0].policy, observations, seed=asked.seed)
    fresh = BenchResult(
        status="partial",
        machine=where.machine(),
        device=DeviceState(where.device()),
        clock=clock.record,
        settings=Settings(
            request=asked,
            rounds=ROUNDS,
            observations=origin,
            observations_sha256=hashlib.sha256(chosen.tobytes()).hexdigest(),
            sleep=sleeper.name,
        ),
        subjects=tuple(one.subject for one in opened),
    )
    keeper = Keeper(_continued(fresh, out) or _begun(fresh, opened, sleeper), out, on_progress)
    keeper.update()
    if asked.memory and host is None:
        # First, while this process holds none of the backends' libraries: pages that two processes
        # map count by half in the PSS of each.
        for backend in asked.backends:
            _measure_memory(keeper, opened, backend)
    steps = Steps(out, keeper.result.machine.measured_at)
    for backend in asked.backends:
        if backend != C and host is not None:
            _refuse(keeper, opened, backend, f"{where.name} has no Python that could run it")
    _time(keeper, opened, where, chosen, Timing(clock, sleeper), steps)
    steps.remove()
    if not keeper.result.latency:
        reasons = "; ".join(f"{one.backend}: {one.reason}" for one in keeper.result.skipped)
        raise BackendUnavailable(f"no backend could run any subject ({reasons})")
    return conclude(keeper, opened, where)


def _time(
    keeper: Keeper,
    opened: Sequence[Opened],
    host: Host,
    observations: NDArray[Any],
    timing: Timing,
    steps: Steps,
) -> None:
    """Time every backend, a part of each in turn, and measure energy.

    What the machine does changes over minutes, for other programs on it or under it. A backend that
    is timed in one piece meets one of its moods; here the parts of each lie over the whole time.
    """
    request = keeper.result.settings.request
    backends = [one for one in request.backends if one == C or isinstance(host, LocalHost)]
    timings = [
        ProgramTiming(keeper, opened, host, steps)
        if backend == C
        else PythonTiming(keeper, opened, backend, observations, timing, steps)
        for backend in backends
    ]
    if not any(one.needed for one in timings) and not request.energy_seconds:
        return
    with background_load(request.load, request.cpu) as load:
        if load.note:
            keeper.note(load.note)
        for done in range(1, request.executions + 1):
            for one in timings:
                one.advance(done, request.executions)
        for backend in backends:
            if backend == C:
                energy_of_program(keeper, opened, host)
            else:
                energy_of_calls(keeper, opened, backend, observations, timing)


def conclude(keeper: Keeper, opened: Sequence[Opened], host: Host) -> BenchResult:
    """Add what needs no timing: returns, the device afterwards, advice and the verdict.

    Args:
        keeper: everything else is in it.
        opened: the subjects, the baseline first.
        host: where it was measured.

    Raises:
        WriteFailed: the result cannot be written.
    """
    _measure_returns(keeper, opened)
    before, after = keeper.result.device.before, host.device()
    changes = DeviceState(before, after, compare(before, after))
    if is_sweep(keeper.result):
        return keeper.update(
            device=changes, verdict=sweep_verdict(keeper.result), status="complete"
        )
    return keeper.update(
        device=changes,
        advice=advise(keeper.result),
        verdict=verdict(keeper.result),
        status="complete",
    )


def add_returns(
    result: BenchResult,
    subjects: Mapping[str, Path],
    episodes: int,
    *,
    out: Path,
    on_progress: Callable[[Progress], None] | None = None,
) -> BenchResult:
    """Play here what a board measured without an environment, and judge anew.

    Args:
        result: complete, but for returns.
        subjects: as they were measured.
        episodes: how many each subject plays.
        out: the result's file, replaced once all of them are played.
        on_progress: called as episodes end.

    Raises:
        WriteFailed: *out* cannot be written; it is as it was.
    """
    opened = open_subjects(subjects)
    request = replace(result.settings.request, episodes=episodes)
    keeper = Keeper(result, None, on_progress)
    played = _returns(opened, request, keeper.reporter("returns"))
    keeper.finish("returns", **played)
    keeper.update(settings=replace(result.settings, request=request))
    keeper.out = out
    return keeper.update(verdict=verdict(keeper.result))


def same_benchmark(one: BenchResult, other: BenchResult) -> str:
    """Why two results are not of one benchmark that was interrupted; empty where they are."""
    if one.settings.request != other.settings.request:
        mine, theirs = asdict(one.settings.request), asdict(other.settings.request)
        names = sorted(name for name in mine if mine[name] != theirs[name])
        return f"it was asked for with another {', '.join(names)}"
    if one.subjects != other.subjects:
        return "its subjects are other ones"
    if one.settings.observations_sha256 != other.settings.observations_sha256:
        return "its observations are other ones"
    here, there = (
        (result.machine.cpu, result.machine.cores, result.machine.python, result.machine.libraries)
        for result in (one, other)
    )
    return "" if here == there else "it was measured on another machine, or with other packages"


def _begun(fresh: BenchResult, opened: Sequence[Opened], sleeper: Sleeper) -> BenchResult:
    """What is known of the subjects before anything runs."""
    bundles = [(one.path, one.subject.label) for one in opened if one.subject.kind == "bundle"]
    code = tuple(size for path, label in bundles for size in code_sizes(path, label))
    plans: list[PlanSize] = []
    skipped: list[Skipped] = []
    for path, label in bundles:
        try:
            plans += plan_sizes(path, label)
        except EngineMismatch as error:
            skipped.append(Skipped(label, "tensorrt", str(error)))
    request = fresh.settings.request
    return replace(
        fresh,
        code=code,
        plans=tuple(plans),
        skipped=tuple(skipped),
        ratios=(
            *count_ratios(fresh.subjects),
            *code_ratios(code, fresh.subjects[0].label),
        ),
        notes=(
            *fresh.machine.notes(),
            *fresh.device.before.notes,
            *_masked(opened),
            *_relative_sleep(sleeper, request),
        ),
    )


def _continued(fresh: BenchResult, out: Path | None) -> BenchResult | None:
    """What *out* holds already, if it is an interrupted run of the same benchmark.

    Raises:
        OutputExists: it is complete, or another one; nothing of it is lost.
    """
    if out is None or not out.exists():
        return None
    try:
        found = load_result(out)
    except ResultProblem as error:
        raise OutputExists(
            f"{out} exists and cannot be continued ({error}): name another file, or replace it "
            "with --force"
        ) from error
    reason = "it is complete" if found.status == "complete" else same_benchmark(fresh, found)
    if reason:
        raise OutputExists(
            f"{out} exists and cannot be continued, {reason}: name another file, or replace it "
            "with --force"
        )
    return found


def _measure_memory(keeper: Keeper, opened: Sequence[Opened], backend: str) -> None:
    if keeper.has("memory", backend):
        return
    paths: dict[str, Path] = {}
    lost: list[Skipped] = []
    for one in opened:
        try:
            prepare(one.path, backend)
        except BackendUnavailable as error:
            lost.append(one.skipped(backend, error))
        else:
            paths[one.subject.label] = one.path
    found = {}
    if paths:
        found = measure_memory(paths, backend, on_probe=keeper.reporter("memory", backend))
    keeper.finish(
        "memory",
        backend,
        memory=tuple(found.values()),
        ratios=tuple(
            memory_ratios(
                found,
                keeper.baseline,
                backend,
                seed=keeper.result.settings.request.seed,
                together=keeper.together,
            )
        ),
        skipped=tuple(lost),
    )


def _measure_returns(keeper: Keeper, opened: Sequence[Opened]) -> None:
    request = keeper.result.settings.request
    if request.episodes and not keeper.has("returns"):
        keeper.finish("returns", **_returns(opened, request, keeper.reporter("returns")))


def _returns(
    opened: Sequence[Opened], request: Request, report: Callable[[int, int], None]
) -> dict[str, Any]:
    """The fields of the result that returns fill."""
    found: list[Return] = []
    skipped: list[Skipped] = []
    for index, one in enumerate(opened):
        try:
            found.append(
                measure_return(
                    one.subject.label,
                    one.policy,
                    episodes=request.episodes,
                    seed=request.seed,
                    on_progress=partial(_report_part, report, index, len(opened)),
                )
            )
        except (MissingExtra, EnvironmentProblem) as error:
            skipped.append(Skipped(one.subject.label, "return", str(error)))
    paired = bool(found) and found[0].label == opened[0].subject.label
    return {
        "returns": tuple(found),
        "differences": return_differences(found, seed=request.seed) if paired else (),
        "skipped": tuple(skipped),
    }


def _report_part(
    report: Callable[[int, int], None], part: int, parts: int, done: int, total: int
) -> None:
    """Progress of one of several equal parts."""
    report(part * total + done, parts * total)


def _refuse(keeper: Keeper, opened: Sequence[Opened], backend: str, reason: str) -> None:
    """Record that a backend cannot be measured on a machine."""
    if not keeper.has("latency", backend):
        skipped = tuple(Skipped(one.subject.label, backend, reason) for one in opened)
        keeper.finish("latency", backend, skipped=skipped)


def _masked(opened: Sequence[Opened]) -> Iterator[str]:
    """Say so where nothing has been removed yet."""
    for one in opened:
        if one.subject.masked:
            yield (
                f"'{one.subject.label}' still stores its masked units, so it is as large and as "
                "slow as before: run  dspctl compact  on it first"
            )


def _relative_sleep(sleeper: Sleeper, request: Request) -> Iterator[str]:
    """Say so where the control loop's wake-ups are not those of a real one."""
    if request.paced_seconds > 0 and not sleeper.absolute:
        yield (
            "this system has no sleep until an absolute time, so the control loop's wake-ups are "
            "later than on a vehicle: take them on Linux"
        )
