"""Two benchmark runs, from different days, machines or versions, set against each other.

Within one run the subjects take turns, so whatever disturbs the machine disturbs both. Two runs do
not: their ratios hold every change between them, and the intervals are wider for it, since the
rounds of each are resampled on their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dspctl.benchmarks.calls.timer import clock_bounds
from dspctl.benchmarks.comparison.wording import ratio_words
from dspctl.benchmarks.record.file import Raw, load_raw, load_result
from dspctl.benchmarks.record.result import BenchResult, Subject
from dspctl.benchmarks.stats import (
    Blocks,
    Interval,
    inverse,
    percentile,
    percentile_ratio,
    tells_percentile,
    tells_ratio,
)
from dspctl.errors import NotComparable

Kind = Literal["runs", "machines", "policies"]
"""The same policy again on the same machine; the same on another one; another one on the same."""

_WAYS = ("latency", "paced_latency", "paced_inference")
_PIECES, _PIECE_SAMPLES = 10, 100
"""Into how many pieces a single long window is cut, and how long they are at least."""
_SHARES = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999}
_CONDITIONS = ("hz", "cpu", "fifo", "mlock", "load")
"""What of a request changes a figure, rather than how well it is known."""


@dataclass(frozen=True)
class Compared:
    """One figure of both runs.

    Attributes:
        first: label in the first run.
        second: label in the second run.
        backend: what ran both.
        quantity: such as ``latency_p50`` or ``paced_latency_p99``.
        first_ns: nanoseconds.
        second_ns: nanoseconds.
        ratio: first over second, so above 1 the second is faster.
    """

    first: str
    second: str
    backend: str
    quantity: str
    first_ns: float
    second_ns: float
    ratio: Interval


@dataclass(frozen=True)
class RunComparison:
    """Two runs set against each other.

    Attributes:
        kind: what differs.
        figures: those that both have.
        notes: what else differs, and what weakens the comparison.
        verdict: what follows, a sentence.
    """

    kind: Kind
    figures: tuple[Compared, ...]
    notes: tuple[str, ...]
    verdict: str


def compare_runs(first: Path, second: Path, *, seed: int = 0) -> RunComparison:
    """Compare two results of ``dspctl bench``.

    Args:
        first: a JSON file with its raw samples beside it.
        second: another one.
        seed: of the resampling.

    Raises:
        NotComparable: nothing follows from the two; says what differs.
        ResultProblem: a file cannot be read.
    """
    one, two = load_result(first), load_result(second)
    pairs, kind = _pairs(one, two)
    _check_conditions(one, two)
    figures = tuple(_figures((one, first), (two, second), pairs, seed))
    if not figures:
        raise NotComparable(
            f"{first.name} and {second.name} have no backend in common with raw samples: copy "
            "the .npz files along with each JSON, and measure the same backends"
        )
    return RunComparison(kind, figures, tuple(_notes(one, two, kind)), _verdict(kind, figures))


def _pairs(one: BenchResult, two: BenchResult) -> tuple[list[tuple[Subject, Subject]], Kind]:
    """Subjects to set against each other, and what differs.

    Raises:
        NotComparable: another policy on another machine, or policies of different environments.
    """
    same_machine = _machine(one) == _machine(two)
    pairs = [(a, b) for a in one.subjects for b in two.subjects if a.sha256 == b.sha256]
    if pairs:
        return pairs, "runs" if same_machine else "machines"
    if not same_machine:
        raise NotComparable(
            f"the runs share neither a policy nor the machine ({one.machine.cpu} and "
            f"{two.machine.cpu}), so nothing follows from their figures: measure one policy on "
            "both machines, or both policies on one"
        )
    environments = {subject.environment for subject in (*one.subjects, *two.subjects)}
    if len(environments) > 1:
        raise NotComparable(
            f"the policies are of different environments ({', '.join(sorted(environments))}): "
            "compare policies that do the same task"
        )
    return [(one.subjects[-1], two.subjects[-1])], "policies"


def _machine(result: BenchResult) -> tuple[object, ...]:
    machine, device = result.machine, result.device.before
    return (machine.cpu, machine.architecture, machine.cores, device.board, device.power_mode)


def _check_conditions(one: BenchResult, two: BenchResult) -> None:
    mine, theirs = one.settings.request, two.settings.request
    differing = [name for name in _CONDITIONS if getattr(mine, name) != getattr(theirs, name)]
    if differing:
        found = ", ".join(
            f"{name} {getattr(mine, name)} and {getattr(theirs, name)}" for name in differing
        )
        raise NotComparable(
            f"the runs were made under different conditions ({found}): repeat one of them with "
            "the other's"
        )
    for name, mine_too in _granted(one).items():
        if mine_too != _granted(two)[name]:
            raise NotComparable(
                f"--{name} was granted in one run and refused in the other: repeat the latter "
                "with the right to it, or both without"
            )


def _granted(run: BenchResult) -> dict[str, bool]:
    """Which requests to the operating system were granted."""
    return {
        name: answer is not None and answer.granted for name, answer in vars(run.scheduling).items()
    }


def _figures(
    first: tuple[BenchResult, Path],
    second: tuple[BenchResult, Path],
    pairs: list[tuple[Subject, Subject]],
    seed: int,
) -> Iterator[Compared]:
    backends = [one for one in first[0].backends if one in second[0].backends]
    together = len(backends) * len(pairs) * len(_WAYS) * len(_SHARES)
    for backend in backends:
        raws = load_raw(first[1], backend), load_raw(second[1], backend)
        for a, b in pairs:
            own = raws[0].get(a.label), raws[1].get(b.label)
            if own[0] is None or own[1] is None:
                continue
            costs = [
                record.clock_cost_ns
                for record in (
                    first[0].latency_of(a.label, backend),
                    second[0].latency_of(b.label, backend),
                )
                if record is not None
            ]
            if len(costs) < 2:  # samples of a subject that the result says nothing of
                continue
            yield from _quantities(
                (a.label, b.label), backend, (own[0], own[1]), max(costs), seed, together
            )


def _quantities(
    labels: tuple[str, str],
    backend: str,
    raws: tuple[Raw, Raw],
    clock_cost_ns: float,
    seed: int,
    together: int,
) -> Iterator[Compared]:
    for name in _WAYS:
        for percent, share in _SHARES.items():
            blocks = [_pieces(raw.blocks(name, share)) for raw in raws]
            if not tells_ratio(*blocks):
                continue
            values = [percentile(np.concatenate(one), share) for one in blocks]
            single = name != "latency" or share != 0.5
            figures = {str(index): value for index, value in enumerate(values)}
            samples = min(sum(block.size for block in one) for one in blocks)
            if single and clock_bounds(figures, clock_cost_ns):
                continue
            if not tells_percentile(samples, share) or min(values) <= 0:
                continue
            yield Compared(
                first=labels[0],
                second=labels[1],
                backend=backend,
                quantity=f"{name}_{percent}",
                first_ns=values[0],
                second_ns=values[1],
                ratio=percentile_ratio(
                    blocks[0], blocks[1], share, paired=False, together=together, seed=seed
                ),
            )


def _pieces(blocks: Blocks) -> Blocks:
    """*blocks*, or where there is a single long one, what follows one another in it."""
    if len(blocks) != 1:
        return blocks
    return np.array_split(blocks[0], max(1, min(_PIECES, blocks[0].size // _PIECE_SAMPLES)))


def _notes(one: BenchResult, two: BenchResult, kind: Kind) -> Iterator[str]:
    yield (
        "the runs were not interleaved, so a ratio holds whatever else changed between them: "
        "measure both in one run (--against) where a small difference matters"
    )
    for name, run in (("first", one), ("second", two)):
        if run.status == "partial":
            yield f"the {name} run was interrupted, so it lacks figures: run its command again"
    if kind == "machines":
        return
    mine, theirs = (
        {"Python": run.machine.python, "system": run.machine.system, **run.machine.libraries}
        for run in (one, two)
    )
    for name in sorted({*mine, *theirs}):
        before, after = mine.get(name, "absent"), theirs.get(name, "absent")
        if before != after:
            yield f"{name}: {before} in the first run, {after} in the second"


def _verdict(kind: Kind, figures: tuple[Compared, ...]) -> str:
    """On the median of the backend that is fastest in the second run."""
    medians = [one for one in figures if one.quantity == "latency_p50"]
    if not medians:
        return ""
    chosen = min(medians, key=lambda one: one.second_ns)
    what = {
        "runs": "the second run",
        "machines": "the second machine",
        "policies": chosen.second,
    }[kind]
    ratio = chosen.ratio
    if ratio.low <= 1 <= ratio.high:
        return f"With {chosen.backend}, {what} is as fast as the first within the interval."
    if ratio.estimate > 1:
        return f"With {chosen.backend}, {what} is {ratio_words(ratio)} as fast as the first."
    return (
        f"With {chosen.backend}, {what} takes {ratio_words(inverse(ratio))} as long as the first."
    )
