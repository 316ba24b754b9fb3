"""Returns that the recipes reach: methods × environments × seeds, each cell a whole training run.

``python -m dspctl.benchmarks.returns --env Hopper-v5 --method ppo --method dsp --seeds 3``

A cell trains with the recipe (one thread a process), compacts, and evaluates the compact policy on
100 deterministic episodes in gymnasium. Every finished cell is written at once; the same command
goes on where it was stopped, and only cells that are missing run. ``--table`` prints what a file
holds as Markdown, which is how ``docs/recipes.md`` is made.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dspctl.benchmarks.record.machine import describe_machine
from dspctl.errors import DspctlError, ResultProblem
from dspctl.runtime.files import write_json

SCHEMA = 1


@dataclass(frozen=True)
class Cell:
    """One finished run.

    Attributes:
        environment: gymnasium id.
        method: pruning method.
        seed: training seed.
        mean: mean return of the compact policy over the evaluation's episodes.
        std: standard deviation over those episodes.
        ci_low: lower end of the mean's 95% bootstrap interval.
        ci_high: upper end.
        units: hidden units of the compact policy, per layer.
        weight_sparsity: share of weights gone, counted on the compact policy (Eq 21).
        seconds: training time.
        steps: environment steps.
    """

    environment: str
    method: str
    seed: int
    mean: float
    std: float
    ci_low: float
    ci_high: float
    units: tuple[int, ...]
    weight_sparsity: float
    seconds: float
    steps: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes a cell the same cell."""
        return self.environment, self.method, self.seed


def run_cell(environment: str, method: str, seed: int, folder: Path, episodes: int) -> Cell:
    """Train, compact, prove and evaluate one cell; its run is left in *folder*.

    Raises:
        NotEquivalent: the compact policy is not the masked one.
    """
    from dspctl.compactor import compact
    from dspctl.trainer import evaluate, load_run, recipe, train

    config = recipe(environment, method=method, seed=seed, threads=1)
    path = folder / f"{environment}-{method}-{seed}"
    # A run that was cut off left its folder; a cell is short enough to start again.
    shutil.rmtree(path, ignore_errors=True)
    result = train(config, path)
    run = load_run(path)
    compaction = compact(run.policy(), observations=run.observations())
    evaluation = evaluate(compaction.policy.act, environment, episodes=episodes)
    return Cell(
        environment=environment,
        method=method,
        seed=seed,
        mean=evaluation.mean,
        std=evaluation.std,
        ci_low=evaluation.ci_low,
        ci_high=evaluation.ci_high,
        units=compaction.after.units,
        weight_sparsity=compaction.weight_sparsity,
        seconds=result.seconds,
        steps=result.steps,
    )


def read_cells(path: Path) -> list[Cell]:
    """Finished cells of a results file; none if there is no file.

    Raises:
        ResultProblem: the file is not a results file of this schema.
    """
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text())
        if content["schema"] != SCHEMA:
            raise ResultProblem(f"{path} has results schema {content['schema']}, not {SCHEMA}")
        return [Cell(**{**cell, "units": tuple(cell["units"])}) for cell in content["cells"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ResultProblem(
            f"{path} is not a results file ({error}): name another with --out"
        ) from error


def write_cells(path: Path, cells: Iterable[Cell], machine: dict[str, Any]) -> None:
    """Replace a results file atomically; cells are sorted, so that equal results look equal."""
    ordered = [asdict(cell) for cell in sorted(cells, key=lambda cell: cell.key)]
    write_json(path, {"schema": SCHEMA, "machine": machine, "cells": ordered})


def markdown_table(cells: Sequence[Cell]) -> str:
    """One row per environment and method: mean over seeds, each seed's mean, units, weights."""
    lines = [
        "| Environment | Method | Mean over seeds | Each seed | Units left | Weights gone | "
        "Training, one thread |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.environment, cell.method), []).append(cell)
    for (environment, method), group in sorted(groups.items()):
        returns = [cell.mean for cell in group]
        layouts = ", ".join(dict.fromkeys("-".join(map(str, cell.units)) for cell in group))
        lines.append(
            f"| {environment} | {method} | {mean(returns):.1f} ({len(group)}) | "
            f"{', '.join(f'{value:.0f}' for value in returns)} | {layouts} | "
            f"{mean(cell.weight_sparsity for cell in group):.1%} | "
            f"{mean(cell.seconds for cell in group):.0f} s |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the missing cells and print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dspctl.benchmarks.returns")
    parser.add_argument("--env", action="append", metavar="ID", help="environment; repeatable")
    parser.add_argument("--method", action="append", help="ppo and dsp by default; repeatable")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N-1")
    parser.add_argument("--episodes", type=int, default=100, help="evaluation episodes")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/returns.json"))
    parser.add_argument("--runs", type=Path, default=Path("runs/returns"), help="run folders")
    parser.add_argument("--table", action="store_true", help="only print what --out holds")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        cells = {cell.key: cell for cell in read_cells(options.out)}
        if not options.table:
            wanted = [
                (environment, method, seed)
                for environment in options.env or ["CartPole-v1"]
                for seed in range(options.seeds)
                for method in options.method or ["ppo", "dsp"]
            ]
            missing = [key for key in wanted if key not in cells]
            _run_missing(missing, cells, options, console)
    except DspctlError as problem:
        console.print(f"error: {problem}", markup=False)
        return 2
    print(markdown_table(sorted(cells.values(), key=lambda cell: cell.key)))
    return 0


def _run_missing(
    missing: Sequence[tuple[str, str, int]],
    cells: dict[tuple[str, str, int], Cell],
    options: argparse.Namespace,
    console: Console,
) -> None:
    machine = describe_machine().to_json()
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool,
        Progress(*columns, console=console) as progress,
    ):
        bar = progress.add_task("cells", total=len(missing))
        futures = [pool.submit(run_cell, *key, options.runs, options.episodes) for key in missing]
        for future in as_completed(futures):
            cell = future.result()
            cells[cell.key] = cell
            write_cells(options.out, cells.values(), machine)
            progress.advance(bar)
            progress.console.print(
                f"{cell.environment} {cell.method} seed {cell.seed}: {cell.mean:.1f} "
                f"({cell.ci_low:.1f} to {cell.ci_high:.1f})",
                markup=False,
            )


if __name__ == "__main__":
    sys.exit(main())
