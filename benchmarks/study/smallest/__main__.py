"""Search the smallest network for every unpruned policy of a study, and store what was found.

``python -m dspctl.benchmarks.study.smallest runs/methods -o runs/smallest`` goes on where it was
stopped. Nothing else should run on the machine: a search has so many minutes, and calls are timed
when all searches are done.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.shrink import Goal, Options, SearchProgress, load_shrink, shrink
from dspctl.benchmarks.shrink._candidate import POLICY
from dspctl.benchmarks.shrink.costs import measure_costs
from dspctl.benchmarks.shrink.record import FILE, ShrinkResult
from dspctl.benchmarks.study.cell import RUN
from dspctl.benchmarks.study.figures.collection import BASE, REFERENCE
from dspctl.benchmarks.study.record import load_results
from dspctl.benchmarks.study.smallest.record import (
    DEFAULT,
    Shrunk,
    Smallest,
    ordered,
    save_smallest,
)
from dspctl.errors import ConfigProblem, DspctlError, NothingKept
from dspctl.runtime import load_policy
from dspctl.trainer import load_run

_INTERRUPTED = 130


@dataclass(frozen=True)
class Teacher:
    """An unpruned policy of a study.

    Attributes:
        environment: gymnasium id.
        seed: of its training.
        key: of its cell.
        run: its run's folder.
    """

    environment: str
    seed: int
    key: str
    run: Path

    def folder(self, output: Path) -> Path:
        """Where its search is."""
        return output / f"{self.environment}-seed{self.seed}"


def teachers(study: Path, environments: Sequence[str], seeds: Sequence[int]) -> tuple[Teacher, ...]:
    """The unpruned policies of the study in a folder, as far as they are asked for.

    Args:
        study: the study's folder, with its runs.
        environments: of these environments; all where there are none.
        seeds: of these seeds.

    Raises:
        ConfigProblem: there is none.
        ResultProblem: there is no study, or it cannot be read.
    """
    found = tuple(
        Teacher(cell.environment, cell.seed, cell.key, study / "cells" / cell.key / RUN)
        for cell in load_results(study / "results.json").cells
        if cell.method == REFERENCE
        and cell.variant == BASE
        and cell.seed in seeds
        and (cell.environment in environments or not environments)
    )
    if not found:
        raise ConfigProblem(
            f"{study} has no {REFERENCE} run of these environments and seeds: name others with "
            "--env and --seed, or run the study first"
        )
    return found


def search(
    teacher: Teacher, output: Path, minutes: float, keep: float, stop: threading.Event
) -> ShrinkResult:
    """Search, or take what is there if more time would change nothing; raises as `shrink`."""
    folder, goal = teacher.folder(output), Goal(keep)
    title = f"{teacher.environment} seed {teacher.seed}"
    if (folder / FILE).is_file():
        known = load_shrink(folder)
        ended = known.exhausted or known.seconds >= 60 * minutes
        if known.status == "complete" and known.goal == goal and ended:
            return known

    def report(progress: SearchProgress) -> None:
        if progress.point is None:
            return
        layers = "-".join(map(str, progress.point.network.units)) or "linear"
        smallest = "none yet" if progress.smallest is None else progress.smallest
        print(
            f"{title}, {progress.seconds / 60:.1f} min: {layers} earns "
            f"{progress.point.network.mean:.1f}; smallest that passed: {smallest}",
            flush=True,
        )

    options = Options(budget_s=60 * minutes)
    try:
        return shrink(
            teacher.run, folder, goal, options, on_progress=report, should_stop=stop.is_set
        )
    except NothingKept as error:  # is a result, too
        print(f"{title}: {error}", flush=True)
        return load_shrink(folder)


def gather(found: Sequence[tuple[Teacher, ShrinkResult]], output: Path) -> Smallest:
    """All searches in one record, with the calls of both networks of each, timed in turns.

    Raises:
        NativeBuildProblem, MissingExtra: there is no compiler.
    """
    policies = {}
    for teacher, result in found:
        policies[f"{teacher.key}-teacher"] = load_run(teacher.run).policy()
        if result.chosen:
            policies[teacher.key] = load_policy(teacher.folder(output) / POLICY, links=False)
    costs = measure_costs(policies)
    calls = {name: cost.latency_ns for name, cost in costs.items()}
    return Smallest(
        machine=describe_machine(),
        searches=ordered(
            [
                Shrunk(
                    seed=teacher.seed,
                    search=replace(result, source=teacher.key),
                    teacher_call_ns=calls[f"{teacher.key}-teacher"] or 0.0,
                    call_ns=calls.get(teacher.key),
                )
                for teacher, result in found
            ]
        ),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Search and store; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dspctl.benchmarks.study.smallest",
        description="Search the smallest network for every unpruned policy of a study.",
    )
    parser.add_argument("study", type=Path, help="a study's folder, with its runs")
    parser.add_argument(
        *("-o", "--output"), type=Path, default=Path("runs/smallest"), help="folder of the searches"
    )
    parser.add_argument(
        "--env", action="append", default=[], metavar="ID", help="environment; repeatable"
    )
    parser.add_argument(
        "--seed", action="append", type=int, metavar="N", help="seed; repeatable (0, 1, 2)"
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="of a search (default 30)")
    parser.add_argument("--keep", type=float, default=0.97, help="share to keep (default 0.97)")
    parser.add_argument("--out", type=Path, default=DEFAULT, help="the file to write")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, frame: stop.set())
    try:
        found = []
        for teacher in teachers(options.study, options.env, options.seed or [0, 1, 2]):
            result = search(teacher, options.output, options.minutes, options.keep, stop)
            if stop.is_set() or result.status != "complete":
                print("stopped: the same command goes on", file=sys.stderr)
                return _INTERRUPTED
            found.append((teacher, result))
        save_smallest(gather(found, options.output), options.out)
    except DspctlError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(f"written: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
