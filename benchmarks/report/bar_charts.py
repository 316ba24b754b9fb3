"""Charts of memory, sizes and energy: one bar per subject, a group per backend or quantity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report import words
from dspctl.benchmarks.report.chart import (
    INK,
    SIZE_LABELS,
    Drawing,
    data,
    decades,
    draw,
    key_of,
    subject_colors,
    vega,
)

_BAR = 16
_GAP = 18


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        group: what stands beside it.
        label: the subject.
        value: its length.
        text: the value as it is read.
        low: lower end of its interval, or None.
        high: upper end.
    """

    group: str
    label: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None


def memory_bars(result: BenchResult, field: str) -> list[Bar]:
    """Medians of one of a probe's fields, per backend and subject, where the system tells."""
    return [
        Bar(one.backend, one.label, value, words.size_of(value))
        for one in result.memory
        for value in (one.median(field),)
        if value
    ]


def size_bars(result: BenchResult) -> list[Bar]:
    """Bytes that a vehicle stores or reserves for the policy."""
    bars = []
    for subject in result.subjects:
        sizes: list[tuple[str, int | None]] = [("parameters", subject.parameter_bytes)]
        for one in result.code:
            if one.label == subject.label:
                sizes += [
                    (f"flash, {one.target}", one.flash_bytes),
                    (f"stack, {one.target}", one.stack_bytes),
                ]
        sizes += [("ONNX file", subject.onnx_bytes), ("policy file", subject.policy_bytes)]
        bars += [
            Bar(name, subject.label, value, words.size_of(value))
            for name, value in sizes
            if value and value > 0
        ]
    return bars


def energy_bars(result: BenchResult) -> list[Bar]:
    """Energy per action, in nanojoules, with its interval."""
    return [
        Bar(
            one.backend,
            one.label,
            1e9 * one.joules.estimate,
            words.energy_of(one.joules.estimate),
            1e9 * one.joules.low,
            1e9 * one.joules.high,
        )
        for one in result.energy
    ]


def bars(
    name: str,
    found: Sequence[Bar],
    labels: Sequence[str],
    *,
    title: str,
    axis: str = SIZE_LABELS,
    log: bool = False,
) -> Drawing:
    """Draw bars from 0, or dots on a log axis, which has no 0 for a bar to stand on.

    Args:
        name: see `draw`.
        found: at least one.
        labels: of all subjects, which gives the colours and the order.
        title: of the axis.
        axis: a Vega expression for the axis' labels.
        log: whether the values span decades.
    """
    alt = vega()
    groups = list(dict.fromkeys(one.group for one in found))
    rows = [
        {
            "group": one.group,
            "order": groups.index(one.group),
            "key": key_of(labels, one.label),
            "value": one.value,
            "text": one.text,
            "low": one.low,
            "high": one.high,
        }
        for one in found
    ]
    shown = len({one.label for one in found})
    most = max([one.value for one in found] + [one.high or 0.0 for one in found])
    least = min(one.value for one in found)
    step = _BAR * shown + _GAP

    def chart(width: int) -> Any:
        scale = (
            alt.Scale(type="log", domain=[least / 2, most * 8])
            if log
            else alt.Scale(domain=[min(0.0, least), most * 1.36], nice=False)
        )
        ticks = (
            {"values": decades(least / 2, most * 8)}
            if log
            else {"tickCount": 3, "labelOverlap": True}
        )
        x = alt.X("value:Q", scale=scale).axis(title=title, labelExpr=axis, **ticks)
        base = alt.Chart(data(rows)).encode(
            y=alt.Y(
                "group:N",
                sort=alt.EncodingSortField("order", op="min"),
                title=None,
                scale=alt.Scale(paddingInner=0.32),
            ).axis(
                labelColor=INK,
                labelFontSize=12.5,
                grid=False,
                labelLimit=150,
                minExtent=124 if log else 96,
            ),
            yOffset=alt.YOffset("key:N"),
        )
        color = subject_colors(alt, labels)
        marks = (
            base.mark_point(filled=True, size=100, opacity=1)
            if log
            else base.mark_bar(cornerRadiusEnd=2)
        )
        layers = [marks.encode(x=x, color=color)]
        whole = [row for row in rows if row["low"] is not None]
        if whole:
            layers.append(
                base.mark_rule(color=INK, strokeWidth=1.6)
                .encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
                .transform_filter("isValid(datum.low)")
            )
        layers.append(
            base.mark_text(align="left", dx=9 if log else 6).encode(
                x=alt.X("high:Q" if whole else "value:Q", scale=scale), text="text:N"
            )
        )
        return alt.layer(*layers).properties(width=width, height=step * len(groups))

    return draw(name, chart)
