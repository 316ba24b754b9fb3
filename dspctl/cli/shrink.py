"""``dspctl shrink``: the smallest network that keeps a share of a policy's return."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dspctl.cli import show
from dspctl.cli.interrupt import EXIT_INTERRUPTED, stop_on_signal
from dspctl.cli.shrink_report import draw
from dspctl.cli.subjects import Kind, kind_of
from dspctl.errors import ConfigProblem, MissingExtra, NativeBuildProblem, UnknownTarget

if TYPE_CHECKING:
    from dspctl.benchmarks.shrink import SearchProgress


def shrink(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="The policy to imitate: a run or a policy file."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder of the search; the same one goes on.",
            show_default="RUN-shrink",
        ),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(metavar="X", help="Share of the return to keep.", show_default="0.97"),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option("--env", metavar="ENV", help="Environment, if not the policy's own."),
    ] = None,
    budget_minutes: Annotated[
        float, typer.Option(min=0.0, metavar="X", help="Stop training candidates after so long.")
    ] = 30.0,
    max_latency_ns: Annotated[
        float | None,
        typer.Option(metavar="NS", help="In place of --keep: longest median call of the C code."),
    ] = None,
    max_flash: Annotated[
        int | None,
        typer.Option(metavar="BYTES", help="In place of --keep: most flash of the C code."),
    ] = None,
    target: Annotated[
        str, typer.Option(metavar="NAME", help="Target that --max-flash is counted for.")
    ] = "cpu",
    jobs: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Candidates side by side; 0: one per processor."),
    ] = 0,
    tries: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Attempts at a size, or at one input less, before it has failed.",
        ),
    ] = 4,
    first: Annotated[
        int, typer.Option(min=0, metavar="N", help="Hidden units to begin with; 0: 18.")
    ] = 0,
    steps: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Environment steps of a candidate; 0: the recipe's."),
    ] = 0,
    plot: Annotated[
        bool, typer.Option("--plot/--no-plot", help="Draw return against weights.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the smallest network that still earns what a policy earns.

    Trains small networks with the policy as their teacher, from large to small, then linear ones
    without it, and tests each on 100 episodes: the share that it keeps must be at least **--keep**
    at the lower end of a 95% interval. The first trial that passes ends a network's training. With
    the fewest units found, inputs are left out while that passes. The result is confirmed on other
    episodes. Everything that was trained is kept; the same command goes on where it was stopped,
    or, with a longer **--budget-minutes**, where its time was over.
    """
    from dspctl.benchmarks.shrink import Goal, Options, with_costs
    from dspctl.benchmarks.shrink import shrink as search
    from dspctl.runtime.bundle import POLICY

    if keep is not None and (max_latency_ns is not None or max_flash is not None):
        raise ConfigProblem(
            "--keep looks for the smallest network within a share of the return, a "
            "limit for the best one within a cost: give one of them"
        )
    share = 0.97 if keep is None else keep
    if not 0 < share <= 1:
        raise ConfigProblem(f"--keep is a share of the return, above 0 and at most 1, not {share}")
    if kind_of(source) is Kind.BUNDLE:
        raise ConfigProblem(
            f"{source} is a bundle: shrink imitates a run or a policy file, such as "
            f"{source}/{POLICY}"
        )
    goal = Goal(share, max_latency_ns, max_flash, target)
    options = Options(60 * budget_minutes, jobs, tries, first, steps)
    named = source if source.name not in ("", "..") else source.resolve()
    folder = output or named.with_name(f"{re.sub(r'[.]safetensors$', '', named.name)}-shrink")
    with stop_on_signal() as should_stop, show.task_bar(f"shrinking {source}") as advance:

        def report(progress: "SearchProgress") -> None:
            smallest = "none yet" if progress.smallest is None else f"{progress.smallest} units"
            running = ", ".join(progress.running) or "nothing in training"
            advance(
                round(progress.seconds), round(progress.budget_s), f"smallest {smallest}  {running}"
            )

        result = search(
            source,
            folder,
            goal,
            options,
            environment=environment,
            on_progress=report,
            should_stop=should_stop,
        )
    if result.status != "complete":
        show.note(
            f"stopped after {len(result.points)} networks: the same command goes on from there"
        )
        raise typer.Exit(EXIT_INTERRUPTED)
    try:
        result = with_costs(folder, target)
    except (NativeBuildProblem, UnknownTarget, MissingExtra) as error:
        show.note(f"latency and flash were not measured: {error}")
    if plot:
        from dspctl.benchmarks.plots.frontier import draw_frontier

        draw_frontier(result, folder / "frontier.png")
    if as_json:
        show.result_json(asdict(result))
        return
    draw(result, folder)
