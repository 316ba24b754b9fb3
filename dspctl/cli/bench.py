"""``dspctl bench``: latency, memory and size, one policy against another."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dspctl.cli import bench_report, show
from dspctl.cli.subjects import Kind, kind_of, runnable, source_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dspctl.benchmarks import BenchResult
    from dspctl.benchmarks.calls.scheduling import Wanted


def bench(
    subject: Annotated[Path, typer.Argument(metavar="RUN|POLICY|BUNDLE", help="What to measure.")],
    against: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The baseline to compare it with."),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Backend to measure; may be repeated.", show_default="every one"
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(min=0.1, metavar="S", help="Calls back to back per backend, in seconds."),
    ] = 10.0,
    hz: Annotated[
        float, typer.Option(metavar="HZ", help="Rate of the control loop, 50 to 10000.")
    ] = 100.0,
    paced_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="S",
            help="Control loop per backend, in seconds.",
            show_default="as --seconds",
        ),
    ] = None,
    cpu: Annotated[
        int | None, typer.Option(metavar="N", help="Time calls on this processor alone.")
    ] = None,
    fifo: Annotated[
        int | None,
        typer.Option(metavar="PRIORITY", help="Time calls under SCHED_FIFO, 1 to 99."),
    ] = None,
    mlock: Annotated[
        bool, typer.Option("--mlock", help="Lock memory while calls are timed.")
    ] = False,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Leave out memory and start-up time.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="JSON file for the result; raw samples go beside it.",
        ),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw pictures into this folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure latency, memory and size at batch 1, interleaved with a baseline if one is given.

    Calls are timed back to back, and in a control loop. Policies take turns, so a disturbance hits
    both. A run is compacted first. A bundle offers more backends than a policy file. What the
    machine refuses of --cpu, --fifo and --mlock is reported.
    """
    from dspctl.benchmarks.calls.paced import check_pace
    from dspctl.benchmarks.calls.scheduling import Wanted
    from dspctl.runtime.files import check_output

    wanted = Wanted(cpu=cpu, fifo=fifo, mlock=mlock)
    check_pace(hz, seconds if paced_seconds is None else paced_seconds)
    if output is not None:
        check_output(output, force=force)
    named = labels([subject] if against is None else [against, subject])
    with ExitStack() as stack:
        paths = {label: stack.enter_context(runnable(path)) for label, path in named.items()}
        out = output or Path(stack.enter_context(TemporaryDirectory()), "bench.json")
        result = run(
            paths,
            out,
            backends=backend or None,
            seconds=seconds,
            hz=hz,
            paced_seconds=paced_seconds,
            wanted=wanted,
            memory=not no_memory,
            observations=_observations(named),
        )
        pictures = bench_report.draw_pictures(result, paths, plots) if plots is not None else []
        if as_json:
            typer.echo(out.read_text(), nl=False)
            return
    bench_report.draw(result)
    for picture in pictures:
        show.stdout().print(f"picture: {picture}")


def labels(paths: list[Path]) -> dict[str, Path]:
    """A short name for each path: its last part where that is enough to tell them apart."""
    short = [path.stem if path.suffix == ".safetensors" else path.name for path in paths]
    distinct = len(set(short)) == len(paths) and all(short)
    names = short if distinct else [str(path) for path in paths]
    if len(set(names)) < len(paths):
        names = [f"{name} ({index})" for index, name in enumerate(names, 1)]
    return dict(zip(names, paths, strict=True))


def run(
    paths: dict[str, Path],
    output: Path,
    *,
    backends: list[str] | None = None,
    seconds: float,
    hz: float = 100.0,
    paced_seconds: float | None = None,
    wanted: "Wanted | None" = None,
    memory: bool = True,
    observations: "NDArray[Any] | None" = None,
) -> "BenchResult":
    """Measure with a progress bar and write *output*; the first path is the baseline.

    The arguments are those of :func:`dspctl.benchmarks.measure`.
    """
    from dspctl.benchmarks import measure

    with show.task_bar("benchmark") as advance:
        return measure(
            paths,
            backends=backends,
            seconds=seconds,
            hz=hz,
            paced_seconds=paced_seconds,
            wanted=wanted,
            observations=observations,
            memory=memory,
            out=output,
            on_progress=lambda p: advance(p.done, p.total, f"{p.backend} {p.stage}"),
        )


def _observations(named: dict[str, Path]) -> "NDArray[Any] | None":
    """What a run recorded in its environment, if one of the subjects is a run."""
    for path in named.values():
        if kind_of(path) is Kind.RUN:
            return source_of(path)[1]
    return None
