"""``dspctl study``: many training runs from one small file, and what they reached."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from dspctl.cli import show, study_report
from dspctl.cli.interrupt import EXIT_INTERRUPTED, stop_on_signal
from dspctl.errors import ConfigProblem

if TYPE_CHECKING:
    from dspctl.benchmarks.study.driver import MakeEngine
    from dspctl.benchmarks.study.progress import Best, Overview, Watcher
    from dspctl.benchmarks.study.record import CellResult

EXIT_FAILED_CELLS = 1


class EngineName(str, Enum):
    """Where cells run."""

    local = "local"
    ray = "ray"


class SearchName(str, Enum):
    """Who chooses lambda and sparsity."""

    optuna = "optuna"


def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Study file, in TOML.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Study folder.",
            show_default="studies/NAME",
        ),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(metavar="local|ray", help="Where training runs are made.")
    ] = EngineName.local,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Training runs side by side.", show_default="one on each core"
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The Ray cluster, or auto for the one this machine belongs to.",
            show_default="one of this machine alone",
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Times a run is repeated whose process was lost."),
    ] = 1,
    search: Annotated[
        SearchName | None,
        typer.Option(metavar="optuna", help="Search lambda and sparsity instead of crossing them."),
    ] = None,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Take over what is finished in another study: its folder or results.json. "
            "May be repeated.",
            show_default="none",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run a study: methods, environments, sparsities, lambdas and seeds from one file.

    Every run is trained, compacted and evaluated on its own. Ctrl-C writes checkpoints; the same
    command goes on, after a kill too, and runs only what is missing.
    """
    from dspctl.benchmarks.study.driver import run_study
    from dspctl.benchmarks.study.search import search_study
    from dspctl.benchmarks.study.spec import load_spec

    if address is not None and engine is not EngineName.ray:
        raise ConfigProblem("--address names a Ray cluster: add --engine ray, or leave it out")
    spec = load_spec(file)
    folder = output or Path("studies", spec.name.replace(" ", "-"))
    make_engine = _engine(engine, jobs, address, retries)
    with (
        stop_on_signal() as should_stop,
        redirect_stdout(sys.stderr),  # where Ray prints what it has to say
        _watching(spec.name) as watcher,
    ):
        best: tuple[Best, ...] = ()
        if search is None:
            outcome = run_study(
                spec,
                folder,
                make_engine,
                reuse=reuse or (),
                watcher=watcher,
                should_stop=should_stop,
            )
        else:
            outcome, best = search_study(
                spec,
                folder,
                make_engine,
                reuse=reuse or (),
                watcher=watcher,
                should_stop=should_stop,
            )
    if as_json:
        show.result_json({**study_report.as_json(outcome), "best": [vars(one) for one in best]})
    else:
        study_report.print_study(outcome, best)
    if outcome.stopped:
        show.note("stopped with checkpoints: the same command goes on")
        raise typer.Exit(EXIT_INTERRUPTED)
    if outcome.failures:
        raise typer.Exit(EXIT_FAILED_CELLS)


def _engine(name: EngineName, jobs: int | None, address: str | None, retries: int) -> "MakeEngine":
    if name is EngineName.ray:
        from dspctl.benchmarks.study.engines.cluster import RayEngine

        return lambda folder: RayEngine(folder, address=address, jobs=jobs, retries=retries)
    from dspctl.benchmarks.study.engines.local import LocalEngine

    return lambda folder: LocalEngine(folder, jobs=jobs, retries=retries)


# --- while it runs ------------------------------------------------------------------------


@contextmanager
def _watching(title: str) -> Iterator["Watcher"]:
    """Draw the study: a bar for the whole, one for each run at work, a line for what has ended."""
    from dspctl.benchmarks.study.progress import Watcher

    console = show.stderr()
    lines = Watcher(
        on_result=lambda result: console.print(_line(result)),
        on_failure=lambda failure: console.print(study_report.failed(failure)),
        on_note=lambda sentence: console.print(Text(sentence, style="dim")),
    )
    if not console.is_terminal:
        yield lines
        return
    bars = Progress(
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TextColumn("{task.fields[details]}", markup=False),
        console=console,
        refresh_per_second=4,
    )
    console.print(Text(title, style="bold"))
    with bars:
        whole = bars.add_task("", total=None, details="")
        cells: dict[str, TaskID] = {}

        def draw(overview: "Overview") -> None:
            bars.update(
                whole,
                completed=overview.done,
                total=overview.total,
                details=f"runs  {_left(overview, bars.tasks[0].elapsed or 0.0)}",
            )
            at_work = {one.title: one for one in overview.running}
            for gone in cells.keys() - at_work.keys():
                bars.remove_task(cells.pop(gone))
            for name, one in at_work.items():
                if name not in cells:
                    cells[name] = bars.add_task("", total=one.total, details="")
                bars.update(
                    cells[name],
                    completed=min(one.steps, one.total),
                    total=one.total,
                    details=f"steps  {name}  {one.phase}",
                )

        yield Watcher(draw, lines.on_result, lines.on_failure, lines.on_note)


def _left(overview: "Overview", elapsed_s: float) -> str:
    """How long it will take, by the steps that were made since the start."""
    failed = f"{overview.failed} failed  " if overview.failed else ""
    if not overview.steps_done:
        return failed
    remaining_s = elapsed_s * overview.steps_left / overview.steps_done
    return f"{failed}about {show.duration(remaining_s)} left"


def _line(result: "CellResult") -> Text:
    return Text(
        f"{study_report.name(result)} seed {result.seed}: {show.number(result.mean_return)}"
    )
