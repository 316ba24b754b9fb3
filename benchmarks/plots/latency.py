"""Latency distributions: how often a call takes longer than so much."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.plots.style import CYCLE, MUTED, new_figure, save, short_time, styled
from dspctl.benchmarks.stats import percentile
from dspctl.errors import ConfigProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
_POINTS = 2_000


Medians = Mapping[tuple[str, str], float]
"""(backend, label) → nanoseconds."""


def plot_latency(
    samples: Mapping[str, Mapping[str, NDArray[Any]]],
    path: Path,
    *,
    medians: Medians,
    title: str = "Latency of one action, batch 1",
) -> Path:
    """Share of calls slower than a time, one panel per backend, both axes logarithmic.

    Args:
        samples: backend → label → nanoseconds of single calls, [n].
        path: the PNG to write.
        medians: as the tables state them. That of *samples* holds a reading of the clock, which
            for short calls costs more than they do.
        title: above everything.

    Raises:
        ConfigProblem: nothing to draw.
        MissingExtra: matplotlib is not installed.
        WriteFailed: the file could not be written.
    """
    return save(latency_figure(samples, medians=medians, title=title), path)


def latency_figure(
    samples: Mapping[str, Mapping[str, NDArray[Any]]], *, medians: Medians, title: str
) -> "Figure":
    """The picture of `plot_latency`."""
    if not samples or not all(samples.values()):
        raise ConfigProblem("there are no latency samples to draw: run the benchmark first")
    with styled():
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        figure = new_figure(4.4 * len(samples) + 0.6, 3.9)
        panels = figure.subplots(1, len(samples), sharex=True, sharey=True, squeeze=False)[0]
        labels = list(dict.fromkeys(label for panel in samples.values() for label in panel))
        for axes, (backend, subjects) in zip(panels, samples.items(), strict=True):
            for label, times_ns in subjects.items():
                color = CYCLE[labels.index(label) % len(CYCLE)]
                x, share = survival(times_ns)
                axes.plot(
                    x,
                    share,
                    color=color,
                    drawstyle="steps-post",
                    label=f"{label}: {short_time(medians[backend, label])} median",
                )
                marks = [s for s in PERCENTILES.values() if times_ns.size * (1 - s) >= 1]
                axes.plot(
                    [percentile(times_ns, s) for s in marks],
                    [1 - s for s in marks],
                    color=color,
                    linestyle="none",
                    marker="o",
                    markersize=4.5,
                )
            axes.set(title=backend, xscale="log", yscale="log", xlabel="time of one action")
            axes.set_ylim(top=1.3)
            axes.legend(loc="upper right")
        for axes in panels:
            low, high = axes.get_xlim()
            # Under two decades a logarithmic axis would show one labelled tick or none.
            subs = (1.0,) if high / low > 300 else (1.0, 2.0, 5.0)
            axes.xaxis.set_major_locator(LogLocator(subs=subs))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_time(value)))
            axes.xaxis.set_minor_formatter(NullFormatter())
            for name, s in PERCENTILES.items():
                axes.axhline(1 - s, color=MUTED, lw=0.6, ls=(0, (1, 3)), zorder=0)
                if axes is panels[0]:
                    axes.annotate(
                        name,
                        (0.01, 1 - s),
                        xycoords=axes.get_yaxis_transform(),
                        va="bottom",
                        fontsize=8,
                        color=MUTED,
                    )
        panels[0].set_ylabel("share of calls that take longer")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        return figure


def survival(times_ns: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and the share of calls longer than each, thinned to 2000 points, tail kept whole."""
    ordered = np.sort(times_ns).astype(np.float64)
    count = ordered.size
    ranks = np.arange(count)
    if count > _POINTS:
        even = np.linspace(0, count - 1, _POINTS // 2)
        tail = count - np.geomspace(1, count, _POINTS // 2)
        ranks = np.unique(np.concatenate([even, tail]).astype(np.int64))
    # The slowest call has nothing beyond it, and a logarithmic axis has no zero.
    ranks = ranks[ranks < count - 1] if count > 1 else ranks
    return ordered[ranks], 1 - (ranks + 1) / count if count > 1 else np.ones(1)
