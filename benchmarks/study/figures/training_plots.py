"""Pictures of training: returns, and units leaving (the DSP paper's figures 9 and 11)."""

from typing import TYPE_CHECKING

import numpy as np

from dspctl.benchmarks.plots.style import count_axis, new_figure, styled
from dspctl.benchmarks.study.figures.collection import Collection, FloatArray, Group
from dspctl.benchmarks.study.figures.looks import band, legend, look, panels
from dspctl.benchmarks.study.figures.statistics import mean_band
from dspctl.benchmarks.study.record import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POINTS = 200


def learning_figure(collection: Collection) -> "Figure | None":
    """Return of training episodes against steps: mean over seeds, and its 95% interval."""
    found = _curves(collection)
    if not found:
        return None
    with styled():
        figure, axes = panels(len(found))
        for one, (environment, groups) in zip(axes, found.items(), strict=True):
            for group in groups:
                aligned = returns_of(group)
                if aligned is None:
                    continue
                steps, returns = aligned
                style, curve = look(group.method), mean_band(returns)
                one.plot(steps, curve.estimate, color=style.color, linestyle=style.line, lw=1.5)
                if curve.low is not None and curve.high is not None:
                    band(one, steps, curve.low, curve.high, style.color)
            one.set(title=environment, xlabel="environment steps", ylabel="return while training")
            one.set_xlim(left=0)
            count_axis(one, "x")
        legend(figure, _names(found))
        return figure


def units_figure(collection: Collection) -> "Figure | None":
    """Units left against steps, a row a hidden layer: mean over seeds, lowest to highest shaded."""
    found = {
        environment: pruned
        for environment, groups in _curves(collection).items()
        if (pruned := [group for group in groups if _shrinks(group)])
    }
    layers = max(
        (units_of(group)[1].shape[2] for groups in found.values() for group in groups), default=0
    )
    if not layers:
        return None
    with styled():
        figure = new_figure(max(4.1 * len(found), 6.4), 2.5 * layers + 0.7)
        grid = figure.subplots(layers, len(found), squeeze=False, sharex="col")
        for column, (environment, groups) in enumerate(found.items()):
            for group in groups:
                steps, units = units_of(group)
                for layer in range(units.shape[2]):
                    style, axes = look(group.method), grid[layer][column]
                    left = units[:, :, layer]
                    axes.plot(
                        steps,
                        left.mean(axis=0),
                        color=style.color,
                        linestyle=style.line,
                        drawstyle="steps-post",
                        lw=1.5,
                    )
                    if len(left) > 1:
                        lowest, highest = left.min(axis=0), left.max(axis=0)
                        band(axes, steps, lowest, highest, style.color, step="post")
            for layer in range(layers):
                grid[layer][column].set_ylim(bottom=0)
                grid[layer][0].set_ylabel(f"units of hidden layer {layer + 1}")
            grid[0][column].set_title(environment)
            grid[-1][column].set_xlabel("environment steps")
            grid[-1][column].set_xlim(left=0)
            count_axis(grid[-1][column], "x")
        legend(figure, _names(found))
        return figure


def returns_of(group: Group) -> tuple[FloatArray, FloatArray] | None:
    """Steps, and returns of every seed there, float [seeds, points]; None without any.

    The steps are those that all seeds share; in between, returns are interpolated.
    """
    curves = []
    for cell in group.cells:
        known = [
            (step, value)
            for step, value in zip(cell.curve.steps, cell.curve.returns, strict=True)
            if value is not None
        ]
        if known:
            curves.append(np.array(known, np.float64).T)
    if not curves:
        return None
    first, last = max(one[0, 0] for one in curves), min(one[0, -1] for one in curves)
    steps = np.linspace(first, last, _POINTS)
    return steps, np.stack([np.interp(steps, one[0], one[1]) for one in curves])


def units_of(group: Group) -> tuple[FloatArray, FloatArray]:
    """Steps, and units of every seed there, float [seeds, points, layers]; held between rows."""
    curves: list[Curve] = [cell.curve for cell in group.cells if cell.curve.steps]
    steps = np.unique(np.concatenate([curve.steps for curve in curves])).astype(np.float64)
    held = []
    for curve in curves:
        places = np.searchsorted(np.array(curve.steps), steps, side="right") - 1
        held.append(np.array(curve.units, np.float64)[np.maximum(places, 0)])
    return steps, np.stack(held)


def _curves(collection: Collection) -> dict[str, list[Group]]:
    """Environment → groups at the headline sparsity whose runs kept a curve."""
    found: dict[str, list[Group]] = {}
    for environment in collection.environments:
        for method in collection.methods:
            group = collection.find(environment, method)
            if group is not None and any(cell.curve.steps for cell in group.cells):
                found.setdefault(environment, []).append(group)
    return found


def _shrinks(group: Group) -> bool:
    """Whether units left while some run was trained."""
    curves = [cell.curve for cell in group.cells if cell.curve.steps]
    return any(curve.units[0] != curve.units[-1] for curve in curves)


def _names(found: dict[str, list[Group]]) -> list[str]:
    """Methods that are drawn, in the order of the tables."""
    return list(dict.fromkeys(group.method for groups in found.values() for group in groups))
