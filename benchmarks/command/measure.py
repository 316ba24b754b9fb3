"""The bundles' static programs in turns: the same raw samples as calls from Python give.

Each turn is a process of its own: it warms up, measures for a moment, and ends. The first run of a
subject chooses how many calls make a block and how many blocks a run; every other run of it does
the same, so that runs compare and samples of all runs are of one kind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from dspctl.benchmarks.calls.latency import MAX_SINGLE_CALLS, Samples
from dspctl.benchmarks.calls.paced import WINDOW_STEPS, WINDOWS, PacedSamples
from dspctl.benchmarks.calls.scheduling import Scheduling
from dspctl.benchmarks.calls.timer import ClockRecord
from dspctl.benchmarks.command.answer import Answer, RunCommand
from dspctl.benchmarks.command.raw import RawSamples, read_samples
from dspctl.benchmarks.command.report import (
    Report,
    read_report,
    together_clock,
    together_scheduling,
    together_warm_up,
)
from dspctl.benchmarks.request import Request
from dspctl.errors import BackendUnavailable, ConfigProblem

Mode = Literal["back_to_back", "paced"]

MOST_ROUNDS, FEWEST_ROUNDS = 20, 5
ROUND_S = 0.1
"""Shortest turn of a subject, where there is time for more than `FEWEST_ROUNDS`."""
_FEWEST_KEPT = 1000
"""The least room that the program reserves."""
_SHORTEST_S = 0.01
"""The shortest run that the program makes."""


@dataclass(frozen=True, eq=False)
class CommandRun:
    """What one mode gave, in the terms of calls from Python.

    Attributes:
        clock: of the programs.
        scheduling: what the system answered to them.
        samples: label → calls back to back; empty for the control loop.
        steps: label → control loop; empty for calls back to back.
        notes: sentences about what weakens them.
    """

    clock: ClockRecord
    scheduling: Scheduling
    samples: Mapping[str, Samples] = field(default_factory=dict)
    steps: Mapping[str, PacedSamples] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def measure_command(
    labels: Sequence[str],
    run: RunCommand,
    request: Request,
    *,
    mode: Mode,
    cpus: Sequence[int] = (),
    on_step: Callable[[int, int], None] | None = None,
) -> CommandRun:
    """Let the programs of all subjects measure themselves, in turns, from beginning to end.

    Args:
        labels: the subjects, the baseline first.
        run: runs the program of one.
        request: how long, at which rate, and what to ask of the operating system.
        mode: which of the two ways.
        cpus: the processors to take turns on; none leaves the choice to the system.
        on_step: called with runs done and runs in all.

    Raises:
        ConfigProblem: no subjects, or the same one twice.
        BackendUnavailable: a program fails, or answers something else than was asked.
    """
    turns = Turns(labels, run, request, mode=mode, cpus=cpus, on_step=on_step)
    return turns.until(turns.rounds)


def failures(labels: Sequence[str], run: RunCommand) -> dict[str, BackendUnavailable]:
    """Why programs do not run; empty where all of them do. Takes a tenth of a second each."""
    found = {}
    for label in labels:
        try:
            answer = run(label, ("--back-to-back", "--seconds", "0.01"))
            _ = read_report(answer.report, "back_to_back"), read_samples(answer.samples)
        except BackendUnavailable as error:
            found[label] = error
    return found


class _Run(NamedTuple):
    """One run of a program."""

    report: Report
    raw: RawSamples


class Turns:
    """The programs of all subjects in turns (A B, B A, A B …), a few rounds at a time.

    Processors differ: one serves the interrupts, another runs what else there is. So all subjects
    of a round run on the same one, and the rounds on each in turn, unless one was asked for.

    Args:
        labels, run, request, mode, cpus, on_step: as for `measure_command`.

    Attributes:
        rounds: how many there are in all.

    Raises:
        ConfigProblem: no subjects, or the same one twice.
    """

    def __init__(
        self,
        labels: Sequence[str],
        run: RunCommand,
        request: Request,
        *,
        mode: Mode,
        cpus: Sequence[int] = (),
        on_step: Callable[[int, int], None] | None = None,
    ) -> None:
        if not labels or len(set(labels)) < len(labels):
            raise ConfigProblem("a measurement needs at least one subject, each of them once")
        self._labels, self._run, self._request, self._mode = labels, run, request, mode
        self._cpus = tuple(cpus) if request.cpu is None else ()
        self._on_step = on_step
        self._found: dict[str, list[_Run]] = {label: [] for label in labels}
        self._done = 0
        self.rounds, self._steps, self._words = (
            _back_to_back(request, len(labels))
            if mode == "back_to_back"
            else _paced(request, len(labels))
        )

    def until(self, rounds: int) -> CommandRun:
        """Run what is missing of the first so many rounds; returns what all of them gave.

        Raises:
            BackendUnavailable: a program fails, or answers something else than was asked.
        """
        while self._done < min(rounds, self.rounds):
            self._round(self._done)
            self._done += 1
        if self._mode == "back_to_back":
            samples = {label: _samples(runs) for label, runs in self._found.items()}
            return _together(self._found, self._request, samples=samples)
        steps = {label: _steps(runs) for label, runs in self._found.items()}
        return _together(self._found, self._request, steps=steps)

    def _round(self, turn: int) -> None:
        """Run everybody once, in every second round from the last to the first."""
        # Two rounds on each: the order within a round changes with every single one.
        cpus = self._cpus
        where = ("--cpu", str(cpus[turn // 2 % len(cpus)])) if cpus else ()
        for index, label in enumerate(self._labels if turn % 2 == 0 else reversed(self._labels), 1):
            runs = self._found[label]
            first = runs[0] if runs else None
            again = () if first is None else _same_again(first, self._mode)
            answer = self._run(label, (*self._words, *_asked(self._request), *where, *again))
            one = _checked(label, answer, self._mode, first)
            if self._mode == "paced" and one.raw.wakeup_ns.size != self._steps:
                raise _other_answer(label, f"{self._steps} steps")
            runs.append(one)
            if self._on_step is not None:
                count = len(self._labels)
                self._on_step(turn * count + index, self.rounds * count)


class _Plan(NamedTuple):
    """What all runs have in common: how many rounds, steps of a control loop, and the arguments."""

    rounds: int
    steps: int
    words: tuple[str, ...]


def _back_to_back(request: Request, subjects: int) -> _Plan:
    each_s = request.seconds / subjects
    rounds = min(MOST_ROUNDS, max(FEWEST_ROUNDS, int(each_s / ROUND_S)))
    seconds = max(_SHORTEST_S, each_s / rounds)
    words = (
        *("--back-to-back", "--seconds", f"{seconds:.9g}"),
        *("--keep", str(MAX_SINGLE_CALLS // rounds)),
    )
    return _Plan(rounds, 0, words)


def _paced(request: Request, subjects: int) -> _Plan:
    each = request.paced_seconds * request.hz / subjects + 1e-9
    # As calls from Python are divided into windows: see `measure_paced`.
    windows = 1 if subjects == 1 else max(1, min(WINDOWS, int(each / WINDOW_STEPS)))
    steps = max(1, int(each / windows))
    words = (
        *("--paced", "--hz", f"{request.hz:.17g}", "--steps", str(steps)),
        *("--seconds", f"{max(_SHORTEST_S, steps / request.hz):.9g}"),
        *("--keep", str(max(_FEWEST_KEPT, steps))),
    )
    return _Plan(windows, steps, words)


def _asked(request: Request) -> tuple[str, ...]:
    """What to ask of the operating system."""
    words: list[str] = []
    if request.cpu is not None:
        words += ["--cpu", str(request.cpu)]
    if request.fifo is not None:
        words += ["--fifo", str(request.fifo)]
    if request.mlock:
        words.append("--mlock")
    return tuple(words)


def _same_again(first: _Run, mode: Mode) -> tuple[str, ...]:
    """The arguments by which a run does what the subject's first one did."""
    if mode == "paced":
        return ()
    return (
        *("--block-calls", str(first.raw.calls_per_block)),
        *("--blocks", str(_blocks(first))),
        *("--singles", str(first.report.singles_per_block)),
    )


def _blocks(first: _Run) -> int:
    """Blocks of the first run whose single calls were all kept."""
    singles = max(1, first.report.singles_per_block)
    return min(first.raw.block_ns.size, first.raw.single_ns.size // singles)


def _checked(label: str, answer: Answer, mode: Mode, first: _Run | None) -> _Run:
    found = _Run(read_report(answer.report, mode), read_samples(answer.samples))
    if mode == "paced":
        return found
    reference = first or found
    blocks, singles = _blocks(reference), reference.report.singles_per_block
    whole = reference.report.dropped > 0 or (
        (reference.raw.block_ns.size, reference.raw.single_ns.size) == (blocks, blocks * singles)
    )
    if blocks < 1 or singles < 1 or not whole:
        raise _other_answer(label, "samples of both kinds")
    if first is not None and (
        found.raw.calls_per_block != first.raw.calls_per_block
        or found.report.singles_per_block != singles
        or (found.raw.block_ns.size, found.raw.single_ns.size) != (blocks, blocks * singles)
    ):
        raise _other_answer(label, f"{blocks} blocks with {singles} single calls each")
    return found


def _samples(runs: Sequence[_Run]) -> Samples:
    first = runs[0]
    blocks, singles = _blocks(first), first.report.singles_per_block
    calls = first.raw.calls_per_block
    return Samples(
        single_ns=tuple(one.raw.single_ns[: blocks * singles] for one in runs),
        # A block of one call is a single call; there are enough of those.
        batched_ns=tuple(one.raw.block_ns[: blocks if calls > 1 else 0] for one in runs),
        calls_per_sample=calls,
        warm_up=together_warm_up([one.report.warm_up for one in runs]),
    )


def _steps(runs: Sequence[_Run]) -> PacedSamples:
    return PacedSamples(
        period_ns=runs[0].raw.period_ns,
        wakeup_ns=np.concatenate([one.raw.wakeup_ns for one in runs]),
        inference_ns=np.concatenate([one.raw.inference_ns for one in runs]),
        window_steps=tuple(int(one.raw.wakeup_ns.size) for one in runs),
    )


def _together(
    found: Mapping[str, Sequence[_Run]],
    request: Request,
    *,
    samples: Mapping[str, Samples] | None = None,
    steps: Mapping[str, PacedSamples] | None = None,
) -> CommandRun:
    reports = [one.report for runs in found.values() for one in runs]
    dropped = sum(one.dropped for one in reports)
    answers = together_scheduling([one.scheduling for one in reports])
    if request.cpu is None:  # nobody asked for the processors that took turns
        answers = replace(answers, cpu=None)
    return CommandRun(
        clock=together_clock([one.clock for one in reports]),
        scheduling=answers,
        samples=samples or {},
        steps=steps or {},
        notes=(
            (f"{dropped:,} samples found no room and are in no figure: measure for less time",)
            if dropped
            else ()
        ),
    )


def _other_answer(label: str, asked: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"the program of '{label}' was asked for {asked} and gave something else: export the "
        "bundle again with this dspctl"
    )
