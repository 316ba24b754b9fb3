"""The picture of ablations: a row a variant, a panel an environment."""

from typing import TYPE_CHECKING

import numpy as np

from dspctl.benchmarks.plots.style import INK, MUTED, new_figure, styled
from dspctl.benchmarks.study.figures.ablation_tables import AS_IT_IS, variants
from dspctl.benchmarks.study.figures.collection import BASE, Collection
from dspctl.benchmarks.study.figures.looks import look
from dspctl.benchmarks.study.figures.statistics import mean, stratified_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES, _PANEL_INCHES, _LABEL_INCHES, _HEAD_INCHES = 0.26, 2.6, 2.4, 1.0

Row = tuple[str, str]
"""Method and variant."""


def ablations_figure(collection: Collection) -> "Figure | None":
    """Normalised return of every variant, with the method as it is as a line; None without any."""
    blocks = [
        [(method, variant) for variant in found]
        for method in collection.methods
        if (found := variants(collection, method))
    ]
    environments = [
        environment
        for environment in collection.environments
        if collection.scale(environment) is not None
        and any(collection.variants(environment, block[0][0]) for block in blocks)
    ]
    if not environments:
        return None
    rows = [row for block in blocks for row in block]
    with styled():
        figure = new_figure(
            _LABEL_INCHES + _PANEL_INCHES * len(environments),
            _ROW_INCHES * len(rows) + _HEAD_INCHES,
        )
        panels = figure.subplots(1, len(environments), squeeze=False, sharey=True)[0]
        for axes, environment in zip(panels, environments, strict=True):
            _draw_panel(axes, collection, environment, blocks)
        names = [f"{method}: {AS_IT_IS if name == BASE else name}" for method, name in rows]
        panels[0].set_yticks(range(len(rows)), names)
        panels[0].set_ylim(len(rows) - 0.4, -0.6)
        return figure


def _draw_panel(
    axes: "Axes", collection: Collection, environment: str, blocks: list[list[Row]]
) -> None:
    first = 0
    for block in blocks:
        base = collection.normalised(collection.find(environment, block[0][0]))
        if base is not None:
            last = first + len(block) - 1
            axes.vlines(base.mean(), first, last, color=MUTED, lw=0.9, ls=(0, (4, 2)), zorder=1)
        for place, (method, variant) in enumerate(block, first):
            runs = collection.normalised(collection.find(environment, method, variant=variant))
            if runs is None:
                continue
            style = look(method)
            estimate, interval = stratified_interval([runs], mean)
            axes.scatter(runs, np.full(len(runs), place), s=7, color=style.color, alpha=0.45, lw=0)
            if interval is not None:
                axes.hlines(place, interval.low, interval.high, color=style.color, lw=1.2)
            axes.plot(estimate, place, color=style.color, marker=style.marker, markersize=5)
        first += len(block)
        if block is not blocks[-1]:
            axes.axhline(first - 0.5, color=INK, lw=0.6, zorder=1)
    axes.set(title=environment, xlabel="normalised return")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
