"""Pictures over sparsity and lambda: how far pruning goes, and how much its weight matters."""

from typing import TYPE_CHECKING

import numpy as np

from dspctl.benchmarks.plots.style import FAINT, INK, MUTED, PAPER, new_figure, styled
from dspctl.benchmarks.study.figures.collection import BASE, Collection, Group
from dspctl.benchmarks.study.figures.looks import FLOOR, cut_below, look, panels, place_legend
from dspctl.benchmarks.study.figures.statistics import mean, stratified_interval
from dspctl.benchmarks.study.figures.sweep_tables import sweep, swept, swept_environments
from dspctl.benchmarks.study.figures.wording import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_APART = 0.12
"""Shift of a method's points to the side, in per cent of units, so that intervals stay apart."""


def sweep_figure(collection: Collection) -> "Figure | None":
    """Mean return against sparsity with 95% intervals, a panel an environment; None without."""
    from matplotlib.lines import Line2D

    methods = swept(collection)
    environments = swept_environments(collection)
    if not environments:
        return None
    with styled():
        figure, axes = panels(len(environments))
        for one, environment in zip(axes, environments, strict=True):
            _draw_levels(one, collection, environment)
            levels = {level for each in methods for level in _levels(collection, environment, each)}
            one.set_xticks(sorted(levels), [f"{level:g}" for level in sorted(levels)])
            drawn: list[tuple[float, float, str]] = []
            for index, method in enumerate(methods):
                shift = _APART * (index - (len(methods) - 1) / 2)
                drawn += _draw_sweep(one, sweep(collection, environment, method), method, shift)
            scale = collection.scale(environment)
            if scale is not None:
                cut_below(one, scale[0] + FLOOR * (scale[1] - scale[0]), drawn, number)
            one.set(title=environment, xlabel="hidden units removed (%)", ylabel="mean return")
            one.margins(x=0.05)
        handles = [
            *(
                Line2D([], [], color=look(one).color, marker=look(one).marker, label=one)
                for one in methods
            ),
            Line2D([], [], color=look("ppo").color, ls=(0, (4, 2)), lw=1.2, label="unpruned PPO"),
            Line2D([], [], color=MUTED, ls=(0, (1, 2)), lw=1.2, label="random policy"),
        ]
        place_legend(figure, handles)
        return figure


def lambda_methods(collection: Collection) -> tuple[str, ...]:
    """Methods that were run with several lambdas at the same sparsity somewhere."""
    return tuple(method for method in collection.methods if _grids(collection, method))


def lambda_figure(collection: Collection, method: str) -> "Figure | None":
    """Mean return over lambda × sparsity of one method, a panel an environment.

    Colours go from a random policy's return, where it is known, to the unpruned PPO's; without
    these from the lowest to the highest of the panel. Cells that were not run are hatched.
    """
    grids = _grids(collection, method)
    if not grids:
        return None
    with styled():
        figure = new_figure(max(4.0 * len(grids), 6.4), 3.6)
        axes = figure.subplots(1, len(grids), squeeze=False)[0]
        for one, (environment, groups) in zip(axes, grids.items(), strict=True):
            _draw_grid(one, collection, environment, groups)
        figure.suptitle(
            f"{method}: mean return over seeds", x=0.01, ha="left", fontweight="bold", fontsize=12
        )
        return figure


def _levels(collection: Collection, environment: str, method: str) -> list[float]:
    """Sparsities that a method was run at, in per cent."""
    return [100 * (group.sparsity or 0.0) for group in sweep(collection, environment, method)]


def _draw_levels(axes: "Axes", collection: Collection, environment: str) -> None:
    """What the unpruned policy and a random one earn."""
    reference, zero = collection.reference(environment), collection.random.get(environment)
    if reference is not None:
        axes.axhline(reference.mean, color=look("ppo").color, ls=(0, (4, 2)), lw=1.2, zorder=1)
    if zero is not None:
        axes.axhline(zero, color=MUTED, ls=(0, (1, 2)), lw=1.2, zorder=1)


def _draw_sweep(
    axes: "Axes", groups: list[Group], method: str, shift: float
) -> list[tuple[float, float, str]]:
    """Draw a method's line; returns place, height and method of its markers."""
    style = look(method)
    places = np.array([100 * (group.sparsity or 0.0) for group in groups]) + shift
    found = [stratified_interval([group.means], mean) for group in groups]
    axes.plot(
        places,
        [estimate for estimate, _ in found],
        color=style.color,
        linestyle=style.line,
        marker=style.marker,
        markersize=5,
    )
    for place, group, (_, interval) in zip(places, groups, found, strict=True):
        axes.scatter(
            np.full(len(group.means), place), group.means, s=7, color=style.color, alpha=0.45, lw=0
        )
        if interval is not None:
            axes.vlines(place, interval.low, interval.high, color=style.color, lw=1.2)
    return [(float(at), one, method) for at, (one, _) in zip(places, found, strict=True)]


def _grids(collection: Collection, method: str) -> dict[str, list[Group]]:
    """Environment → groups, where a method has several lambdas there."""
    found: dict[str, list[Group]] = {}
    for group in collection.groups:
        if (group.method, group.variant) == (method, BASE) and group.penalty is not None:
            found.setdefault(group.environment, []).append(group)
    return {
        environment: groups
        for environment, groups in found.items()
        if len({group.penalty for group in groups}) > 1
    }


def _draw_grid(axes: "Axes", collection: Collection, environment: str, groups: list[Group]) -> None:
    from matplotlib.patches import Rectangle

    sparsities = sorted({group.sparsity or 0.0 for group in groups})
    penalties = sorted({group.penalty or 0.0 for group in groups})
    values = np.full((len(penalties), len(sparsities)), np.nan)
    for group in groups:
        row, place = penalties.index(group.penalty or 0.0), sparsities.index(group.sparsity or 0.0)
        values[row, place] = group.mean
    low, high = collection.scale(environment) or (np.nanmin(values), np.nanmax(values))
    if low == high:
        high = low + 1.0
    image = axes.imshow(values, cmap="cividis", vmin=low, vmax=high, origin="lower", aspect="auto")
    axes.figure.colorbar(image, ax=axes, fraction=0.05, pad=0.03).outline.set_visible(False)
    for row, place in np.ndindex(values.shape):
        value = values[row, place]
        if np.isnan(value):
            axes.add_patch(
                Rectangle((place - 0.5, row - 0.5), 1, 1, fc=PAPER, ec=FAINT, hatch="///", lw=0)
            )
        else:
            dark = (value - low) / (high - low) < 0.55
            axes.annotate(
                number(float(value)),
                (place, row),
                ha="center",
                va="center",
                fontsize=8.5,
                color=PAPER if dark else INK,
            )
    axes.grid(visible=False)
    axes.set_xticks(range(len(sparsities)), [percent(one) for one in sparsities])
    axes.set_yticks(range(len(penalties)), [f"{one:.0e}".replace("e-0", "e-") for one in penalties])
    axes.set(title=environment, xlabel="sparsity of units", ylabel="lambda")
