"""``dspctl bench``: latency, memory, energy, size and return, one policy against another."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dspctl.cli import bench_report, show
from dspctl.cli.subjects import Kind, kind_of, runnable, runnable_here, source_of
from dspctl.errors import ConfigProblem, OutputExists

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dspctl.benchmarks import BenchResult
    from dspctl.benchmarks.keeper import Progress
    from dspctl.benchmarks.request import Request


def bench(
    subject: Annotated[
        Path | None, typer.Argument(metavar="RUN|POLICY|BUNDLE", help="What to measure.")
    ] = None,
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
            min=0.0,
            metavar="S",
            help="Control loop per backend, in seconds; 0: none.",
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
    load: Annotated[
        int, typer.Option(min=0, metavar="N", help="Keep N processes busy while calls are timed.")
    ] = 0,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Leave out memory and start-up time.")
    ] = False,
    energy_seconds: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="S",
            help="Measure energy in windows of S seconds, 60 and more on a Jetson.",
            show_default="not at all",
        ),
    ] = 0.0,
    episodes: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Episodes of each policy in its environment; 0 for none."
        ),
    ] = 100,
    executions: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Processes in turn that time calls of a Python backend."
        ),
    ] = 10,
    seed: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Of observations drawn, of resampling, and of the episodes."
        ),
    ] = 0,
    host: Annotated[
        str | None,
        typer.Option(metavar="USER@BOARD", help="Measure bundles there, over ssh."),
    ] = None,
    host_python: Annotated[
        str, typer.Option(metavar="PROGRAM", help="What to call Python on that board.")
    ] = "python3",
    sweep_width: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHS",
            help="Networks of these widths instead, such as 8,32,128: where backends cross.",
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A.json B.json", help="Measure nothing: compare two results."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="JSON file for the result; raw samples go beside it. An interrupted one goes on.",
        ),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw pictures into this folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure a policy at batch 1, interleaved with a baseline if one is given.

    Calls are timed back to back, and in a control loop; policies take turns, so a disturbance hits
    both. Backends are c (the bundle's own static program), native, onnxruntime, tensorrt, numpy
    and torch; those that this machine lacks are listed with the reason. A run is compacted first.
    What the machine refuses of --cpu, --fifo and --mlock is reported.
    """
    from dspctl.benchmarks.record.file import read_json
    from dspctl.benchmarks.record.hlog import write_logs
    from dspctl.benchmarks.record.replacing import add_logs, replacing, start_again
    from dspctl.benchmarks.remote.connection import check_host
    from dspctl.benchmarks.request import BACKENDS, Request

    if host is not None:
        check_host(host)
        if sweep_width is not None:
            raise ConfigProblem("--sweep-width measures here: leave out --host")
    if compare is not None:
        if subject is not None or against is not None:
            raise ConfigProblem("--compare takes two results and measures nothing: give no policy")
        _compare(*compare, as_json=as_json)
        return
    if subject is None:
        raise ConfigProblem("there is nothing to measure: name a run, a policy file or a bundle")
    if plots is not None:
        from dspctl.benchmarks.plots.style import styled

        with styled():  # says at once where nothing can be drawn
            pass
    request = Request(
        backends=tuple(backend) if backend else BACKENDS,
        seconds=seconds,
        hz=hz,
        paced_seconds=_paced_seconds(paced_seconds, seconds, sweep=sweep_width is not None),
        cpu=cpu,
        fifo=fifo,
        mlock=mlock,
        load=load,
        memory=not no_memory and sweep_width is None,
        energy_seconds=energy_seconds,
        episodes=0 if sweep_width is not None else episodes,
        executions=executions,
        seed=seed,
    )
    named = labels([subject] if against is None else [against, subject])
    with ExitStack() as stack:
        if host is not None:
            paths = named  # what is not a bundle for that machine is refused
        elif sweep_width is None:
            paths = {label: stack.enter_context(runnable(path)) for label, path in named.items()}
        elif against is not None:
            raise ConfigProblem("--sweep-width takes one policy: leave out --against")
        else:
            paths = stack.enter_context(_sweep(subject, sweep_width))
        out = output or Path(stack.enter_context(TemporaryDirectory()), "bench.json")
        observations = None if host is not None else _observations(named)
        if force:
            out = stack.enter_context(replacing(out))
        measuring = partial(
            run, paths, out, request, host=host, host_python=host_python, observations=observations
        )
        try:
            result = measuring()
        except OutputExists:  # what a kill left of another benchmark that was to replace it
            if output is None or out == output:
                add_logs(out)
                raise
            start_again(output)
            result = measuring()
        pictures = bench_report.draw_pictures(result, paths, plots) if plots is not None else []
        if output is not None:
            for note in write_logs(result, out):
                show.note(note)
        if as_json:
            show.result_json(read_json(out))
            return
    bench_report.draw(result)
    for picture in pictures:
        show.stdout().print(f"picture: {picture}")
    if output is not None:
        sources = " ".join(str(path) for path in (output, *named.values()))
        show.next_command(f"dspctl report {sources} -o report.html", "all of it on one page")


_SUFFIXES = (".safetensors", ".bundle")


def labels(paths: list[Path]) -> dict[str, Path]:
    """A short name for each path: its last part where that is enough to tell them apart."""
    short = [path.stem if path.suffix in _SUFFIXES else path.name for path in paths]
    distinct = len(set(short)) == len(paths) and all(short)
    names = short if distinct else [str(path) for path in paths]
    if len(set(names)) < len(paths):
        names = [f"{name} ({index})" for index, name in enumerate(names, 1)]
    return dict(zip(names, paths, strict=True))


def run(
    paths: dict[str, Path],
    output: Path,
    request: "Request",
    *,
    host: str | None = None,
    host_python: str = "python3",
    observations: "NDArray[Any] | None" = None,
) -> "BenchResult":
    """Measure with a progress bar and write *output*; the first path is the baseline.

    Args:
        paths: label → policy file or bundle.
        output: JSON file; an interrupted one goes on.
        request: what to measure.
        host: where, None for this machine.
        host_python: what to call Python there.
        observations: float [n, obs_dim], raw, or None.
    """
    from dspctl.benchmarks import measure

    with show.task_bar("benchmark" if host is None else f"benchmark on {host}") as advance:

        def report(progress: "Progress") -> None:
            what = f"{progress.backend} {progress.stage}".strip()
            advance(progress.done, progress.total, what)

        if host is None:
            return measure(
                paths, request, observations=observations, out=output, on_progress=report
            )
        from dspctl.benchmarks.measurement import add_returns
        from dspctl.benchmarks.remote.measure import measure_remote

        found = measure_remote(
            host,
            paths,
            request,
            observations=observations,
            out=output,
            on_progress=report,
            python=host_python,
        )
        if request.episodes == 0:
            return found
        return add_returns(found, paths, request.episodes, out=output, on_progress=report)


def _paced_seconds(asked: float | None, seconds: float, *, sweep: bool) -> float:
    """As long as the other way, unless told; a sweep is about calls and needs no loop."""
    if asked is not None:
        return asked
    return 0.0 if sweep else seconds


def _compare(first: Path, second: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    from dspctl.benchmarks.comparison.runs import compare_runs

    found = compare_runs(first, second)
    if as_json:
        show.result_json(asdict(found))
    else:
        bench_report.draw_comparison(found, first, second)


@contextmanager
def _sweep(subject: Path, widths: str) -> "Iterator[dict[str, Path]]":
    """A bundle per width, in a temporary folder."""
    from dspctl.benchmarks.comparison.sweep import sweep_policies

    try:
        wanted = [int(part) for part in widths.split(",")]
    except ValueError as error:
        raise ConfigProblem(
            f"--sweep-width takes widths with commas between, such as 8,32,128, not {widths!r}"
        ) from error
    policies = sweep_policies(source_of(subject)[0], wanted)
    with (
        TemporaryDirectory(prefix="dspctl-") as folder,
        show.task_bar("compiling networks") as advance,
    ):
        paths = {}
        for index, (label, policy) in enumerate(policies.items()):
            advance(index, len(policies), label)
            paths[label] = runnable_here(policy, None, Path(folder, label.replace(" ", "-")))
        yield paths


def _observations(named: dict[str, Path]) -> "NDArray[Any] | None":
    """What a run recorded in its environment, if one of the subjects is a run."""
    for path in named.values():
        if kind_of(path) is Kind.RUN:
            return source_of(path)[1]
    return None
