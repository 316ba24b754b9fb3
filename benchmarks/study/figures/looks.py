"""How methods look: the same colour, line and marker in every picture of a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dspctl.benchmarks.plots.style import (
    BLUE,
    CYCLE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
)
from dspctl.benchmarks.study.figures.statistics import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = -0.5
"""The lowest normalised return that panels show, see `cut_below`."""

_COLUMNS = 3


@dataclass(frozen=True)
class Look:
    """Colour, dashes and marker of a method."""

    color: str
    line: Any = "-"
    marker: str = "o"


_DASHED, _DOTTED, _MIXED = (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5))
_LOOKS = {
    "ppo": Look(BLUE),
    "dsp": Look(VERMILION, marker="s"),
    "dsp-kd": Look(GREEN, marker="D"),
    "ssl": Look(PURPLE, marker="^"),
    "sgs": Look(PURPLE, _DASHED, "v"),
    "l1": Look(ORANGE, marker="P"),
    "dropout": Look(SKY, marker="X"),
    "pops": Look(INK, marker="*"),
    "dense-small": Look(MUTED, marker="h"),
    "kd-small": Look(GREEN, _DASHED, "h"),
    "linear": Look(MUTED, _DOTTED, "p"),
}


def look(method: str) -> Look:
    """How a method is drawn; one without a look of its own gets one by its name."""
    if method in _LOOKS:
        return _LOOKS[method]
    return Look(CYCLE[sum(method.encode()) % len(CYCLE)], _MIXED, "d")


def panels(count: int, *, width: float = 4.1, height: float = 3.2) -> tuple["Figure", list["Axes"]]:
    """A figure with *count* panels in rows of up to three, with room for a legend above them."""
    rows = -(-count // _COLUMNS)
    columns = -(-count // rows)  # four stand in a square
    figure = new_figure(max(width * columns, 6.4), height * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    found = [axes for row in grid for axes in row]
    for axes in found[count:]:
        axes.set_axis_off()
    return figure, found[:count]


def band(
    axes: "Axes",
    x: FloatArray,
    low: FloatArray,
    high: FloatArray,
    color: str,
    *,
    step: Literal["post"] | None = None,
    alpha: float = 0.16,
) -> None:
    """A shaded interval; with *step*, of values that hold until the next."""
    axes.fill_between(x, low, high, color=color, alpha=alpha, lw=0, step=step)


def cut_below(
    axes: "Axes",
    floor: float,
    points: Sequence[tuple[float, float, str]],
    text: Callable[[float], str],
) -> None:
    """End a panel at *floor* where something lies below it, and write there what is not seen.

    Returns have no lower bound in some tasks: one network that fails would flatten all others.

    Args:
        axes: with everything drawn.
        floor: in the panel's unit.
        points: place, height and method of each marker.
        text: what a height is called.
    """
    if axes.get_ylim()[0] >= floor:
        return
    top = float(axes.dataLim.y1)
    axes.set_ylim(floor, top + 0.08 * (top - floor))
    left, right = axes.transData.inverted().transform(axes.bbox.corners())[[0, 2], 0]
    for x, y, method in points:
        if y < floor:
            color = look(method).color
            axes.plot(x, floor, marker=7, color=color, markersize=7, ls="none", clip_on=False)
            inwards = 1 if x - left < right - x else -1
            axes.annotate(
                text(y).replace("-", "−"),
                (x, floor),
                (7 * inwards, 4),
                textcoords="offset points",
                ha="left" if inwards > 0 else "right",
                color=color,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5},
            )


def legend(figure: "Figure", names: Sequence[str]) -> None:
    """One legend of methods for all panels, above them."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look(name).color, linestyle=look(name).line, label=name)
        for name in names
    ]
    place_legend(figure, handles)


def place_legend(figure: "Figure", handles: Sequence[Any]) -> None:
    """Put a legend above all panels, in rows of six."""
    if handles:
        figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 6))
