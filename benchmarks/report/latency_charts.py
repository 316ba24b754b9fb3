"""Charts of latency: medians per backend, and whole distributions with the deadline drawn in."""

from collections.abc import Sequence
from typing import Any

from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report import words
from dspctl.benchmarks.report.chart import (
    INK,
    LINE,
    MUTED,
    NARROW,
    PAPER,
    TIME_LABELS,
    Drawing,
    data,
    decades,
    draw,
    key_of,
    subject_colors,
    subject_dashes,
    vega,
)
from dspctl.benchmarks.report.samples import Distribution

_ROW = 46
_HEIGHT = 230
_NINES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)


def medians(name: str, result: BenchResult) -> Drawing:
    """The median of one action, a line per backend, a dot per subject, both on one log axis."""
    alt = vega()
    labels = [subject.label for subject in result.subjects]
    rows = [
        {
            "backend": one.backend,
            "order": result.backends.index(one.backend),
            "key": key_of(labels, one.label),
            "ns": max(one.p50_ns.estimate, 0.01),
            "low": one.p50_ns.low,
            "high": one.p50_ns.high,
            "text": words.time_of(one.p50_ns.estimate),
        }
        for one in result.latency
        if one.label in labels
    ]
    values = [max(one.p50_ns.estimate, 0.01) for one in result.latency]
    span_ns = max(max(values) / min(values), 10.0)

    def chart(width: int) -> Any:
        # The first and the last dot need room for the figure beside them.
        room = span_ns ** (0.6 if width == NARROW else 0.14)
        lowest, highest = min(values) / room, max(values) * room
        y = alt.Y("backend:N", sort=alt.EncodingSortField("order", op="min"), title=None).axis(
            labelColor=INK, labelFontSize=12.5, grid=False, minExtent=96
        )
        x = alt.X("ns:Q", scale=alt.Scale(type="log", domain=[lowest, highest])).axis(
            labelExpr=TIME_LABELS,
            title="median of one action",
            values=decades(lowest, highest),
            labelOverlap="greedy",
            labelSeparation=14,
        )
        base = alt.Chart(data(rows)).encode(y=y)
        span = base.mark_rule(color=LINE, strokeWidth=3).encode(
            x=alt.X("min(ns):Q", scale=alt.Scale(type="log", domain=[lowest, highest])),
            x2="max(ns):Q",
        )
        dots = base.mark_point(filled=True, size=110, opacity=1).encode(
            x=x, color=subject_colors(alt, labels)
        )
        baseline = [row for row in rows if row["key"] == "s0"]
        others = [row for row in rows if row["key"] != "s0"]
        layers = [span, dots]
        for part, style in (
            (baseline, {"align": "left", "dx": 9, "color": MUTED}),
            (others, {"align": "right", "dx": -9, "fontWeight": 600}),
        ):
            if part:
                texts = alt.Chart(data(part)).mark_text(**style)
                layers.append(texts.encode(x=x, y=y, text="text:N"))
        return alt.layer(*layers).properties(width=width, height=_ROW * len(result.backends))

    return draw(name, chart, wide=True)


def distributions(
    name: str,
    found: Sequence[Distribution],
    labels: Sequence[str],
    *,
    domain_ns: tuple[float, float],
    deadline_ns: float | None = None,
) -> Drawing:
    """One backend's percentiles, as HdrHistogram draws them: each nine as long as the next.

    Args:
        name: see `draw`.
        found: one per subject.
        labels: of all subjects, which gives the colours.
        domain_ns: of the latency axis, shared by all backends.
        deadline_ns: where the next step is due, or None.
    """
    alt = vega()
    rows = [
        {"key": key_of(labels, one.label), "left": 1 / (1 - share), "ns": max(ns, 1.0)}
        for one in found
        for share, ns in zip(one.share.tolist(), one.latency_ns.tolist(), strict=True)
    ]
    furthest = max(row["left"] for row in rows)
    ticks = [1 / (1 - share) for share in _NINES if 1 / (1 - share) <= max(furthest, 10) * 1.01]

    def chart(width: int) -> Any:
        x = alt.X("left:Q", scale=alt.Scale(type="log", domain=[1, max(furthest, 10)])).axis(
            values=ticks,
            labelExpr="format(100 * (1 - 1 / datum.value), '.6~f') + '%'",
            title="share of the calls",
            labelOverlap="greedy",
            labelSeparation=12,
        )
        y = alt.Y(
            "ns:Q", scale=alt.Scale(type="log", domain=list(domain_ns), clamp=True, nice=False)
        ).axis(labelExpr=TIME_LABELS, values=decades(*domain_ns), title="took at most")
        lines = (
            alt.Chart(data(rows))
            .mark_line(interpolate="step-after", strokeWidth=2.2, strokeJoin="round")
            .encode(
                x=x,
                y=y,
                color=subject_colors(alt, labels),
                strokeDash=subject_dashes(alt, labels),
            )
        )
        layers = [lines]
        if deadline_ns is not None:
            line = {"ns": deadline_ns, "text": f"deadline {words.time_of(deadline_ns)}"}
            base = alt.Chart(data([line])).encode(y=alt.Y("ns:Q"))
            layers = [
                base.mark_rule(color=INK, strokeDash=[5, 3], strokeWidth=1.4),
                *layers,
                base.mark_text(align="left", baseline="bottom", dx=4, dy=-4, color=INK, x=0).encode(
                    text="text:N"
                ),
            ]
        return alt.layer(*layers).properties(width=width, height=_HEIGHT)

    return draw(name, chart)


def domain_of(found: Sequence[Distribution], deadline_ns: float | None) -> tuple[float, float]:
    """A latency axis that holds all of *found* and the deadline, with room at both ends."""
    values = [float(ns) for one in found for ns in (one.latency_ns.min(), one.latency_ns.max())]
    if deadline_ns is not None:
        values.append(deadline_ns)
    return max(min(values), 1.0) / 1.5, max(*values, 1.0) * 2.2


def returns(name: str, result: BenchResult) -> Drawing:
    """Every episode's return as a dot, the mean with its interval beside them."""
    alt = vega()
    labels = [subject.label for subject in result.subjects]
    dots = [
        {"key": key_of(labels, one.label), "value": value, "jitter": (index * 0.618034) % 1 - 0.5}
        for one in result.returns
        if one.label in labels
        for index, value in enumerate(one.returns)
    ]
    means = [
        {
            "key": key_of(labels, one.label),
            "value": one.mean.estimate,
            "low": one.mean.low,
            "high": one.mean.high,
            "text": words.return_of(one.mean.estimate),
        }
        for one in result.returns
        if one.label in labels
    ]
    shown = len({row["key"] for row in means})

    def chart(width: int) -> Any:
        y = alt.Y("key:N", title=None).axis(None)
        x = alt.X("value:Q", scale=alt.Scale(zero=False, nice=True)).axis(
            title="return of an episode", tickCount=5
        )
        episodes = (
            alt.Chart(data(dots))
            .mark_circle(size=22, opacity=0.38)
            .encode(
                x=x,
                y=y,
                yOffset=alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-1.1, 1.1])),
                color=subject_colors(alt, labels),
            )
        )
        base = alt.Chart(data(means)).encode(y=y)
        return alt.layer(
            episodes,
            base.mark_rule(strokeWidth=5, color=PAPER).encode(x="low:Q", x2="high:Q"),
            base.mark_rule(strokeWidth=3, color=INK).encode(x="low:Q", x2="high:Q"),
            base.mark_point(
                filled=True, size=90, opacity=1, stroke=PAPER, strokeWidth=1.5, fill=INK
            ).encode(x=x),
        ).properties(width=width, height=84 * shown)

    return draw(name, chart, wide=True)
