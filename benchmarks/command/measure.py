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
    """Let the programs of all subjects measure themselves, in turns (A B, B A, A B …).

    Processors differ: one serves the interrupts, another runs what else there is. So all subjects
    of a round run on the same one, and the rounds on each in turn, unless one was asked for.

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
    if not labels or len(set(labels)) < len(labels):
        raise ConfigProblem("a measurement needs at least one subject, each of them once")
    rotated = cpus if request.cpu is None else ()
    turns = _Turns(labels, run, _asked(request), tuple(rotated), on_step)
    if mode == "back_to_back":
        found = _back_to_back(turns, request)
        samples = {label: _samples(label, runs) for label, runs in found.items()}
        return _together(found, request, samples=samples)
    found = _paced(turns, request)
    steps = {label: _steps(runs) for label, runs in found.items()}
    return _together(found, request, steps=steps)


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


class _Turns(NamedTuple):
    """What runs, and who is told of it."""

    labels: Sequence[str]
    run: RunCommand
    asked: tuple[str, ...]
    cpus: tuple[int, ...]
    on_step: Callable[[int, int], None] | None

    def take(self, rounds: int, mode: Mode, words: Sequence[str]) -> dict[str, list[_Run]]:
        """Run everybody in every round, every second one from the last to the first."""
        found: dict[str, list[_Run]] = {label: [] for label in self.labels}
        done = 0
        for turn in range(rounds):
            # Two rounds on each: the order within a round changes with every single one.
            where = ("--cpu", str(self.cpus[turn // 2 % len(self.cpus)])) if self.cpus else ()
            for label in self.labels if turn % 2 == 0 else reversed(self.labels):
                first = found[label][0] if found[label] else None
                again = () if first is None else _same_again(first, mode)
                answer = self.run(label, (*words, *self.asked, *where, *again))
                found[label].append(_checked(label, answer, mode, first))
                done += 1
                if self.on_step is not None:
                    self.on_step(done, rounds * len(self.labels))
        return found


def _back_to_back(turns: _Turns, request: Request) -> dict[str, list[_Run]]:
    each_s = request.seconds / len(turns.labels)
    rounds = min(MOST_ROUNDS, max(FEWEST_ROUNDS, int(each_s / ROUND_S)))
    seconds = max(_SHORTEST_S, each_s / rounds)
    words = (
        *("--back-to-back", "--seconds", f"{seconds:.9g}"),
        *("--keep", str(MAX_SINGLE_CALLS // rounds)),
    )
    return turns.take(rounds, "back_to_back", words)


def _paced(turns: _Turns, request: Request) -> dict[str, list[_Run]]:
    each = request.paced_seconds * request.hz / len(turns.labels) + 1e-9
    # As calls from Python are divided into windows: see `measure_paced`.
    windows = 1 if len(turns.labels) == 1 else max(1, min(WINDOWS, int(each / WINDOW_STEPS)))
    steps = max(1, int(each / windows))
    words = (
        *("--paced", "--hz", f"{request.hz:.17g}", "--steps", str(steps)),
        *("--seconds", f"{max(_SHORTEST_S, steps / request.hz):.9g}"),
        *("--keep", str(max(_FEWEST_KEPT, steps))),
    )
    found = turns.take(windows, "paced", words)
    for label, runs in found.items():
        if any(one.raw.wakeup_ns.size != steps for one in runs):
            raise _other_answer(label, f"{steps} steps")
    return found


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


def _samples(label: str, runs: Sequence[_Run]) -> Samples:
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
