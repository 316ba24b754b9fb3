"""What a benchmark found, as tables, notes and pictures."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dspctl.cli import show

if TYPE_CHECKING:
    from dspctl.benchmarks import BenchResult
    from dspctl.benchmarks.comparison.runs import RunComparison
    from dspctl.benchmarks.plots import Side
    from dspctl.benchmarks.record.result import Ratio

_COUNTS = {
    "units": "hidden units",
    "weights": "weights",
    "flops": "FLOPs",
    "parameter_bytes": "parameters",
    "policy_bytes": "policy file",
    "onnx_bytes": "ONNX file",
    "flash_bytes": "flash",
    "stack_bytes": "stack",
    "memory_pss": "memory (PSS)",
    "memory_peak": "peak memory",
    "memory_added": "memory added",
    "energy": "energy per action",
}
_SHARES = {"p90": 0.9, "p99": 0.99, "p99_9": 0.999}
_BRACKETS = (
    "in brackets: simultaneous 95% intervals, all of which hold with that confidence; "
    "call: alone; paced: from the intended start"
)
_PERCENTILES = ("p50", "p99", "p99_9")
_TIMES = {
    "back to back": "latency",
    "paced, call": "paced_inference",
    "paced": "paced_latency",
}
Row = Sequence[str]


def where(result: "BenchResult") -> str:
    """The machine in a few words."""
    return f"{result.machine.cpu}, {result.machine.cores} cores"


def draw(result: "BenchResult") -> None:
    """Print everything a benchmark found, the verdict last."""
    from dspctl.benchmarks.comparison.sweep import is_sweep

    if is_sweep(result):
        _draw_sweep(result)
        _draw_notes(result)
        _draw_verdict(result)
        return
    _draw_latency(result)
    _draw_paced(result)
    _draw_size(result)
    if result.code:
        _draw_code(result)
    if result.memory:
        _draw_memory(result)
    if result.energy:
        _draw_energy(result)
    if result.returns:
        _draw_returns(result)
    for subject in result.subjects[1:]:
        _draw_time_ratios(result, subject.label)
        _draw_other_ratios(result, subject.label)
    _draw_notes(result)
    for advice in result.advice:
        show.note(f"use for {advice.label}: {advice.sentence}")
    _draw_verdict(result)


def _draw_sweep(result: "BenchResult") -> None:
    show.table(
        f"Median latency of one action by width, back to back, {where(result)}",
        ("backend", *(one.label.removeprefix("width ") for one in result.subjects)),
        [
            (
                backend,
                *(
                    "–" if found is None else show.latency(found.p50_ns.estimate)
                    for found in (result.latency_of(one.label, backend) for one in result.subjects)
                ),
            )
            for backend in result.backends
        ],
    )
    show.note("two hidden layers of that width, random weights")


def _draw_latency(result: "BenchResult") -> None:
    from dspctl.benchmarks.calls.advice import calls_needed

    show.table(
        f"Latency of one action, back to back, batch 1, {where(result)}",
        ("backend, policy", "p50", "p90", "p99", "p99.9", "max"),
        _grouped(
            (
                one.backend,
                (
                    one.label,
                    show.latency(one.p50_ns.estimate),
                    *(
                        _marked(
                            getattr(one, f"{name}_ns"),
                            bound=name in one.clock_bound,
                            few=share is not None and one.single_calls < calls_needed(share),
                        )
                        for name, share in (*_SHARES.items(), ("max", None))
                    ),
                ),
            )
            for one in result.latency
        ),
    )
    if any(one.clock_bound for one in result.latency):
        show.note("≤: the clock is more than a tenth of it, so it is an upper bound")


def _draw_paced(result: "BenchResult") -> None:
    from dspctl.benchmarks.calls.advice import calls_needed

    if not result.paced:
        return
    show.table(
        f"Paced: a control loop at {result.settings.request.hz:g} Hz",
        ("backend, policy", "p50", "p99", "p99.9", "max", "call", "missed"),
        _grouped(
            (
                one.backend,
                (
                    one.label,
                    show.latency(one.latency_ns.p50),
                    *(
                        _marked(
                            getattr(one.latency_ns, name),
                            bound=False,
                            few=one.steps < calls_needed(_SHARES[name]),
                        )
                        for name in ("p99", "p99_9")
                    ),
                    show.latency(one.latency_ns.max),
                    _marked(
                        one.inference_ns.p50,
                        bound="inference_ns.p50" in one.clock_bound,
                        few=False,
                    ),
                    f"{show.count(one.deadline_misses)}/{show.count(one.steps)}",
                ),
            )
            for one in result.paced
        ),
    )
    show.note("p50 to max: from the intended start; call: the median of the call alone")
    show.note("~: on fewer samples than MLPerf's rule asks for, so measure longer to rely on it")


def _marked(value_ns: float, *, bound: bool, few: bool) -> str:
    return f"{'≤' if bound else ''}{'~' if few else ''}{show.latency(value_ns)}"


def _grouped(rows: "Iterable[tuple[str, Row]]") -> list[Row]:
    """Rows under a heading each time that changes; names are indented below it."""
    found: list[Row] = []
    heading = None
    for group, row in rows:
        if group != heading:
            found.append((group, *("" for _ in row[1:])))
            heading = group
        found.append((f" {row[0]}", *row[1:]))
    return found


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


def _draw_code(result: "BenchResult") -> None:
    show.table(
        "Compiled C",
        ("target, policy", "flash", "RAM", "stack", "library", "program"),
        _grouped(
            sorted(
                (
                    one.target,
                    (
                        one.label,
                        *(
                            "–" if value is None else show.size(value)
                            for value in (
                                one.flash_bytes,
                                one.ram_bytes,
                                one.stack_bytes,
                                one.library_bytes,
                                one.command_bytes,
                            )
                        ),
                    ),
                )
                for one in result.code
            )
        ),
    )


def _size(size_bytes: float) -> str:
    """Bytes; a dash where the system did not tell."""
    return show.size(size_bytes) if size_bytes else "–"


def _draw_memory(result: "BenchResult") -> None:
    from dspctl.benchmarks.memory.bare import bare_python

    bare = bare_python(result.memory)
    rows: list[Row] = []
    if bare is not None:
        figures = (_size(bare.peak_rss_bytes), _size(bare.pss_bytes))
        rows.append(("bare NumPy", *figures, "", "", "", ""))
    show.table(
        "Memory and start-up of a fresh process",
        ("backend, policy", "peak", "PSS", "added", "import", "load", "first"),
        rows
        + _grouped(
            (
                one.backend,
                (
                    one.label,
                    _size(one.median("peak_rss_bytes")),
                    _size(one.median("pss_bytes")),
                    _size(one.median("added_pss_bytes") if one.median("pss_bytes") else 0.0),
                    _or_dash(one.median("import_ns")),
                    _or_dash(one.median("load_ns")),
                    show.latency(one.median("first_action_ns")),
                ),
            )
            for one in result.memory
        ),
    )
    show.note(
        "bare NumPy: Python that has imported it; added: PSS on top of that; first: one action"
    )


def _or_dash(value_ns: float) -> str:
    """A static program imports and loads nothing."""
    return show.latency(value_ns) if value_ns else "–"


def _draw_energy(result: "BenchResult") -> None:
    show.table(
        f"Energy at {result.settings.request.hz:g} Hz, idle subtracted",
        ("backend, policy", "per action", "95% interval", "busy", "idle"),
        _grouped(
            (
                one.backend,
                (
                    one.label,
                    show.energy(one.joules.estimate),
                    f"[{show.energy(one.joules.low)}, {show.energy(one.joules.high)}]",
                    f"{one.busy_w:.2f} W",
                    f"{one.idle_w:.2f} W",
                ),
            )
            for one in result.energy
        ),
    )
    for meaning in dict.fromkeys(one.meaning for one in result.energy):
        show.note(f"power: {meaning}")


def _draw_returns(result: "BenchResult") -> None:
    first = result.returns[0]
    show.table(
        f"Return in {first.environment}, {len(first.returns)} episodes",
        ("policy", "mean", "95% interval", "difference", "95% interval", "kept"),
        [
            (
                one.label,
                show.number(one.mean.estimate),
                show.interval(one.mean.low, one.mean.high),
                *_difference(result, one.label),
            )
            for one in result.returns
        ],
    )


def _difference(result: "BenchResult", label: str) -> tuple[str, str, str]:
    found = next((one for one in result.differences if one.subject == label), None)
    if found is None:
        return "", "", ""
    value = found.difference
    kept = "–" if found.share is None else show.share(found.share.estimate)
    return f"{value.estimate:+.1f}", show.interval(value.low, value.high), kept


def _draw_time_ratios(result: "BenchResult", label: str) -> None:
    """A row per way to measure and backend; a percentile that was not claimed stays empty."""
    rows = []
    for way, start in _TIMES.items():
        for backend in result.backends:
            found = [result.ratio_of(f"{start}_{name}", label, backend) for name in _PERCENTILES]
            if any(found):
                row = (backend, *("" if one is None else _ratio(one) for one in found))
                rows.append((way, row))
    if rows:
        show.table(
            f"Time, {result.subjects[0].label} / {label}: above 1, {label} is faster",
            ("", "p50", "p99", "p99.9"),
            _grouped(rows),
        )
        show.note(_BRACKETS)
        show.note("empty: bounded by the clock, or fewer than ten samples beyond the percentile")


def _draw_other_ratios(result: "BenchResult", label: str) -> None:
    rows = [
        (", ".join(filter(None, (_COUNTS[quantity], one.backend))), _ratio(one))
        for quantity in _COUNTS
        for one in result.ratios
        if (one.subject, one.quantity) == (label, quantity)
    ]
    if rows:
        show.table(
            f"Size, {result.subjects[0].label} / {label}: above 1, {label} is smaller",
            ("", "ratio"),
            rows,
        )


def _ratio(ratio: "Ratio") -> str:
    value = ratio.value
    if value.confidence == 1.0:  # counted, not measured
        return f"{_figure(value.estimate)} exactly"
    return f"{_figure(value.estimate)} ({_figure(value.low)}–{_figure(value.high)})"


def _figure(value: float) -> str:
    return show.times(value).removesuffix("×")


def _draw_notes(result: "BenchResult") -> None:
    for sentence in _notes(result):
        show.note(f"note: {sentence}")


def _notes(result: "BenchResult") -> Iterator[str]:
    """Each sentence once, with everything that it holds for; too few samples are in the tables."""
    from dspctl.benchmarks.calls.advice import TOO_FEW

    yield from result.notes
    yield from result.device.notes
    noted = [(f"{one.label} on {one.backend}", one.reason) for one in result.skipped]
    for one in result.latency:
        noted += [(f"{one.label} on {one.backend}", note) for note in one.notes]
    for loop in result.paced:
        noted += [(f"{loop.label} on {loop.backend}, paced", note) for note in loop.notes]
    for memory in result.memory:
        noted += [(f"{memory.label} on {memory.backend}", note) for note in memory.notes]
    for energy in result.energy:
        noted += [(f"{energy.label} on {energy.backend}", note) for note in energy.notes]
    for sentence in dict.fromkeys(note for _, note in noted if TOO_FEW not in note):
        yield f"{', '.join(what for what, note in noted if note == sentence)}: {sentence}"


def _draw_verdict(result: "BenchResult") -> None:
    if result.verdict:
        show.stdout().print(result.verdict, markup=False, style="bold", soft_wrap=False)


def draw_comparison(found: "RunComparison", first: Path, second: Path) -> None:
    """Print two runs side by side, the verdict last."""
    show.table(
        f"{first.name} / {second.name}: above 1, the second is faster",
        ("backend, policy", "first", "second", "ratio"),
        _grouped(
            (
                f"{one.backend}, {' / '.join(dict.fromkeys((one.first, one.second)))}",
                (
                    _worded(one.quantity),
                    show.latency(one.first_ns),
                    show.latency(one.second_ns),
                    f"{_figure(one.ratio.estimate)} "
                    f"({_figure(one.ratio.low)}–{_figure(one.ratio.high)})",
                ),
            )
            for one in found.figures
        ),
    )
    show.note(_BRACKETS)
    for note in found.notes:
        show.note(f"note: {note}")
    show.stdout().print(found.verdict, markup=False, style="bold", soft_wrap=False)


def _worded(quantity: str) -> str:
    """``paced_inference_p99_9`` as ``paced, call p99.9``."""
    for words, start in _TIMES.items():
        if quantity.startswith(f"{start}_p"):
            return f"{words} {quantity.removeprefix(f'{start}_').replace('_', '.')}"
    return quantity


def draw_pictures(result: "BenchResult", paths: dict[str, Path], folder: Path) -> list[Path]:
    """Draw the latency distributions, and for two policies their networks side by side."""
    from dspctl.benchmarks.plots import plot_card, plot_latency

    pictures = [plot_latency(result.samples, folder / "latency.png", medians=result.medians)]
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
