"""Measuring subjects against each other on every backend that runs here."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl import runtime
from dspctl.benchmarks.latency import ROUNDS, measure_latency, summarize
from dspctl.benchmarks.machine import describe_machine
from dspctl.benchmarks.memory import measure_memory
from dspctl.benchmarks.ratios import count_ratios, latency_ratios, memory_ratios
from dspctl.benchmarks.result import (
    BenchResult,
    ClockRecord,
    Settings,
)
from dspctl.benchmarks.result_file import save_result, save_samples
from dspctl.benchmarks.subjects import Opened, choose_observations, open_subjects
from dspctl.benchmarks.timer import Clock, calibrate
from dspctl.errors import BackendUnavailable, ConfigProblem, MissingExtra, UnknownBackend
from dspctl.runtime import Runner

SECONDS = 10.0
"""Latency measurement per backend, all subjects together."""


@dataclass(frozen=True)
class Progress:
    """How far a benchmark is.

    Attributes:
        stage: ``latency`` or ``memory``.
        backend: the one being measured.
        done: rounds or processes finished.
        total: rounds or processes of this stage.
    """

    stage: str
    backend: str
    done: int
    total: int


def measure(
    subjects: Mapping[str, Path],
    *,
    backends: Sequence[str] | None = None,
    seconds: float = SECONDS,
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
        seconds: latency measurement per backend, all subjects together.
        observations: float [n, obs_dim], raw, recorded in the environment; None draws random
            ones.
        memory: whether to start processes for memory and start-up time.
        seed: of the observations drawn and of resampling.
        out: JSON file, replaced after every finished measurement; None keeps nothing.
        on_progress: called as measurements proceed.

    Raises:
        UnknownBackend: a name that is none.
        BackendUnavailable: no backend runs any subject; the message holds each reason.
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
    opened = open_subjects(subjects)
    machine = describe_machine()
    clock = calibrate()
    chosen, origin = choose_observations(opened[0].policy, observations, seed=seed)
    result = BenchResult(
        status="partial",
        machine=machine,
        clock=ClockRecord(clock.name, clock.resolution_ns, clock.cost_ns, clock.loop_ns),
        settings=Settings(seconds=seconds, rounds=ROUNDS, seed=seed, observations=origin),
        subjects=tuple(one.subject for one in opened),
        ratios=tuple(count_ratios([one.subject for one in opened])),
        notes=(*machine.notes(), *_masked(opened)),
    )
    keeper = _Keeper(result, out, on_progress)
    keeper.update()
    for backend in chosen_backends:
        runnable = _measure_latency(keeper, opened, backend, chosen, clock)
        if memory and runnable:
            _measure_memory(keeper, runnable, backend)
    if not keeper.result.latency:
        reasons = "; ".join(f"{one.backend}: {one.reason}" for one in keeper.result.skipped)
        raise BackendUnavailable(f"no backend could run any subject ({reasons})")
    return keeper.update(status="complete")


class _Keeper:
    """The result so far; every update is on the disk before the next measurement begins."""

    def __init__(
        self,
        result: BenchResult,
        out: Path | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.result = result
        self.out = out
        self._on_progress = on_progress

    def update(self, **changes: Any) -> BenchResult:
        """Replace fields, write, and return the result."""
        self.result = replace(self.result, **changes)
        if self.out is not None:
            save_result(self.result, self.out)
        return self.result

    def reporter(self, stage: str, backend: str) -> Callable[[int, int], None]:
        """A callback for one stage."""

        def report(done: int, total: int) -> None:
            if self._on_progress is not None:
                self._on_progress(Progress(stage, backend, done, total))

        return report


def _measure_latency(
    keeper: _Keeper,
    opened: Sequence[Opened],
    backend: str,
    observations: NDArray[np.float32],
    clock: Clock,
) -> list[Opened]:
    """Time all subjects that this backend can run, and return them."""
    seed, seconds = keeper.result.settings.seed, keeper.result.settings.seconds
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
        found = measure_latency(
            runners,
            observations,
            clock,
            seconds=seconds,
            on_round=keeper.reporter("latency", backend),
        )
    raw = {label: samples.single for label, samples in found.items()}
    if keeper.out is not None:
        save_samples(found, backend, keeper.out)
    keeper.update(
        latency=(
            *keeper.result.latency,
            *(summarize(label, backend, one, clock, seed=seed) for label, one in found.items()),
        ),
        ratios=(
            *keeper.result.ratios,
            *latency_ratios(found, opened[0].subject.label, backend, seed=seed),
        ),
        skipped=(*keeper.result.skipped, *skipped),
        samples={**keeper.result.samples, backend: raw},
    )
    return [one for one in opened if one.subject.label in runners]


def _measure_memory(keeper: _Keeper, runnable: Sequence[Opened], backend: str) -> None:
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
