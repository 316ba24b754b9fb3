"""``dspctl bench``: latency, memory and size, one policy against another."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dspctl.cli import show
from dspctl.cli.subjects import Kind, kind_of, runnable, source_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dspctl.benchmarks import BenchResult
    from dspctl.benchmarks.plots import Side

_QUANTITIES = {
    "latency_p50": "median latency",
    "latency_p90": "p90 latency",
    "latency_p99": "p99 latency",
    "units": "hidden units",
    "weights": "weights",
    "flops": "FLOPs",
    "parameter_bytes": "parameters",
    "policy_bytes": "policy file",
    "onnx_bytes": "ONNX file",
    "memory_pss": "memory (PSS)",
    "memory_peak": "peak memory",
}


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
        typer.Option(min=0.1, metavar="S", help="Latency measurement per backend, in seconds."),
    ] = 10.0,
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

    Policies take turns in short blocks, so a disturbance hits both. A run is compacted first. A
    bundle offers more backends than a policy file.
    """
    from dspctl.runtime.files import check_output

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
            memory=not no_memory,
            observations=_observations(named),
        )
        pictures = draw_plots(result, paths, plots) if plots is not None else []
        if as_json:
            typer.echo(out.read_text(), nl=False)
            return
    draw(result)
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
    memory: bool = True,
    observations: "NDArray[Any] | None" = None,
) -> "BenchResult":
    """Measure with a progress bar and write *output*; the first path is the baseline."""
    from dspctl.benchmarks import measure

    with show.task_bar("benchmark") as advance:
        return measure(
            paths,
            backends=backends,
            seconds=seconds,
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


def draw_plots(result: "BenchResult", paths: dict[str, Path], folder: Path) -> list[Path]:
    """Draw the latency distributions, and for two policies their networks side by side."""
    from dspctl.benchmarks.plots import plot_card, plot_latency

    pictures = [plot_latency(result.samples, folder / "latency.png")]
    if len(paths) == 2:
        before, after = (_side(result, label, path) for label, path in paths.items())
        title = before.policy.environment
        card = folder / "card.png"
        pictures.append(plot_card(before, after, card, title=title, note=where(result)))
    return pictures


def _side(result: "BenchResult", label: str, path: Path) -> "Side":
    from dspctl.benchmarks.plots import Side
    from dspctl.runtime import load

    fastest = result.fastest(label)
    with load(path, "numpy") as runner:
        return Side(
            label, runner.policy, latency_ns=None if fastest is None else fastest.p50_ns.estimate
        )


def where(result: "BenchResult") -> str:
    """The machine in a few words."""
    return f"{result.machine.cpu}, {result.machine.cores} cores"


def draw(result: "BenchResult") -> None:
    """Print everything a benchmark found."""
    show.table(
        f"Latency of one action, batch 1, on {where(result)}",
        ("policy", "backend", "p50", "its 95%", "p90", "p99", "p99.9", "max"),
        [
            (
                one.label,
                one.backend,
                show.latency(one.p50_ns.estimate),
                show.latency_range(one.p50_ns.low, one.p50_ns.high),
                *map(show.latency, (one.p90_ns, one.p99_ns, one.p99_9_ns, one.max_ns)),
            )
            for one in result.latency
        ],
        words=2,
    )
    show.table(
        "Size",
        ("policy", "hidden units", "weights", "FLOPs", "parameters", "file", "ONNX"),
        [
            (
                one.label,
                show.units(one.units),
                show.count(one.weights),
                show.count(one.flops),
                show.size(one.parameter_bytes),
                show.size(one.policy_bytes),
                "–" if one.onnx_bytes is None else show.size(one.onnx_bytes),
            )
            for one in result.subjects
        ],
    )
    if result.memory:
        show.table(
            "Memory and start-up of a fresh process",
            ("policy", "backend", "peak", "PSS", "loading and acting", "load", "first action"),
            [
                (
                    one.label,
                    one.backend,
                    show.size(one.median("peak_rss_bytes")),
                    show.size(one.median("pss_bytes")),
                    show.size(one.median("run_rss_bytes")),
                    show.latency(one.median("load_ns")),
                    show.latency(one.median("first_action_ns")),
                )
                for one in result.memory
            ],
            words=2,
        )
    if result.ratios:
        subject, baseline = result.ratios[0].subject, result.ratios[0].baseline
        show.table(
            f"{baseline} / {subject}: above 1, {subject} is faster or smaller",
            ("quantity", "backend", "ratio", "95% interval"),
            [
                (
                    _QUANTITIES.get(one.quantity, one.quantity),
                    one.backend or "",
                    show.times(one.value.estimate),
                    f"[{show.times(one.value.low)}, {show.times(one.value.high)}]"
                    if one.value.low < one.value.high
                    else "exact",
                )
                for one in result.ratios
            ],
            words=2,
        )
    _draw_notes(result)


def _draw_notes(result: "BenchResult") -> None:
    sentences = [f"{one.label} on {one.backend}: {one.reason}" for one in result.skipped]
    sentences += result.notes
    noted = [(one.label, one.backend, one.notes) for one in result.latency]
    noted += [(one.label, one.backend, one.notes) for one in result.memory]
    sentences += [f"{label} on {backend}: {note}" for label, backend, ns in noted for note in ns]
    for sentence in sentences:
        show.note(f"note: {sentence}")
