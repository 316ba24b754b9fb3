"""Training speed of this trainer against Stable-Baselines3 and sbx, on this machine, in one run.

``python -m dspctl.benchmarks.training [--env ID …] [--repeats N] [--steps N] [--out FILE]``

Every run is a fresh process; programs take turns, and every other repeat goes backwards, so that
a machine that slows down hits all alike. Networks, minibatches and epochs are the same, early
stopping by KL is off for all, so the same gradient steps are made. Stable-Baselines3 runs with one
and with two torch threads, and the better one is compared with. sbx compiles in a warm-up that is
stated apart. dspctl's time is its whole ``train`` call, with everything that writes the run;
environment, acting and update therefore do not add up to 100% there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from dspctl.benchmarks.training_result import Measured, TrainingResult
from dspctl.benchmarks.training_runs import ENVIRONMENTS, STEPS, compare
from dspctl.errors import DspctlError


def table_of(result: TrainingResult, environment: str) -> Table:
    """One environment's speeds, the time split and the ratios behind them."""
    settings = result.settings[environment]
    table = Table(
        title=f"{environment}: {settings['environments']} environments × "
        f"{settings['rollout_steps']} steps, minibatch {settings['minibatch']}, "
        f"{settings['epochs']} epochs, {settings['steps']:,} steps",
        title_justify="left",
    )
    table.add_column("program")
    for name in (
        "steps/s",
        "lowest–highest",
        "environment",
        "acting",
        "update",
        "of raw stepping",
        "warm-up",
        "whole process",
        "return",
    ):
        table.add_column(name, justify="right")
    for contender in result.contenders:
        runs = result.runs(environment, contender.name)
        if runs:
            table.add_row(contender.name, *_cells(runs))
    return table


def ratios_of(result: TrainingResult, environment: str) -> Table:
    """How many times as fast as each peer, with the extremes over the repeats."""
    found = result.ratios(environment)
    own = list(dict.fromkeys(one.contender for one in found))
    table = Table("times as fast as", title=f"{environment}, ratios", title_justify="left")
    for contender in own:
        table.add_column(contender, justify="right")
    for peer in dict.fromkeys(one.peer for one in found):
        ratios = {one.contender: one for one in found if one.peer == peer}
        table.add_row(
            peer,
            *(
                f"{ratios[name].median:.2f} ({ratios[name].low:.2f}–{ratios[name].high:.2f})"
                if name in ratios
                else "–"
                for name in own
            ),
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and print it; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dspctl.benchmarks.training",
        description="Training speed against Stable-Baselines3 and sbx, alternating, on this "
        "machine. Leave the machine idle meanwhile.",
    )
    parser.add_argument(
        "--env", action="append", metavar="ID", help=f"default: {', '.join(ENVIRONMENTS)}"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"environment steps per run (default {STEPS})"
    )
    parser.add_argument("--out", type=Path, default=Path("training.json"), help="JSON file")
    options = parser.parse_args(arguments)
    console, progress = Console(), Console(stderr=True)
    environments = options.env or ENVIRONMENTS
    try:
        result = compare(
            environments,
            repeats=options.repeats,
            steps=options.steps,
            out=options.out,
            on_run=lambda sentence: progress.print(sentence, style="dim"),
        )
    except DspctlError as problem:
        progress.print(f"error: {problem}", style="bold red", markup=False)
        return 2
    for environment in environments:
        console.print(table_of(result, environment))
        console.print(ratios_of(result, environment))
    for lost in result.unavailable:
        console.print(f"not run: {lost.contender}, {lost.environment}: {lost.reason}", markup=False)
    for note in result.machine.notes():
        console.print(f"note: {note}", markup=False)
    console.print(f"written: {options.out}", markup=False)
    return 0


def _cells(runs: Sequence[Measured]) -> list[str]:
    speeds = [run.steps_per_s for run in runs]
    timings = [run.timing for run in runs]
    environment = median(one.environment_s / one.learn_s for one in timings)
    acting = median(one.acting_s / one.learn_s for one in timings)
    update = median(one.update_s / one.learn_s for one in timings)
    returns = [one.episode_return for one in timings if one.episode_return is not None]
    raw = median(run.steps_per_s / run.timing.raw_steps_per_s for run in runs)
    warm_up = median(one.warm_up_s for one in timings)
    return [
        f"{median(speeds):,.0f}",
        f"{min(speeds):,.0f}–{max(speeds):,.0f}",
        f"{environment:.0%}",
        f"{acting:.0%}",
        f"{update:.0%}",
        f"{raw:.0%}",
        f"{warm_up:.1f} s" if warm_up else "–",
        f"{median(run.process_s for run in runs):.1f} s",
        f"{median(returns):.0f}" if returns else "–",
    ]


if __name__ == "__main__":
    sys.exit(main())
