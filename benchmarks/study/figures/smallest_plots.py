"""The picture of every network that the searches trained: share kept against hidden units."""

from typing import TYPE_CHECKING

from dspctl.benchmarks.plots.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    VERMILION,
    styled,
)
from dspctl.benchmarks.study.figures.looks import panels, place_legend
from dspctl.benchmarks.study.smallest.record import Shrunk, Smallest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TEACHERS = ((BLUE, "o"), (GREEN, "D"), (ORANGE, "^"))
_LOWEST = -0.05
"""Shares below this are drawn at it."""


def smallest_figure(found: Smallest | None) -> "Figure | None":
    """A panel an environment: filled where the test was passed, ringed where it is delivered."""
    if found is None or not found.searches:
        return None
    from matplotlib.lines import Line2D

    seeds = sorted({one.seed for one in found.searches})
    looks = {seed: _TEACHERS[index % len(_TEACHERS)] for index, seed in enumerate(seeds)}
    with styled():
        figure, axes = panels(len(found.environments))
        for one, environment in zip(axes, found.environments, strict=True):
            for search in found.of(environment):
                _draw(one, search, *looks[search.seed])
            keep = found.of(environment)[0].search.goal.keep
            one.axhline(1.0, color=MUTED, ls="--", lw=1, zorder=1)
            one.axhline(keep, color=VERMILION, ls=":", lw=1, zorder=1)
            one.set(title=environment, xlabel="hidden units", ylabel="share kept, at least")
            one.set_xlim(left=-0.6)
            one.locator_params(axis="x", integer=True)
        handles = [
            *(
                Line2D([], [], color=color, marker=marker, ls="", label=f"teacher of seed {seed}")
                for seed, (color, marker) in looks.items()
            ),
            Line2D([], [], mec=INK, mfc=PAPER, marker="o", ls="", label="fails"),
            Line2D([], [], mec=INK, mfc=PAPER, marker="o", ms=11, ls="", label="delivered (ring)"),
        ]
        place_legend(figure, handles)
        return figure


def _draw(axes: "Axes", shrunk: Shrunk, color: str, marker: str) -> None:
    search = shrunk.search
    for point in search.points:
        low = search.kept(point).low
        passes = low >= search.goal.keep
        place = (point.network.size, max(low, _LOWEST))
        axes.plot(
            *place, marker, mec=color, mfc=color if passes else PAPER, ms=5, alpha=0.85, zorder=3
        )
        if point.candidate.name == search.chosen:
            axes.plot(*place, "o", mec=INK, mfc="none", ms=11, zorder=4)
