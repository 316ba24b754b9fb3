"""Runs as the page shows them: returns, units leaving, weights before and after."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dspctl.benchmarks.report import learning_charts, words
from dspctl.benchmarks.report.heatmaps import weight_maps
from dspctl.benchmarks.report.metrics import column
from dspctl.benchmarks.report.network import shrinking
from dspctl.benchmarks.report.sources import Chapter, PolicySource, RunSource
from dspctl.benchmarks.report.view import (
    Chart,
    DataTable,
    MapsView,
    NetworkView,
    TrainingView,
    thinned,
)
from dspctl.runtime import Policy


def view_training(
    chapter: Chapter, name: str, labels: Sequence[str], on_chart: Callable[[], None] = lambda: None
) -> TrainingView | None:
    """Everything of a chapter's runs; None where it has none.

    Args:
        chapter: the sources.
        name: prefix of the charts' names.
        labels: of all series of runs, which gives the colours.
        on_chart: called after every chart, for a progress bar.
    """
    if not chapter.runs:
        return None
    pruned = [run for run in chapter.runs if run.pruned and run.rows]
    pruning: list[Chart] = []
    networks: list[NetworkView] = []
    for index, run in enumerate(pruned):
        title = "" if len(pruned) == 1 else f", {run.path.resolve().name}"
        pruning += _pruning(f"{name}-p{index}", run, title)
        on_chart()
        drawing = None if run.policy is None else shrinking(run.policy, run.rows)
        if drawing is not None:
            label = f"{run.label}, seed {run.config['seed']}"
            networks.append(NetworkView(f"{name}-net{index}", label, drawing))
    learning = _learning(f"{name}-learning", chapter.runs, labels)
    on_chart()
    return TrainingView(
        summary=_summary(chapter.runs),
        learning=learning,
        pruning=tuple(pruning),
        networks=tuple(networks),
        maps=run_maps(f"{name}-maps", chapter.runs),
    )


def run_maps(name: str, runs: Sequence[RunSource]) -> MapsView | None:
    """Weights before, masked and after, of the first pruned run."""
    run = next((one for one in runs if one.pruned and one.policy and one.compacted), None)
    if run is None or run.policy is None or run.compacted is None:
        return None
    before, said = _before(run, runs)
    policies = {said: before, f"{run.label}, masked": run.policy, "compacted": run.compacted}
    maps = weight_maps(policies)
    if maps is None:
        return None
    gone = sum(int((~layer.kept).sum()) for layer in run.policy.hidden)
    caption = (
        "Absolute weights of the first two layers, the stronger the ink the larger; each column is "
        f"one unit of hidden layer 1. Pruning emptied the stripes of {gone} units; compaction "
        "removed them, and what is left is drawn at the same scale, framed, with a "
        "larger copy beside it."
    )
    return MapsView(name, maps, caption)


def policy_maps(name: str, policies: Sequence[PolicySource]) -> MapsView | None:
    """Weights of bundles and policy files alone, where there is no run."""
    shown: dict[str, Policy] = {one.label: one.policy for one in policies[:3]}
    maps = weight_maps(shown)
    if maps is None:
        return None
    caption = (
        "Absolute weights of the first two layers, the stronger the ink the larger; each column is "
        "one unit of hidden layer 1, all at one scale."
    )
    return MapsView(name, maps, caption)


def _before(run: RunSource, runs: Sequence[RunSource]) -> tuple[Policy, str]:
    """An unpruned run of the same shape, else the run's own weights with no unit masked."""
    assert run.policy is not None
    shape = [layer.weight.shape for layer in run.policy.layers]
    for one in runs:
        if one.pruned or one.policy is None:
            continue
        if [layer.weight.shape for layer in one.policy.layers] == shape:
            return one.policy, one.label
    whole = tuple(
        replace(layer, mask=None) if layer.mask is not None else layer
        for layer in run.policy.layers
    )
    return replace(run.policy, layers=whole), "units as they were when they left"


def _pruning(name: str, run: RunSource, title: str) -> list[Chart]:
    rows = [row for row in run.rows if isinstance(row.get("units"), list) and row["units"]]
    if not rows:
        return []
    first, last = rows[0]["units"], rows[-1]["units"]
    steps = column(rows, "steps")
    scheduled, reached = column(rows, "scheduled_sparsity"), column(rows, "unit_sparsity")
    weights, level = column(rows, "weight_sparsity"), column(rows, "threshold")
    table = DataTable(
        ("steps", "units", "units removed", "weights removed", "threshold"),
        tuple(
            (
                words.count_of(steps[at]),
                words.units_of(rows[at]["units"]),
                _share(reached[at]),
                _share(weights[at]),
                words.three_digits(float(level[at])),
            )
            for at in thinned(len(rows))
        ),
    )
    charts = [
        Chart(
            f"{name}-units",
            f"Units of the actor{title}",
            learning_charts.units(f"{name}-units", rows),
            f"From {words.units_of(first)} to {words.units_of(last)} hidden units.",
            table,
        )
    ]
    drawn = learning_charts.sparsity(f"{name}-sparsity", rows)
    if drawn is not None:
        charts.append(
            Chart(
                f"{name}-sparsity",
                f"Share removed{title}",
                drawn,
                f"{_share(reached[-1])} of units and {_share(weights[-1])} of weights are gone; "
                f"the schedule asked for {_share(scheduled[-1])} of units.",
            )
        )
    drawn = learning_charts.threshold(f"{name}-threshold", rows)
    if drawn is not None:
        charts.append(
            Chart(
                f"{name}-threshold",
                f"The threshold of pruning{title}",
                drawn,
                "Units whose saliency is below ψ leave; it is shown while pruning was on.",
            )
        )
    return charts


def _learning(name: str, runs: Sequence[RunSource], labels: Sequence[str]) -> Chart | None:
    series: dict[str, list[Sequence[Mapping[str, object]]]] = {}
    for run in runs:
        if np.isfinite(column(run.rows, "episode_return")).any():
            series.setdefault(run.label, []).append(run.rows)
    if not series:
        return None
    last = "; ".join(
        f"{label} {words.return_of(float(np.mean([_last(rows) for rows in seeds])))}"
        for label, seeds in series.items()
    )
    several = any(len(seeds) > 1 for seeds in series.values())
    lines = " The line is the mean over runs, the band their range." if several else ""
    columns = tuple((label, rows) for label, seeds in series.items() for rows in seeds)
    table = DataTable(
        ("series", "steps", "return"),
        tuple(
            (label, words.count_of(steps[at]), words.return_of(float(returns[at])))
            for label, rows in columns
            for steps, returns in ((column(rows, "steps"), column(rows, "episode_return")),)
            for at in thinned(len(rows), 8)
            if np.isfinite(returns[at])
        ),
    )
    return Chart(
        name,
        "Return while training",
        learning_charts.learning(name, series, labels),
        f"Return of an episode while exploring. Over the last tenth of training: {last}.{lines}",
        table,
        wide=True,
    )


def _last(rows: Sequence[Mapping[str, object]]) -> float:
    """Mean return over the last tenth."""
    returns = column(rows, "episode_return")
    returns = returns[np.isfinite(returns)]
    return float(returns[-max(1, returns.size // 10) :].mean())


def _summary(runs: Sequence[RunSource]) -> DataTable:
    return DataTable(
        ("run", "method", "seed", "steps", "units", "training", "status"),
        tuple(
            (
                run.path.resolve().name,
                run.label,
                str(run.config["seed"]),
                words.count_of(int(run.rows[-1]["steps"])) if run.rows else words.DASH,
                words.units_of(run.info.get("units") or []),
                words.duration_of(float(run.info["seconds"]))
                if run.info.get("seconds")
                else words.DASH,
                str(run.info.get("status", "")),
            )
            for run in runs
        ),
    )


def _share(value: float) -> str:
    return words.share_of(float(value)) if np.isfinite(value) else words.DASH
