"""Timing all subjects on one backend of Python: back to back, and in a control loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.executions import Processes
from dspctl.benchmarks.calls.latency import Samples, measure_latency, summarize
from dspctl.benchmarks.calls.paced import PacedSamples, measure_paced
from dspctl.benchmarks.calls.paced_figures import summarize_paced
from dspctl.benchmarks.calls.running import running
from dspctl.benchmarks.calls.scheduling import Scheduling, scheduled
from dspctl.benchmarks.calls.timer import Clock
from dspctl.benchmarks.comparison.ratios import latency_ratios, paced_ratios
from dspctl.benchmarks.energy.stage import keep_energy
from dspctl.benchmarks.keeper import Keeper
from dspctl.benchmarks.memory.sizes import plan_sizes
from dspctl.benchmarks.record.file import save_paced_samples, save_samples
from dspctl.benchmarks.record.result import Skipped
from dspctl.benchmarks.request import Request
from dspctl.benchmarks.steps import Steps
from dspctl.benchmarks.subjects import Opened
from dspctl.errors import BackendUnavailable
from dspctl.runtime import Runner
from dspctl.runtime.sleep import Sleeper


@dataclass(frozen=True)
class Timing:
    """What calls are timed with.

    Attributes:
        clock: calibrated, of both ways.
        sleeper: of the control loop, on that clock.
    """

    clock: Clock
    sleeper: Sleeper


class PythonTiming:
    """One backend of Python, timed in whatever way is not in the result yet.

    Args:
        keeper: gets each way's figures as soon as they are there, and what was skipped.
        opened: the subjects, the baseline first.
        backend: any that runs in a Python process.
        observations: float32 [n, obs_dim], raw.
        timing: what to time with in this process.
        steps: keeps what other processes gave.
    """

    def __init__(
        self,
        keeper: Keeper,
        opened: Sequence[Opened],
        backend: str,
        observations: NDArray[np.float32],
        timing: Timing,
        steps: Steps,
    ) -> None:
        self._keeper, self._opened, self._backend = keeper, opened, backend
        self._observations, self._timing, self._steps = observations, timing, steps
        self._request = keeper.result.settings.request
        self._wanted = keeper.wanted(backend) - {"energy"}
        self._processes = Processes(
            _paths(opened),
            backend,
            observations,
            self._request,
            latency="latency" in self._wanted,
            paced="paced" in self._wanted,
            steps=steps,
            on_process=keeper.reporter(
                "latency" if "latency" in self._wanted else "paced", backend
            ),
        )

    @property
    def needed(self) -> bool:
        """Whether anything is left to time."""
        return bool(self._wanted)

    def advance(self, done: int, total: int) -> None:
        """Time until *done* of *total* parts are in.

        Raises:
            WriteFailed: the result cannot be written.
        """
        if not self._wanted:
            return
        if self._request.executions > 1:
            self._advance_processes(done, total)
        elif done == total:
            self._time_here()

    def _advance_processes(self, done: int, total: int) -> None:
        backend, complete = self._backend, done == total
        try:
            found = self._processes.until(done)
        except BackendUnavailable as error:
            self._lose(dict.fromkeys(_paths(self._opened), error))
            return
        if not found.samples and not found.steps:
            self._lose(found.lost)
            return
        if not (complete or worth_showing(done)):
            return
        skipped = _skipped(self._opened, backend, found.lost)
        if "latency" in self._wanted:
            keep_latency(
                self._keeper,
                found.samples,
                backend,
                clock_cost_ns=found.clock_cost_ns,
                granted=found.scheduling,
                skipped=skipped,
                complete=complete,
            )
        if "paced" in self._wanted:
            keep_paced(
                self._keeper,
                found.steps,
                backend,
                clock_cost_ns=found.clock_cost_ns,
                complete=complete,
            )
        if complete:
            keep_plans(self._keeper, self._opened, found.device_memory)
            self._steps.drop(backend)

    def _lose(self, lost: Mapping[str, Exception]) -> None:
        """No subject runs here any more; what was shown of unfinished timings goes."""
        for stage in self._wanted:
            self._keeper.drop(stage, self._backend)
        self._keeper.finish(
            "latency" if "latency" in self._wanted else "paced",
            self._backend,
            skipped=_skipped(self._opened, self._backend, lost),
        )
        self._steps.drop(self._backend)
        self._wanted = frozenset()

    def _time_here(self) -> None:
        """In this process, all at once."""
        keeper, backend, timing = self._keeper, self._backend, self._timing
        with running(_paths(self._opened), backend, self._observations[0]) as found:
            if not found.runners:
                self._lose(found.lost)
                return
            # Only around the calls: other processes that are started would inherit it.
            with scheduled(self._request.wanted) as granted:
                if "latency" in self._wanted:
                    samples = measure_latency(
                        found.runners,
                        self._observations,
                        timing.clock,
                        seconds=self._request.seconds,
                        on_round=keeper.reporter("latency", backend),
                    )
                    keep_latency(
                        keeper,
                        samples,
                        backend,
                        clock_cost_ns=timing.clock.cost_ns,
                        granted=granted,
                        skipped=_skipped(self._opened, backend, found.lost),
                    )
                if "paced" in self._wanted:
                    steps = _loops(
                        found.runners,
                        self._observations,
                        timing,
                        self._request,
                        on_window=keeper.reporter("paced", backend),
                    )
                    keep_paced(keeper, steps, backend, clock_cost_ns=timing.clock.cost_ns)
            keep_plans(keeper, self._opened, found.device_memory)


def keep_plans(keeper: Keeper, opened: Sequence[Opened], device_memory: Mapping[str, int]) -> None:
    """Put what plans need on the GPU into the result.

    Args:
        keeper: gets it.
        opened: the subjects.
        device_memory: label → bytes, of the subjects whose plan ran.
    """
    if not device_memory:
        return
    plans = {one.subject.label: one.path for one in opened if one.subject.label in device_memory}
    others = tuple(one for one in keeper.result.plans if one.label not in plans)
    found = (
        plan
        for label, path in plans.items()
        for plan in plan_sizes(path, label, device_memory[label])
    )
    keeper.update(plans=(*others, *found))


def worth_showing(done: int) -> bool:
    """Whether figures of so many parts go into the result while others are still to come.

    Each time that there is twice as much: they are made from everything, which takes time. Of one
    part alone nothing can be told, since it has nothing to vary from.
    """
    return done > 1 and done & (done - 1) == 0


def energy_of_calls(
    keeper: Keeper,
    opened: Sequence[Opened],
    backend: str,
    observations: NDArray[np.float32],
    timing: Timing,
) -> None:
    """Measure energy in control loops of this process, where it was asked for and is not in yet.

    Args:
        keeper, opened, backend, observations, timing: as for `PythonTiming`.

    Raises:
        WriteFailed: the result cannot be written.
    """
    request = keeper.result.settings.request
    if "energy" not in keeper.wanted(backend):
        return
    with running(_paths(opened), backend, observations[0]) as found:

        def run(label: str, seconds: float) -> int:
            alone = {label: found.runners[label]}
            asked = replace(request, paced_seconds=seconds)
            with scheduled(request.wanted):
                return int(_loops(alone, observations, timing, asked)[label].wakeup_ns.size)

        if found.runners:
            keep_energy(keeper, list(found.runners), backend, run)


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
    complete: bool = True,
) -> None:
    """Put calls back to back into the result: raw samples first, then figures and ratios."""
    seed = keeper.result.settings.request.seed
    if keeper.out is not None:
        save_samples(found, backend, keeper.out)
    raw = {label: samples.single for label, samples in found.items()}
    keeper.finish(
        "latency",
        backend,
        complete=complete,
        latency=tuple(
            summarize(label, backend, one, clock_cost_ns, seed=seed) for label, one in found.items()
        ),
        ratios=tuple(
            latency_ratios(
                found,
                keeper.baseline,
                backend,
                clock_cost_ns=clock_cost_ns,
                seed=seed,
                together=keeper.together,
            )
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
    complete: bool = True,
) -> None:
    """Put a control loop into the result: raw samples first, then figures and ratios."""
    request = keeper.result.settings.request
    if keeper.out is not None:
        save_paced_samples(found, backend, keeper.out)
    keeper.finish(
        "paced",
        backend,
        complete=complete,
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
                together=keeper.together,
            )
        ),
        notes=notes,
    )
