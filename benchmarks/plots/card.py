"""The unpruned and the pruned network side by side, with the figures that matter."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.plots.key_figures import KeyFigure, Side, key_figures
from dspctl.benchmarks.plots.style import (
    BLUE,
    INK,
    MUTED,
    PAPER,
    VERMILION,
    new_figure,
    save,
    styled,
)
from dspctl.benchmarks.plots.weights import effective_weights
from dspctl.runtime import Policy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GHOST = "#E4E8ED"
_NODE_AREA = (16.0, 150.0)


def plot_card(before: Side, after: Side, path: Path, *, title: str, note: str = "") -> Path:
    """Draw two policies as nodes and edges, and a table of units, weights, bytes, return, latency.

    Args:
        before: the unpruned policy, left.
        after: the compacted one, right.
        path: the PNG to write.
        title: the first line, e.g. the environment.
        note: small print at the bottom: machine, backend, episodes.

    Raises:
        MissingExtra: matplotlib is not installed.
        WriteFailed: the file could not be written.
    """
    return save(card_figure(before, after, title=title, note=note), path)


def card_figure(before: Side, after: Side, *, title: str, note: str) -> "Figure":
    """The picture of `plot_card`."""
    from matplotlib.patches import FancyBboxPatch

    with styled():
        figure = new_figure(12, 6.75, layout=None)
        figure.text(0.04, 0.925, title, fontsize=21, fontweight="bold", va="center")
        ghosts = before.policy.counts.units
        for side, left, color in ((before, 0.04, BLUE), (after, 0.525, VERMILION)):
            axes = figure.add_axes((left, 0.26, 0.435, 0.585))
            axes.set_axis_off()
            axes.set(xlim=(0, 1), ylim=(0, 1))
            _draw_network(axes, side.policy, ghosts, color)
            figure.text(left, 0.868, side.label, fontsize=13, fontweight="bold", color=color)
            figure.text(
                left + 0.435, 0.868, _shape(side.policy), fontsize=13, color=MUTED, ha="right"
            )
        figure.add_artist(
            FancyBboxPatch(
                (0.04, 0.075),
                0.92,
                0.155,
                boxstyle="round,pad=0,rounding_size=0.015",
                mutation_aspect=12 / 6.75,
                facecolor="#F5F7F9",
                edgecolor="none",
                transform=figure.transFigure,
            )
        )
        _draw_table(figure, key_figures(before, after))
        figure.text(0.04, 0.033, note, fontsize=8.5, color=MUTED, va="center")
        return figure


def _draw_network(axes: "Axes", policy: Policy, ghosts: Sequence[int], color: str) -> None:
    """Nodes in columns, edges by weight; grey dots where the unpruned network had more units."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgb

    sizes = [policy.layers[0].fan_in, *(layer.width for layer in policy.layers)]
    columns = np.linspace(0.04, 0.96, len(sizes))
    places = [_spread(size) for size in sizes]
    if len(ghosts) == len(sizes) - 2:
        for index, total in enumerate(ghosts, start=1):
            if total > sizes[index]:
                slots = _spread(total)
                taken = np.abs(slots[:, None] - places[index][None, :]).argmin(axis=0)
                places[index] = slots[taken]
                free = np.delete(slots, taken)
                axes.scatter(
                    np.full(free.size, columns[index]), free, s=_area(total), color=_GHOST, lw=0
                )
    for index, weight in enumerate(effective_weights(policy)):
        strength = (weight / (weight.max() or 1.0)).ravel()
        order = np.argsort(strength)
        ends = np.stack(
            [
                np.tile(_points(columns[index], places[index]), (weight.shape[0], 1)),
                np.repeat(_points(columns[index + 1], places[index + 1]), weight.shape[1], axis=0),
            ],
            axis=1,
        )
        # Thousands of edges must be hairlines to show a texture; a few are seen one by one. The
        # colour is mixed with the paper's rather than made transparent, the strongest on top:
        # Agg rounds the colour of many nearly transparent layers to a wrong hue.
        thickest = float(np.clip(14 / np.sqrt(weight.size), 0.25, 1.7))
        share = 0.12 + 0.8 * strength[order, None] ** 1.3
        axes.add_collection(
            LineCollection(
                list(ends[order]),
                colors=(1 - share) * np.array(to_rgb(PAPER)) + share * np.array(to_rgb(color)),
                linewidths=0.2 + thickest * strength[order],
                zorder=1,
            )
        )
    for index, place in enumerate(places):
        inner = 0 < index < len(sizes) - 1
        axes.scatter(
            np.full(place.size, columns[index]),
            place,
            s=_area(place.size),
            color=color if inner else INK,
            edgecolor=PAPER,
            linewidth=0.4 if place.size > 40 else 1.2,
            zorder=3,
            clip_on=False,
        )


def _draw_table(figure: "Figure", columns: Sequence[KeyFigure]) -> None:
    # Wide entries get wide columns, or the longest would touch its neighbour.
    lengths = np.array([6 + len(column.before) + 1.1 * len(column.after) for column in columns])
    edges = 0.04 + 0.92 * np.concatenate([[0.0], np.cumsum(lengths / lengths.sum())])
    for index, column in enumerate(columns):
        center = (edges[index] + edges[index + 1]) / 2
        # The arrow is placed so that both numbers together are centred, not the arrow itself.
        arrow = center + 0.0042 * (len(column.before) - 1.1 * len(column.after))
        style: dict[str, Any] = {"va": "center", "fontsize": 15}
        figure.text(center, 0.203, column.name, ha="center", va="center", color=MUTED, fontsize=10)
        figure.text(arrow - 0.012, 0.153, column.before, ha="right", color=BLUE, **style)
        figure.text(arrow, 0.153, "→", ha="center", va="center", color=MUTED, fontsize=12)
        figure.text(
            arrow + 0.012,
            0.153,
            column.after,
            ha="left",
            color=VERMILION,
            fontweight="bold",
            **style,
        )
        figure.text(center, 0.102, column.change, ha="center", va="center", fontsize=10.5)


def _spread(count: int) -> NDArray[np.float64]:
    """Vertical places of *count* nodes, top first; few nodes stay together in the middle."""
    reach = min(0.48, 0.055 * (count - 1))
    return 0.5 + np.linspace(reach, -reach, count) if count > 1 else np.array([0.5])


def _points(x: float, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates of a column's nodes, float [nodes, 2]."""
    return np.stack([np.full(places.size, x), places], axis=1)


def _area(count: int) -> float:
    return float(np.clip(1600 / count, *_NODE_AREA))


def _shape(policy: Policy) -> str:
    return "–".join(
        str(size) for size in (policy.layers[0].fan_in, *(layer.width for layer in policy.layers))
    )
