"""What happened during training: returns, and the network shrinking."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.plots.style import (
    CYCLE,
    FAINT,
    INK,
    MUTED,
    count_axis,
    new_figure,
    save,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
"""One line of a run's ``metrics.jsonl``."""

Run = Sequence[Row]


def plot_learning(
    runs: Mapping[str, Sequence[Run]], path: Path, *, title: str = "Return while training"
) -> Path:
    """Episode return against steps.

    Args:
        runs: label → one run per seed, each a list of metrics rows.
        path: the PNG to write.
        title: above the axes.

    Raises:
        MissingExtra: matplotlib is not installed.
        WriteFailed: the file could not be written.
    """
    return save(learning_figure(runs, title=title), path)


def plot_units(run: Run, path: Path, *, title: str = "The actor while it is pruned") -> Path:
    """Units per layer, sparsity and threshold of one run against steps; raises as above."""
    return save(units_figure(run, title=title), path)


def learning_figure(runs: Mapping[str, Sequence[Run]], *, title: str) -> "Figure":
    """The picture of `plot_learning`: one line a label; several seeds give mean and range."""
    with styled():
        figure = new_figure(7.2, 4.0)
        axes = figure.subplots()
        for color, (label, seeds) in zip(_colors(len(runs)), runs.items(), strict=True):
            curves = [(column(run, "steps"), column(run, "episode_return")) for run in seeds]
            curves = [(x[~np.isnan(y)], y[~np.isnan(y)]) for x, y in curves]
            curves = [curve for curve in curves if curve[0].size]
            if not curves:
                continue
            steps, returns = _common(curves)
            axes.plot(steps, returns.mean(axis=0), color=color, label=_legend(label, len(curves)))
            if len(curves) > 1:
                axes.fill_between(
                    steps, returns.min(axis=0), returns.max(axis=0), color=color, alpha=0.18, lw=0
                )
        pruned = [run for seeds in runs.values() for run in seeds if _pruning(run) is not None]
        if pruned:
            _shade_pruning(axes, pruned[0])
        axes.set(title=title, xlabel="environment steps", ylabel="return of an episode")
        axes.set_xlim(left=0)
        axes.margins(x=0.01)
        count_axis(axes, "x")
        if axes.get_lines():
            axes.legend(loc="lower right")
        return figure


def units_figure(run: Run, *, title: str) -> "Figure":
    """The picture of `plot_units`."""
    with styled():
        figure = new_figure(7.2, 6.4)
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[2.2, 1.6, 1.2])
        steps = column(run, "steps")
        units = np.array([row["units"] for row in run], np.float64)
        for layer in range(units.shape[1]):
            top.plot(
                steps,
                units[:, layer],
                color=CYCLE[layer % len(CYCLE)],
                drawstyle="steps-post",
                label=f"hidden layer {layer + 1}: {units[0, layer]:.0f} → {units[-1, layer]:.0f}",
            )
        top.set(title=title, ylabel="units left")
        top.set_ylim(bottom=0)
        top.legend()
        for name, label, color in (
            ("weight_sparsity", "weights", CYCLE[3]),
            ("unit_sparsity", "units", CYCLE[2]),
        ):
            middle.plot(steps, 100 * column(run, name), color=color, label=f"{label} removed")
        # FLOPs follow the weights so closely that a second line would hide the first.
        middle.plot(
            steps,
            100 * column(run, "flops_sparsity"),
            color=CYCLE[4],
            linestyle=(0, (2, 2)),
            label="FLOPs removed",
        )
        middle.plot(
            steps,
            100 * column(run, "scheduled_sparsity"),
            color=INK,
            linestyle=(0, (4, 2)),
            linewidth=1.2,
            label="units, scheduled",
        )
        middle.set(ylabel="share removed (%)", ylim=(-3, 103))
        middle.legend(loc="lower right", ncols=2)
        threshold = column(run, "threshold")
        # Once pruning has ended, a run goes on reporting the last threshold: it is not in force.
        first, last = _pruning(run) or (0.0, 0.0)
        shown = (threshold > 0) & (steps >= first) & (steps <= last)
        bottom.plot(steps, np.where(shown, threshold, np.nan), color=CYCLE[1])
        bottom.set(ylabel="threshold ψ", xlabel="environment steps", yscale="log")
        bottom.set_xlim(0, steps[-1])
        count_axis(bottom, "x")
        for axes in (top, middle, bottom):
            _shade_pruning(axes, run, name_at=0.92 if axes is top else None)
        figure.align_ylabels()
        return figure


def column(run: Run, name: str) -> NDArray[np.float64]:
    """One key of all rows, float [rows]; null becomes NaN."""
    return np.array([np.nan if row[name] is None else row[name] for row in run], np.float64)


def _common(
    curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Curves on the longest shared stretch of steps, returns float [runs, points]."""
    if len(curves) == 1:
        return curves[0][0], curves[0][1][None]
    first = max(x[0] for x, _ in curves)
    last = min(x[-1] for x, _ in curves)
    steps = np.linspace(first, last, 300)
    return steps, np.stack([np.interp(steps, x, y) for x, y in curves])


def _pruning(run: Run) -> tuple[float, float] | None:
    """Steps between which the scheduled sparsity rose, None for a run without pruning."""
    steps, scheduled = column(run, "steps"), np.nan_to_num(column(run, "scheduled_sparsity"))
    rises = np.flatnonzero(np.diff(scheduled) > 0)
    return (float(steps[rises[0]]), float(steps[rises[-1] + 1])) if rises.size else None


def _shade_pruning(axes: "Axes", run: Run, *, name_at: float | None = 0.03) -> None:
    """A grey band while units were leaving."""
    span = _pruning(run)
    if span is None:
        return
    axes.axvspan(*span, color=FAINT, alpha=0.45, lw=0, zorder=0)
    if name_at is not None:
        axes.annotate(
            "pruning",
            (sum(span) / 2, name_at),
            xycoords=axes.get_xaxis_transform(),
            ha="center",
            color=MUTED,
            fontsize=9,
        )


def _legend(label: str, seeds: int) -> str:
    return label if seeds == 1 else f"{label} (mean and range of {seeds} runs)"


def _colors(count: int) -> list[str]:
    return [CYCLE[index % len(CYCLE)] for index in range(count)]
