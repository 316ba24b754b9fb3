"""Pictures that compare methods: profiles, probabilities of improvement, return against size."""

from typing import TYPE_CHECKING

import numpy as np

from dspctl.benchmarks.plots.style import INK, MUTED, new_figure, styled
from dspctl.benchmarks.study.figures.aggregate import (
    Comparison,
    common_environments,
    compare,
    complete_methods,
    scores,
)
from dspctl.benchmarks.study.figures.collection import BASE, REFERENCE, Collection, Group
from dspctl.benchmarks.study.figures.looks import (
    FLOOR,
    band,
    cut_below,
    legend,
    look,
    panels,
    place_legend,
)
from dspctl.benchmarks.study.figures.statistics import performance_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 241


def profiles_figure(collection: Collection) -> "Figure | None":
    """Share of runs above a normalised return, of methods that were run in every environment."""
    methods = complete_methods(collection)
    if len(methods) < 2:
        return None
    runs = {method: list(scores(collection, method).values()) for method in methods}
    lowest = min(float(one.min()) for strata in runs.values() for one in strata)
    highest = max(float(one.max()) for strata in runs.values() for one in strata)
    thresholds = np.linspace(min(0.0, lowest) - 0.02, max(1.0, highest) + 0.02, _POINTS)
    with styled():
        figure = new_figure(7.2, 4.2)
        axes = figure.subplots()
        for method in methods:
            style, profile = look(method), performance_profile(runs[method], thresholds)
            axes.plot(
                thresholds,
                profile.estimate,
                color=style.color,
                linestyle=style.line,
                drawstyle="steps-post",
            )
            if profile.low is not None and profile.high is not None:
                band(
                    axes,
                    thresholds,
                    *(profile.low, profile.high, style.color),
                    step="post",
                    alpha=min(0.16, 0.7 / len(methods)),  # many lie over each other
                )
        axes.axvline(1, color=MUTED, lw=0.9, ls=(0, (1, 2)), zorder=1)
        axes.set(
            xlabel="normalised return τ (0: random policy, 1: unpruned PPO)",
            ylabel="share of runs with a return above τ",
            ylim=(-0.02, 1.02),
        )
        axes.set_xlim(thresholds[0], thresholds[-1])
        legend(figure, list(methods))
        return figure


def comparisons(collection: Collection) -> list[Comparison]:
    """Every method against the unpruned PPO, and every other against ``dsp``.

    ``dsp-kd`` also against its control, which has the same teacher, and its size from the first
    step. Over the environments of the aggregates, so that all are judged by the same ones; where
    returns cannot be normalised, over all.
    """
    environments = common_environments(collection) or collection.environments
    pairs = [(one, REFERENCE) for one in collection.methods if one != REFERENCE]
    pairs += [(one, "dsp") for one in collection.methods if one not in (REFERENCE, "dsp")]
    pairs.append(("dsp-kd", "kd-small"))
    found = [compare(collection, *pair, environments) for pair in pairs]
    return [one for one in found if one is not None]


def improvement_figure(collection: Collection) -> "Figure | None":
    """Probability that a run of one method beats one of another, with 95% intervals."""
    found = comparisons(collection)
    if not found:
        return None
    with styled():
        figure = new_figure(7.2, 0.36 * len(found) + 1.1)
        axes = figure.subplots()
        for row, one in enumerate(found):
            style = look(one.method)
            if one.interval is not None:
                low, high = one.interval.low, one.interval.high
                axes.hlines(row, low, high, color=style.color, lw=5, alpha=0.35)
            axes.plot(one.probability, row, color=style.color, marker=style.marker, clip_on=False)
        axes.axvline(0.5, color=INK, lw=0.9, ls=(0, (4, 2)), zorder=1)
        total = max(len(one.environments) for one in found)
        names = [
            f"{one.method} > {one.other}"
            + ("" if len(one.environments) == total else f"  ({len(one.environments)} of {total})")
            for one in found
        ]
        axes.set_yticks(range(len(found)), names)
        axes.set(xlim=(-0.02, 1.02), ylim=(len(found) - 0.5, -0.5))
        axes.set_xlabel("probability that a run of the first has the higher return")
        axes.grid(visible=False, axis="y")
        return figure


def frontier_figure(collection: Collection) -> "Figure | None":
    """Normalised return against weights left, every method and sparsity, a panel an environment.

    A filled marker stands at the weights that the compact policy stores; where many of these are
    0, a hollow one stands at those that are not.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter

    found = {
        environment: groups
        for environment in collection.environments
        if collection.scale(environment) and len(groups := _drawn(collection, environment)) > 1
    }
    if not found:
        return None
    with styled():
        figure, axes = panels(len(found))
        for one, (environment, groups) in zip(axes, found.items(), strict=True):
            drawn = [place for group in groups for place in _draw_point(one, collection, group)]
            one.axhline(1, color=MUTED, lw=0.9, ls=(0, (1, 2)), zorder=1)
            one.set(xscale="log", title=environment, xlabel="weights left (%)")
            one.set_ylabel("normalised return")
            low, high = one.get_ylim()
            one.set_ylim(min(0.0, low), max(1.05, high))  # no marker at 1 is cut
            cut_below(one, FLOOR, drawn, lambda score: f"{score:.1f}")
            one.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        shown = {group.method for groups in found.values() for group in groups}
        names = [method for method in collection.methods if method in shown]
        place_legend(
            figure,
            [
                Line2D([], [], ls="none", color=look(one).color, marker=look(one).marker, label=one)
                for one in names
            ],
        )
        return figure


def _drawn(collection: Collection, environment: str) -> list[Group]:
    """Groups as they are, at the recipe's lambda, of every sparsity."""
    found = []
    for method in collection.methods:
        sparsities = {
            group.sparsity
            for group in collection.groups
            if (group.environment, group.method, group.variant) == (environment, method, BASE)
        }
        for sparsity in sorted(sparsities, key=lambda one: -1.0 if one is None else one):
            group = collection.find(environment, method, sparsity=sparsity)
            if group is not None and group not in found:
                found.append(group)
    return found


def _draw_point(
    axes: "Axes", collection: Collection, group: Group
) -> list[tuple[float, float, str]]:
    """Draw a group where it has a normalised return; returns its marker's place and method."""
    runs = collection.normalised(group)
    if runs is None:
        return []
    style = look(group.method)
    stored = 100 * group.weights_left
    nonzero = 100 * float(
        np.mean([cell.nonzero_weights / cell.original_weights for cell in group.cells])
    )
    score = float(runs.mean())
    axes.plot(stored, score, color=style.color, marker=style.marker, ls="none", markersize=6)
    if nonzero < 0.95 * stored:
        axes.plot([nonzero, stored], [score, score], color=style.color, lw=0.8, alpha=0.6)
        axes.plot(nonzero, score, color=style.color, marker=style.marker, markersize=6, mfc="white")
    if len(runs) > 1:
        axes.vlines(stored, runs.min(), runs.max(), color=style.color, lw=1, alpha=0.6)
    return [(stored, score, group.method)]
