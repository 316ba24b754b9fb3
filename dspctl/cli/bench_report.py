"""What a benchmark found, as tables, notes and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from dspctl.cli import show

if TYPE_CHECKING:
    from dspctl.benchmarks import BenchResult
    from dspctl.benchmarks.plots import Side
    from dspctl.benchmarks.record.result import Ratio

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


def where(result: "BenchResult") -> str:
    """The machine in a few words."""
    return f"{result.machine.cpu}, {result.machine.cores} cores"


def draw(result: "BenchResult") -> None:
    """Print everything a benchmark found."""
    for backend in result.backends:
        _draw_latency(result, backend)
        _draw_paced(result, backend)
    _draw_size(result)
    if result.memory:
        _draw_memory(result)
    if result.ratios:
        _draw_ratios(result)
    _draw_notes(result)


def _draw_latency(result: "BenchResult", backend: str) -> None:
    show.table(
        f"Latency of one action with {backend}, batch 1, {where(result)}",
        ("policy", "p50", "its 95%", "p90", "p99", "p99.9", "max"),
        [
            (
                one.label,
                show.latency(one.p50_ns.estimate),
                show.latency_range(one.p50_ns.low, one.p50_ns.high),
                *map(show.latency, (one.p90_ns, one.p99_ns, one.p99_9_ns, one.max_ns)),
            )
            for one in result.latency
            if one.backend == backend
        ],
    )


def _draw_paced(result: "BenchResult", backend: str) -> None:
    rows = [
        (
            one.label,
            *map(show.latency, (one.latency_ns.p50, one.latency_ns.p99, one.latency_ns.max)),
            *map(show.latency, (one.wakeup_ns.p50, one.inference_ns.p50)),
            f"{show.count(one.deadline_misses)}/{show.count(one.steps)}",
        )
        for one in result.paced
        if one.backend == backend
    ]
    if rows:
        show.table(
            f"Paced with {backend}: a control loop at {result.settings.hz:g} Hz",
            ("policy", "p50", "p99", "max", "wake-up", "call", "missed"),
            rows,
        )
        show.note("p50 to max: from the intended start; wake-up and call: medians of its two parts")


def _draw_size(result: "BenchResult") -> None:
    show.table(
        "Size",
        ("policy", "units", "weights", "FLOPs", "parameters", "file", "ONNX"),
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


def _draw_memory(result: "BenchResult") -> None:
    show.table(
        "Memory and start-up of a fresh process",
        ("policy", "backend", "peak", "PSS", "own", "load", "first action"),
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
    show.note("own: what loading the policy and acting added to Python and the libraries")


def _draw_ratios(result: "BenchResult") -> None:
    subject, baseline = result.ratios[0].subject, result.ratios[0].baseline
    show.table(
        f"{baseline} / {subject}: above 1, {subject} is faster or smaller",
        ("quantity", "backend", "ratio", "95% interval"),
        [
            (
                _QUANTITIES.get(one.quantity, one.quantity),
                one.backend or "",
                show.times(one.value.estimate),
                _interval(one),
            )
            for one in result.ratios
        ],
        words=2,
    )


def _interval(ratio: "Ratio") -> str:
    if ratio.backend is None:
        return "exact"
    return f"[{show.times(ratio.value.low)}, {show.times(ratio.value.high)}]"


def _draw_notes(result: "BenchResult") -> None:
    sentences = [f"{one.label} on {one.backend}: {one.reason}" for one in result.skipped]
    sentences += result.notes
    noted = [(one.label, one.backend, one.notes) for one in result.latency]
    noted += [(one.label, f"{one.backend}, paced", one.notes) for one in result.paced]
    noted += [(one.label, one.backend, one.notes) for one in result.memory]
    sentences += [f"{label} on {backend}: {note}" for label, backend, ns in noted for note in ns]
    for sentence in sentences:
        show.note(f"note: {sentence}")


def draw_pictures(result: "BenchResult", paths: dict[str, Path], folder: Path) -> list[Path]:
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

    with load(path, "numpy") as runner:
        return Side(label, runner.policy, latency_ns=shared_median(result, label))


def shared_median(result: "BenchResult", label: str) -> float | None:
    """Median latency on the backend that is fastest for the last subject, so that all compare."""
    fastest = result.fastest(result.subjects[-1].label)
    found = None if fastest is None else result.latency_of(label, fastest.backend)
    return None if found is None else found.p50_ns.estimate
