"""Charts of training: returns, units per layer, sparsity and the threshold, over steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dspctl.benchmarks.report.chart import (
    COLORS,
    COUNT_LABELS,
    DASHES,
    INK,
    LINE,
    MUTED,
    Drawing,
    data,
    decades,
    draw,
    key_of,
    subject_colors,
    subject_dashes,
    vega,
)
from dspctl.benchmarks.report.metrics import (
    Rows,
    column,
    common_stretch,
    learning_curve,
    pruning_span,
)


def learning(name: str, runs: Mapping[str, Sequence[Rows]], labels: Sequence[str]) -> Drawing:
    """Return against steps, a line per label; several seeds give their mean and range.

    Args:
        name: see `draw`.
        runs: label → one run per seed.
        labels: of all series, which gives the colours.
    """
    alt = vega()
    rows: list[dict[str, Any]] = []
    for label, seeds in runs.items():
        curves = [curve for curve in map(learning_curve, seeds) if curve[0].size]
        if curves:
            steps, values = common_stretch(curves)
            rows += [
                {
                    "key": key_of(labels, label),
                    "steps": x,
                    "mean": y.mean(),
                    "low": y.min(),
                    "high": y.max(),
                }
                for x, y in zip(steps.tolist(), values.T, strict=True)
            ]
    spans = [span for seeds in runs.values() for one in seeds if (span := pruning_span(one))]

    def chart(width: int) -> Any:
        x = alt.X("steps:Q", scale=alt.Scale(nice=False)).axis(
            title="environment steps", labelExpr=COUNT_LABELS, grid=False, tickCount=5
        )
        y = alt.Y("mean:Q", scale=alt.Scale(zero=False)).axis(
            title="return of an episode", tickCount=5
        )
        base = alt.Chart(data(rows)).encode(x=x, color=subject_colors(alt, labels))
        layers = [_band(alt, spans[0], x)] if spans else []
        if any(row["low"] < row["high"] for row in rows):
            layers.append(
                base.mark_area(opacity=0.18, stroke=None).encode(
                    y=alt.Y("low:Q"), y2="high:Q", fill=subject_colors(alt, labels, "Fill")
                )
            )
        layers.append(
            base.mark_line(strokeWidth=2.2, strokeJoin="round").encode(
                y=y, strokeDash=subject_dashes(alt, labels)
            )
        )
        return alt.layer(*layers).properties(width=width, height=260)

    return draw(name, chart, wide=True)


def units(name: str, rows: Rows) -> Drawing:
    """Units left per hidden layer."""
    alt = vega()
    steps = column(rows, "steps").tolist()
    widths = [row.get("units") or [] for row in rows]
    layers = len(widths[0])
    names = [
        f"hidden layer {index + 1}: {widths[0][index]} → {widths[-1][index]} units"
        for index in range(min(layers, len(widths[-1])))
    ]
    layers = len(names)
    values = [
        {"layer": names[index], "steps": step, "units": row[index]}
        for step, row in zip(steps, widths, strict=True)
        for index in range(min(layers, len(row)))
    ]
    colors = [COLORS[1 + index % (len(COLORS) - 1)] for index in range(layers)]
    dashes = [DASHES[(index + 1) % len(DASHES)] for index in range(layers)]

    def chart(width: int) -> Any:
        domain = {"domain": names}
        x = _steps_axis(alt, steps[-1])
        y = alt.Y("units:Q", scale=alt.Scale(zero=True)).axis(title="units left", tickCount=5)
        span = pruning_span(rows)
        lines = alt.Chart(data(values)).encode(
            x=x,
            y=y,
            color=alt.Color("layer:N", scale=alt.Scale(**domain, range=colors)).legend(
                title=None,
                orient="bottom",
                labelColor=INK,
                labelFontSize=12,
                columns=1,
                symbolStrokeWidth=2.5,
                labelLimit=300,
            ),
            strokeDash=alt.StrokeDash(
                "layer:N", scale=alt.Scale(**domain, range=dashes), legend=None
            ),
        )
        return alt.layer(
            *([_band(alt, span, x)] if span else []),
            lines.mark_line(interpolate="step-after", strokeWidth=2.2),
        ).properties(width=width, height=230)

    return draw(name, chart)


def threshold(name: str, rows: Rows) -> Drawing | None:
    """The threshold of pruning while it was in force; None where a run reports none."""
    alt = vega()
    steps, found = column(rows, "steps"), column(rows, "threshold")
    first, last = pruning_span(rows) or (0.0, float(steps[-1]))
    shown = (np.nan_to_num(found) > 0) & (steps >= first) & (steps <= last)
    if not shown.any():
        return None
    low, high = float(found[shown].min()), float(found[shown].max())
    values = [
        {"steps": x, "value": y}
        for x, y in zip(steps[shown].tolist(), found[shown].tolist(), strict=True)
    ]

    def chart(width: int) -> Any:
        x = _steps_axis(alt, float(steps[-1]))
        y = alt.Y("value:Q", scale=alt.Scale(type="log", nice=False)).axis(
            title="threshold ψ", format="~g", values=decades(low, high)
        )
        span = pruning_span(rows)
        line = alt.Chart(data(values)).encode(x=x, y=y)
        return alt.layer(
            *([_band(alt, span, x)] if span else []),
            line.mark_line(color=COLORS[1], strokeWidth=2),
        ).properties(width=width, height=230)

    return draw(name, chart)


def sparsity(name: str, rows: Rows) -> Drawing | None:
    """Shares of units and weights removed, against the schedule."""
    alt = vega()
    series = {
        "weights removed": ("weight_sparsity", COLORS[2], [6, 2]),
        "units removed": ("unit_sparsity", COLORS[1], [1, 0]),
        "units, scheduled": ("scheduled_sparsity", INK, [1, 4]),
    }
    steps = column(rows, "steps").tolist()
    values = [
        {"series": title, "steps": x, "value": y}
        for title, (key, _, _) in series.items()
        for x, y in zip(steps, column(rows, key).tolist(), strict=True)
        if np.isfinite(y)
    ]
    if not values:
        return None

    def chart(width: int) -> Any:
        domain = {"domain": list(series)}
        x = _steps_axis(alt, steps[-1])
        span = pruning_span(rows)
        lines = (
            alt.Chart(data(values))
            .mark_line(strokeWidth=2)
            .encode(
                x=x,
                y=alt.Y("value:Q", scale=alt.Scale(domain=[0, 1])).axis(
                    format="%", title="share removed", tickCount=5
                ),
                color=alt.Color(
                    "series:N",
                    scale=alt.Scale(**domain, range=[color for _, color, _ in series.values()]),
                ).legend(
                    title=None,
                    orient="bottom",
                    labelColor=INK,
                    labelFontSize=12,
                    columns=1,
                    symbolStrokeWidth=2.5,
                    labelLimit=300,
                ),
                strokeDash=alt.StrokeDash(
                    "series:N",
                    scale=alt.Scale(**domain, range=[dash for _, _, dash in series.values()]),
                    legend=None,
                ),
            )
        )
        return alt.layer(*([_band(alt, span, x)] if span else []), lines).properties(
            width=width, height=230
        )

    return draw(name, chart)


def _steps_axis(alt: Any, last: float) -> Any:
    return alt.X("steps:Q", scale=alt.Scale(domain=[0, last], nice=False)).axis(
        title="environment steps", labelExpr=COUNT_LABELS, grid=False, tickCount=4
    )


def _band(alt: Any, span: tuple[float, float], x: Any) -> Any:
    """A faint band, with its name, while units were leaving."""
    base = alt.Chart(data([{"steps": span[0], "end": span[1], "text": "units leave"}]))
    return alt.layer(
        base.mark_rect(color=LINE, opacity=0.45).encode(x=x, x2="end:Q"),
        base.mark_text(align="left", baseline="bottom", dy=-4, color=MUTED, y=0).encode(
            x=x, text="text:N"
        ),
    )
