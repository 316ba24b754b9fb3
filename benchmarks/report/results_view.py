"""A benchmark's result as the page shows it: verdict, large numbers, tables and charts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report import bar_charts, latency_charts, words
from dspctl.benchmarks.report.distribution_charts import back_to_back, pace_caption, paced
from dspctl.benchmarks.report.keys import key_figures
from dspctl.benchmarks.report.sources import ResultSource
from dspctl.benchmarks.report.tables import backend_tables, network_groups
from dspctl.benchmarks.report.view import Chart, DataTable, ResultView

_ENERGY_LABELS = (
    "datum.value >= 1e6 ? format(datum.value / 1e6, ',~r') + ' mJ' : "
    "datum.value >= 1e3 ? format(datum.value / 1e3, ',~r') + ' µJ' : "
    "format(datum.value, ',~r') + ' nJ'"
)


def view_result(
    source: ResultSource, number: int, on_chart: Callable[[], None] = lambda: None
) -> ResultView:
    """Everything of one result.

    Args:
        source: the result, whose samples lie beside it.
        number: of the result on the page, from 0.
        on_chart: called after every chart, for a progress bar.
    """
    result, name = source.result, f"r{number}"
    labels = tuple(subject.label for subject in result.subjects)

    def done(chart: Chart) -> Chart:
        on_chart()
        return chart

    medians = done(_medians(name, result)) if result.latency else None
    single = tuple(map(done, back_to_back(name, result)))
    loops = tuple(map(done, paced(name, source)))
    resources = tuple(map(done, _resources(name, result, labels)))
    returns = done(_returns(name, result)) if result.returns else None
    return ResultView(
        number=number,
        place=place_of(result),
        labels=labels,
        verdict=result.verdict or _without_verdict(result),
        partial=result.status == "partial",
        keys=tuple(key_figures(result)),
        advice=tuple((one.label, one.sentence) for one in result.advice),
        groups=network_groups(result),
        backends=backend_tables(result),
        medians=medians,
        back_to_back=single,
        paced=loops,
        pace_caption=pace_caption(result),
        resources=resources,
        returns=returns,
    )


def place_of(result: BenchResult) -> str:
    """The machine and the day."""
    machine = result.machine
    return f"{machine.board or machine.cpu}, {machine.measured_at[:10]}"


def _without_verdict(result: BenchResult) -> str:
    subject = result.subjects[-1]
    if result.status == "partial":
        return (
            "This benchmark had not ended when the page was made; what follows had been measured."
        )
    best = result.fastest(subject.label)
    if best is None:
        return f"{subject.label} has {words.units_of(subject.units)} hidden units."
    return (
        f"{subject.label} takes {words.time_of(best.p50_ns.estimate)} for one action with "
        f"{best.backend}; there is no baseline to compare it with."
    )


def _medians(name: str, result: BenchResult) -> Chart:
    subject = result.subjects[-1]
    best = result.fastest(subject.label)
    seen = ""
    if best is not None:
        before = result.latency_of(result.subjects[0].label, best.backend)
        fastest = words.time_of(best.p50_ns.estimate)
        seen = f" {subject.label} is fastest with {best.backend}: {fastest}"
        seen += (
            f", against {words.time_of(before.p50_ns.estimate)} of {before.label}."
            if before is not None and before.label != subject.label
            else "."
        )
    return Chart(
        f"{name}-medians",
        "One action, backend by backend",
        latency_charts.medians(f"{name}-medians", result),
        f"Medians back to back, batch 1, on a logarithmic axis.{seen}",
        wide=True,
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _resources(name: str, result: BenchResult, labels: Sequence[str]) -> list[Chart]:
    charts = []
    sizes = bar_charts.size_bars(result)
    wanted: list[tuple[str, str, list[bar_charts.Bar], str, dict[str, Any]]] = [
        (
            "pss",
            "Memory of a fresh process (PSS)",
            bar_charts.memory_bars(result, "pss_bytes"),
            "Proportional set size after a hundred actions, median over processes. Most of it is "
            "Python and the backend's libraries, not the policy.",
            {"title": "PSS"},
        ),
        (
            "peak",
            "Most memory resident at once (peak RSS)",
            bar_charts.memory_bars(result, "peak_rss_bytes"),
            "The peak is usually reached while libraries load.",
            {"title": "peak RSS"},
        ),
        (
            "sizes",
            "What the vehicle stores",
            sizes,
            "Bytes of the policy in every form, on a logarithmic axis.",
            {"title": "bytes", "log": True},
        ),
        (
            "energy",
            "Energy per action",
            bar_charts.energy_bars(result),
            "Idle power subtracted; the line is the 95% interval. "
            + " ".join(dict.fromkeys(_sentence(one.meaning) for one in result.energy)),
            {"title": "energy of one action", "axis": _ENERGY_LABELS},
        ),
    ]
    for key, title, every, caption, options in wanted:
        bars = [bar for bar in every if bar.label in labels]
        if not bars:
            continue
        drawing = bar_charts.bars(f"{name}-{key}", bars, labels, **options)
        table = DataTable(
            ("", "policy", options["title"]), tuple((b.group, b.label, b.text) for b in bars)
        )
        charts.append(Chart(f"{name}-{key}", title, drawing, caption, table))
    return charts


def _returns(name: str, result: BenchResult) -> Chart:
    parts = "; ".join(
        f"{one.label} {words.return_of(one.mean.estimate)} "
        f"({words.range_of(words.return_of(one.mean.low), words.return_of(one.mean.high))})"
        for one in result.returns
    )
    episodes = max(len(one.returns) for one in result.returns)
    rows = tuple(
        (one.label, *(words.return_of(float(v)) for v in _quartiles(one.returns)))
        for one in result.returns
    )
    return Chart(
        f"{name}-returns",
        "How well it drives",
        latency_charts.returns(f"{name}-returns", result),
        f"Each dot is one of {episodes} episodes, the same seeds for every policy; the mark with "
        f"a line is the mean with its 95% interval. Means: {parts}.",
        DataTable(("policy", "worst", "quartile", "median", "quartile", "best"), rows),
        wide=True,
    )


def _quartiles(values: Sequence[float]) -> list[float]:
    return [float(v) for v in np.quantile(np.array(values), [0, 0.25, 0.5, 0.75, 1])]
