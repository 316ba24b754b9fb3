"""The picture of ablations: a row a variant, a panel an environment."""

from typing import TYPE_CHECKING

import numpy as np

from dspctl.benchmarks.plots.style import INK, MUTED, new_figure, styled
from dspctl.benchmarks.study.figures.ablation_tables import variants, worth
from dspctl.benchmarks.study.figures.collection import Collection
from dspctl.benchmarks.study.figures.looks import look
from dspctl.benchmarks.study.figures.statistics import mean, stratified_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES, _PANEL_INCHES, _LABEL_INCHES, _HEAD_INCHES = 0.26, 2.6, 2.4, 1.0

Row = tuple[str, str]
"""Method and variant."""


def ablations_figure(collection: Collection) -> "Figure | None":
    """What every variant changes, seed by seed, in normalised return; None without any."""
    rows = [
        (method, variant)
        for method in collection.methods
        for variant in variants(collection, method)
    ]
    environments = [
        environment
        for environment in collection.environments
        if any(worth(collection, environment, *row) is not None for row in rows)
    ]
    if not environments:
        return None
    with styled():
        figure = new_figure(
            _LABEL_INCHES + _PANEL_INCHES * len(environments),
            _ROW_INCHES * len(rows) + _HEAD_INCHES,
        )
        panels = figure.subplots(1, len(environments), squeeze=False, sharey=True)[0]
        for axes, environment in zip(panels, environments, strict=True):
            _draw_panel(axes, collection, environment, rows)
        panels[0].set_yticks(range(len(rows)), [f"{method}: {name}" for method, name in rows])
        panels[0].set_ylim(len(rows) - 0.4, -0.6)
        return figure


def _draw_panel(axes: "Axes", collection: Collection, environment: str, rows: list[Row]) -> None:
    axes.axvline(0, color=MUTED, lw=0.9, ls=(0, (4, 2)), zorder=1)
    for place, (method, variant) in enumerate(rows):
        if place and rows[place - 1][0] != method:
            axes.axhline(place - 0.5, color=INK, lw=0.6, zorder=1)
        found = worth(collection, environment, method, variant)
        if found is None:
            continue
        style = look(method)
        estimate, interval = stratified_interval([found], mean)
        axes.scatter(found, np.full(len(found), place), s=7, color=style.color, alpha=0.45, lw=0)
        if interval is not None:
            axes.hlines(place, interval.low, interval.high, color=style.color, lw=1.2)
        axes.plot(estimate, place, color=style.color, marker=style.marker, markersize=5)
    axes.margins(x=0.08)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.05), max(high, 0.05))  # differences of nothing fill no panel
    axes.locator_params(axis="x", nbins=5)
    axes.set(title=environment, xlabel="difference of normalised returns")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
