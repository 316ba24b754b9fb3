"""Timing all subjects on one backend in both ways: back to back, and in a control loop."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl import runtime
from dspctl.benchmarks.calls.latency import Samples, measure_latency, summarize
from dspctl.benchmarks.calls.paced import measure_paced
from dspctl.benchmarks.calls.paced_figures import summarize_paced
from dspctl.benchmarks.calls.scheduling import Wanted, scheduled
from dspctl.benchmarks.calls.sleep import Sleeper
from dspctl.benchmarks.calls.timer import Clock
from dspctl.benchmarks.comparison.ratios import latency_ratios
from dspctl.benchmarks.keeper import Keeper
from dspctl.benchmarks.record.file import save_paced_samples, save_samples
from dspctl.benchmarks.subjects import Opened
from dspctl.errors import BackendUnavailable, MissingExtra
from dspctl.runtime import Runner


@dataclass(frozen=True)
class Timing:
    """What calls are timed with.

    Attributes:
        clock: calibrated, of both ways.
        sleeper: of the control loop, on that clock.
        wanted: what to ask of the operating system.
    """

    clock: Clock
    sleeper: Sleeper
    wanted: Wanted


def measure_calls(
    keeper: Keeper,
    opened: Sequence[Opened],
    backend: str,
    observations: NDArray[np.float32],
    timing: Timing,
) -> list[Opened]:
    """Time all subjects that this backend can run, in both ways, and return them.

    Args:
        keeper: gets each way's figures as soon as they are there, and what was skipped.
        opened: the subjects, the baseline first.
        backend: one of ``runtime.BACKENDS``.
        observations: float32 [n, obs_dim], raw.
        timing: what to time with.

    Raises:
        WriteFailed: the result cannot be written.
    """
    skipped, runners = [], {}
    with ExitStack() as stack:
        for one in opened:
            try:
                runner: Runner = stack.enter_context(runtime.load(one.path, backend))
                runner(observations[0])
            except (BackendUnavailable, MissingExtra) as error:
                skipped.append(one.skipped(backend, error))
            else:
                runners[one.subject.label] = runner
        if not runners:
            keeper.update(skipped=(*keeper.result.skipped, *skipped))
            return []
        # Only around the calls: the processes that measure memory would inherit it.
        granted = stack.enter_context(scheduled(timing.wanted))
        fresh = [note for note in granted.notes() if note not in keeper.result.notes]
        found = measure_latency(
            runners,
            observations,
            timing.clock,
            seconds=keeper.result.settings.seconds,
            on_round=keeper.reporter("latency", backend),
        )
        _keep_latency(
            keeper,
            found,
            backend,
            timing.clock,
            baseline=opened[0].subject.label,
            scheduling=granted,
            notes=(*keeper.result.notes, *fresh),
            skipped=(*keeper.result.skipped, *skipped),
        )
        if keeper.result.settings.paced_seconds > 0:
            _measure_paced(keeper, runners, backend, observations, timing)
    return [one for one in opened if one.subject.label in runners]


def _keep_latency(
    keeper: Keeper,
    found: Mapping[str, Samples],
    backend: str,
    clock: Clock,
    *,
    baseline: str,
    **changes: Any,
) -> None:
    seed = keeper.result.settings.seed
    if keeper.out is not None:
        save_samples(found, backend, keeper.out)
    raw = {label: samples.single for label, samples in found.items()}
    keeper.update(
        latency=(
            *keeper.result.latency,
            *(summarize(label, backend, one, clock, seed=seed) for label, one in found.items()),
        ),
        ratios=(*keeper.result.ratios, *latency_ratios(found, baseline, backend, seed=seed)),
        samples={**keeper.result.samples, backend: raw},
        **changes,
    )


def _measure_paced(
    keeper: Keeper,
    runners: Mapping[str, Runner],
    backend: str,
    observations: NDArray[np.float32],
    timing: Timing,
) -> None:
    hz = keeper.result.settings.hz
    found = measure_paced(
        runners,
        observations,
        hz=hz,
        seconds=keeper.result.settings.paced_seconds,
        read=timing.clock.read,
        sleep_until=timing.sleeper.until,
        on_window=keeper.reporter("paced", backend),
    )
    if keeper.out is not None:
        save_paced_samples(found, backend, keeper.out)
    figures = [summarize_paced(label, backend, one, hz=hz) for label, one in found.items()]
    keeper.update(paced=(*keeper.result.paced, *figures))
