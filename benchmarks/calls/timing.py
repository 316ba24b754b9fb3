"""Timing all subjects on one backend of Python: back to back, and in a control loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.executions import time_in_processes
from dspctl.benchmarks.calls.latency import Samples, measure_latency, summarize
from dspctl.benchmarks.calls.load import background_load
from dspctl.benchmarks.calls.paced import PacedSamples, measure_paced
from dspctl.benchmarks.calls.paced_figures import summarize_paced
from dspctl.benchmarks.calls.running import running
from dspctl.benchmarks.calls.scheduling import Scheduling, scheduled
from dspctl.benchmarks.calls.sleep import Sleeper
from dspctl.benchmarks.calls.timer import Clock
from dspctl.benchmarks.comparison.ratios import latency_ratios, paced_ratios
from dspctl.benchmarks.energy.stage import keep_energy
from dspctl.benchmarks.keeper import Keeper
from dspctl.benchmarks.record.file import save_paced_samples, save_samples
from dspctl.benchmarks.record.result import Skipped, Stage
from dspctl.benchmarks.request import Request
from dspctl.benchmarks.subjects import Opened
from dspctl.errors import BackendUnavailable
from dspctl.runtime import Runner


@dataclass(frozen=True)
class Timing:
    """What calls are timed with.

    Attributes:
        clock: calibrated, of both ways.
        sleeper: of the control loop, on that clock.
    """

    clock: Clock
    sleeper: Sleeper


def time_calls(
    keeper: Keeper,
    opened: Sequence[Opened],
    backend: str,
    observations: NDArray[np.float32],
    timing: Timing,
) -> None:
    """Time all subjects that this backend can run in whatever way is not in the result yet.

    Args:
        keeper: gets each way's figures as soon as they are there, and what was skipped.
        opened: the subjects, the baseline first.
        backend: any that runs in this process.
        observations: float32 [n, obs_dim], raw.
        timing: what to time with.

    Raises:
        WriteFailed: the result cannot be written.
        BackgroundLoadFailed: the load that was asked for does not run.
    """
    request = keeper.result.settings.request
    wanted = keeper.wanted(backend)
    if request.executions > 1 and wanted & {"latency", "paced"}:
        _time_in_processes(keeper, opened, backend, observations, wanted)
        wanted = keeper.wanted(backend)
    if not wanted:
        return
    with running(_paths(opened), backend, observations[0]) as found:
        skipped = _skipped(opened, backend, found.lost)
        if not found.runners:
            keeper.finish("latency", backend, skipped=skipped)
            return
        with background_load(request.load) as load:
            # Only around the calls: the processes that measure memory and power would inherit it.
            with scheduled(request.wanted) as granted:
                if "latency" in wanted:
                    samples = measure_latency(
                        found.runners,
                        observations,
                        timing.clock,
                        seconds=request.seconds,
                        on_round=keeper.reporter("latency", backend),
                    )
                    keep_latency(
                        keeper,
                        samples,
                        backend,
                        clock_cost_ns=timing.clock.cost_ns,
                        granted=granted,
                        skipped=skipped,
                        notes=(load.note,) if load.note else (),
                    )
                if "paced" in wanted:
                    steps = _loops(
                        found.runners,
                        observations,
                        timing,
                        request,
                        on_window=keeper.reporter("paced", backend),
                    )
                    keep_paced(keeper, steps, backend, clock_cost_ns=timing.clock.cost_ns)
            if "energy" in wanted:

                def run(label: str, seconds: float) -> int:
                    alone = {label: found.runners[label]}
                    asked = replace(request, paced_seconds=seconds)
                    with scheduled(request.wanted):
                        return int(_loops(alone, observations, timing, asked)[label].wakeup_ns.size)

                keep_energy(keeper, list(found.runners), backend, run)


def _time_in_processes(
    keeper: Keeper,
    opened: Sequence[Opened],
    backend: str,
    observations: NDArray[np.float32],
    wanted: frozenset[Stage],
) -> None:
    request = keeper.result.settings.request
    with background_load(request.load) as load:
        try:
            found = time_in_processes(
                _paths(opened),
                backend,
                observations,
                request,
                latency="latency" in wanted,
                paced="paced" in wanted,
                on_process=keeper.reporter("latency" if "latency" in wanted else "paced", backend),
            )
        except BackendUnavailable as error:
            lost = dict.fromkeys(_paths(opened), error)
            keeper.finish("latency", backend, skipped=_skipped(opened, backend, lost))
            return
    skipped = _skipped(opened, backend, found.lost)
    if not found.samples and not found.steps:
        keeper.finish("latency", backend, skipped=skipped)
        return
    if "latency" in wanted:
        keep_latency(
            keeper,
            found.samples,
            backend,
            clock_cost_ns=found.clock_cost_ns,
            granted=found.scheduling,
            skipped=skipped,
            notes=(load.note,) if load.note else (),
        )
    if "paced" in wanted:
        keep_paced(keeper, found.steps, backend, clock_cost_ns=found.clock_cost_ns)


def _paths(opened: Sequence[Opened]) -> dict[str, Path]:
    return {one.subject.label: one.path for one in opened}


def _skipped(
    opened: Sequence[Opened], backend: str, lost: Mapping[str, Exception]
) -> tuple[Skipped, ...]:
    return tuple(
        one.skipped(backend, lost[one.subject.label]) for one in opened if one.subject.label in lost
    )


def _loops(
    runners: Mapping[str, Runner],
    observations: NDArray[np.float32],
    timing: Timing,
    request: Request,
    *,
    on_window: Callable[[int, int], None] | None = None,
) -> dict[str, PacedSamples]:
    return measure_paced(
        runners,
        observations,
        hz=request.hz,
        seconds=request.paced_seconds,
        read=timing.clock.read,
        sleep_until=timing.sleeper.until,
        on_window=on_window,
    )


def keep_latency(
    keeper: Keeper,
    found: Mapping[str, Samples],
    backend: str,
    *,
    clock_cost_ns: float,
    granted: Scheduling,
    skipped: tuple[Skipped, ...] = (),
    notes: tuple[str, ...] = (),
) -> None:
    """Put calls back to back into the result: raw samples first, then figures and ratios."""
    seed = keeper.result.settings.request.seed
    if keeper.out is not None:
        save_samples(found, backend, keeper.out)
    raw = {label: samples.single for label, samples in found.items()}
    keeper.finish(
        "latency",
        backend,
        latency=tuple(
            summarize(label, backend, one, clock_cost_ns, seed=seed) for label, one in found.items()
        ),
        ratios=tuple(
            latency_ratios(found, keeper.baseline, backend, clock_cost_ns=clock_cost_ns, seed=seed)
        ),
        skipped=skipped,
        notes=(*granted.notes(), *notes),
        replaced={
            "scheduling": granted,
            "samples": {**keeper.result.samples, backend: raw},
        },
    )


def keep_paced(
    keeper: Keeper,
    found: Mapping[str, PacedSamples],
    backend: str,
    *,
    clock_cost_ns: float,
    notes: tuple[str, ...] = (),
) -> None:
    """Put a control loop into the result: raw samples first, then figures and ratios."""
    request = keeper.result.settings.request
    if keeper.out is not None:
        save_paced_samples(found, backend, keeper.out)
    keeper.finish(
        "paced",
        backend,
        paced=tuple(
            summarize_paced(label, backend, one, hz=request.hz, clock_cost_ns=clock_cost_ns)
            for label, one in found.items()
        ),
        ratios=tuple(
            paced_ratios(
                found,
                keeper.baseline,
                backend,
                clock_cost_ns=clock_cost_ns,
                seed=request.seed,
            )
        ),
        notes=notes,
    )
