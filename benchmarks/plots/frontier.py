"""Return against weights: every network of a search, and the frontier."""

from pathlib import Path
from typing import TYPE_CHECKING

from dspctl.benchmarks.plots.style import (
    BLUE,
    INK,
    MUTED,
    VERMILION,
    count_axis,
    new_figure,
    save,
    styled,
)
from dspctl.benchmarks.shrink.record import Point, ShrinkResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_frontier(result: ShrinkResult, path: Path) -> Path:
    """Write the picture of a search as PNG.

    Raises:
        MissingExtra: matplotlib is not installed.
        WriteFailed: the file could not be written.
    """
    return save(frontier_figure(result), path)


def frontier_figure(result: ShrinkResult) -> "Figure":
    """Mean return of each network against its weights, with the line that it has to reach."""
    with styled():
        figure = new_figure(7.2, 4.4)
        axes = figure.subplots()
        teacher = result.teacher
        axes.axhline(teacher.mean, color=MUTED, linewidth=1, linestyle="--")
        axes.annotate(
            f"teacher, {teacher.weights:,} weights",
            (1, teacher.mean),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            color=MUTED,
            fontsize=9,
        )
        if not result.goal.limited:
            least = teacher.mean - (1 - result.goal.keep) * abs(teacher.mean)
            axes.axhline(least, color=VERMILION, linewidth=1, linestyle=":")
        frontier = result.frontier()
        axes.plot(
            [point.network.weights for point in frontier],
            [point.network.mean for point in frontier],
            color=BLUE,
            drawstyle="steps-post",
        )
        _points(axes, result, frontier)
        axes.set_xscale("log")
        count_axis(axes, "x")
        axes.set_xlabel("weights of the compact network")
        axes.set_ylabel("mean return, trial episodes")
        axes.set_title(f"{result.environment}: return against size")
    return figure


def _points(axes: "Axes", result: ShrinkResult, frontier: tuple[Point, ...]) -> None:
    for point in result.points:
        best = point in frontier
        chosen = point.candidate.name == result.chosen
        x, y = point.network.weights, point.network.mean
        axes.plot(
            [x],
            [y],
            "o",
            color=VERMILION if chosen else BLUE,
            alpha=1.0 if best or chosen else 0.3,
            markersize=8 if chosen else 5,
        )
        if best or chosen:
            axes.annotate(
                "-".join(map(str, point.network.units)) or "linear",
                (x, y),
                xytext=(4, -11),
                textcoords="offset points",
                color=INK,
                fontsize=8,
            )
