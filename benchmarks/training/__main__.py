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

from dspctl.benchmarks.training.result import Measured, TrainingResult
from dspctl.benchmarks.training.runs import ENVIRONMENTS, STEPS, compare
from dspctl.errors import DspctlError


def speeds_of(result: TrainingResult, environment: str) -> Table:
    """One environment's speeds; narrow enough for a terminal of 80 columns."""
    settings = result.settings[environment]
    table = Table(
        title=f"{environment}: {settings['environments']} environments × "
        f"{settings['rollout_steps']} steps, minibatch {settings['minibatch']}, "
        f"{settings['epochs']} epochs, {settings['steps']:,} steps",
        caption="of raw: share of the speed of random actions in the same environments",
        title_justify="left",
        caption_justify="left",
    )
    names = ("steps/s", "lowest–highest", "of raw", "return")
    for contender, runs in _rows(table, result, environment, names):
        speeds = [run.steps_per_s for run in runs]
        raw = median(run.steps_per_s / run.timing.raw_steps_per_s for run in runs)
        returns = [
            run.timing.episode_return for run in runs if run.timing.episode_return is not None
        ]
        table.add_row(
            contender,
            f"{median(speeds):,.0f}",
            f"{min(speeds):,.0f}–{max(speeds):,.0f}",
            f"{raw:.0%}",
            f"{median(returns):.0f}" if returns else "–",
        )
    return table


def times_of(result: TrainingResult, environment: str) -> Table:
    """Where one environment's time went."""
    table = Table(
        title=f"{environment}, where the time goes",
        caption="what runs beside the environments in a second thread counts as theirs",
        title_justify="left",
        caption_justify="left",
    )
    names = ("env", "act", "update", "warm-up", "process")
    for contender, runs in _rows(table, result, environment, names):
        timings = [run.timing for run in runs]
        warm_up = median(one.warm_up_s for one in timings)
        table.add_row(
            contender,
            f"{median(one.environment_s / one.learn_s for one in timings):.0%}",
            f"{median(one.acting_s / one.learn_s for one in timings):.0%}",
            f"{median(one.update_s / one.learn_s for one in timings):.0%}",
            f"{warm_up:.1f} s" if warm_up else "–",
            f"{median(run.process_s for run in runs):.1f} s",
        )
    return table


def _rows(
    table: Table, result: TrainingResult, environment: str, names: Sequence[str]
) -> list[tuple[str, Sequence[Measured]]]:
    """Add the columns; give the contenders that ran."""
    table.add_column("program", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    found = [(one.name, result.runs(environment, one.name)) for one in result.contenders]
    return [(name, runs) for name, runs in found if runs]


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
        console.print(speeds_of(result, environment))
        console.print(times_of(result, environment))
        console.print(ratios_of(result, environment))
    for lost in result.unavailable:
        console.print(f"not run: {lost.contender}, {lost.environment}: {lost.reason}", markup=False)
    for note in result.machine.notes():
        console.print(f"note: {note}", markup=False)
    console.print(f"written: {options.out}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
