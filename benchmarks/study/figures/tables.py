"""Tables of one sparsity: what each method earns in each environment, and what is left of it."""

from collections.abc import Iterator

import numpy as np

from dspctl.benchmarks.study.figures.collection import (
    BASE,
    REFERENCE,
    Collection,
    Group,
    same,
)
from dspctl.benchmarks.study.figures.paper import reported
from dspctl.benchmarks.study.figures.statistics import interquartile_mean, stratified_interval
from dspctl.benchmarks.study.figures.wording import (
    DASH,
    Notes,
    count,
    fraction,
    layouts,
    named_seeds,
    number,
    percent,
    seeds,
    share,
    share_gone,
    span,
    table,
    with_deviation,
)

NOTHING = "No results are stored yet."

_ENOUGH = 5
"""Runs whose range holds the median of all in nearly 95% of cases."""

_RETURNS = (
    *("Method", "Sparsity", "Mean ± sd over seeds", "IQM [95%]", "Kept", "Kept over random"),
    *("Each seed", "Paper, 93%"),
)
_SIZES = ("Method", "Units left", "Weights", "not 0", "gone", "FLOPs", "gone", "Steps")


def results(collection: Collection) -> str:
    """Per environment: returns of every method, then the size of what is left."""
    if not collection.groups:
        return NOTHING
    parts = []
    for environment in collection.environments:
        parts.append(f"### {environment}")
        parts.append(returns_table(collection, environment))
        parts.append(sizes_table(collection, environment))
    return "\n\n".join(parts)


def returns_table(collection: Collection, environment: str) -> str:
    """Returns in one environment, a row a method; the paper's own number in the last column."""
    notes, rows = Notes(), []
    reference = collection.reference(environment)
    if reference is None:
        notes.add(f"`{REFERENCE}` was not run here, so no share of its return can be given.")
    elif environment not in collection.random:
        notes.add("What acting at random earns was not measured, so nothing is normalised.")
    elif collection.scale(environment) is None:
        notes.add(f"`{REFERENCE}` earns no more than acting at random: nothing is normalised.")
    if reference is not None and reference.mean <= 0:
        notes.add("The unpruned return is not positive, so a plain share of it means nothing.")
    for method, group in _methods(collection, environment, notes):
        if group is None:
            paper = reported(environment, method, None)
            if paper:
                rows.append([f"`{method}`", *[DASH] * 6, paper.text])
        else:
            rows.append(_returns_row(collection, group, reference))
            paper = reported(environment, method, group.sparsity)
        if paper and paper.note:
            notes.add(f"\\* Paper, `{method}`: {paper.note}")
    _note_seeds(collection, environment, notes)
    return table(_RETURNS, rows, notes)


def sizes_table(collection: Collection, environment: str) -> str:
    """Size of the compact policies in one environment, and the steps they took, a row a method."""
    notes, rows = Notes(), []
    for method, group in _methods(collection, environment, Notes()):
        if group is None:
            continue
        cells = group.cells
        whole = [cell.seed for cell in cells if cell.weights == cell.original_weights]
        if whole and method == "pops":
            notes.add(
                f"`{method}` removed nothing at {named_seeds(whole)}: no smaller network kept what "
                "it asks for, and it delivers its teacher."
            )
        flops = float(np.mean([cell.flops / cell.original_flops for cell in cells]))
        rows.append(
            [
                f"`{method}`",
                layouts(group),
                count([cell.weights for cell in cells]),
                count([cell.nonzero_weights for cell in cells]),
                share_gone(group.weights_left),
                count([cell.flops for cell in cells]),
                share_gone(flops),
                count([cell.steps for cell in cells]),
            ]
        )
    return table(_SIZES, rows, notes)


def _returns_row(collection: Collection, group: Group, reference: Group | None) -> list[str]:
    middle, interval = stratified_interval([group.means], interquartile_mean)
    paper = reported(group.environment, group.method, group.sparsity)
    scores = collection.normalised(group)
    return [
        f"`{group.method}`",
        percent(group.sparsity),
        with_deviation(group),
        f"{number(middle)} {span(interval)}" if interval else number(middle),
        share(kept(group, reference)),
        fraction(None if scores is None else float(scores.mean())),
        ", ".join(f"{value:.0f}" for value in group.means),
        paper.text if paper else DASH,
    ]


def kept(group: Group, reference: Group | None) -> float | None:
    """Share of the unpruned mean return, of the same seeds where all of them were run.

    None where that is not positive, or where nothing unpruned is there.
    """
    if reference is None:
        return None
    unpruned = {cell.seed: cell.mean_return for cell in reference.cells}
    same = [unpruned[seed] for seed in group.seeds if seed in unpruned]
    whole = reference.mean if len(same) < len(group.seeds) else float(np.mean(same))
    return group.mean / whole if whole > 0 else None


def _methods(
    collection: Collection, environment: str, notes: Notes
) -> Iterator[tuple[str, Group | None]]:
    """Every method of the collection with its group in one environment, if there is one."""
    absent = []
    for method in collection.methods:
        group = collection.find(environment, method)
        if group is None:
            reason = _why_missing(collection, environment, method)
            if reason:
                notes.add(reason)
            else:
                absent.append(f"`{method}`")
        yield method, group
    if absent:
        notes.add(f"Not run here: {', '.join(absent)}.")


def _why_missing(collection: Collection, environment: str, method: str) -> str:
    """A sentence; none where the method was not run at all."""
    here = [
        group
        for group in collection.groups
        if (group.environment, group.method, group.variant) == (environment, method, BASE)
    ]
    if not here:
        variants = collection.variants(environment, method)
        return f"`{method}` was run as an ablation alone." if variants else ""
    headline = percent(collection.headline)
    others = sorted({group.sparsity for group in here if group.sparsity is not None})
    if any(same(one, collection.headline) for one in others):
        return f"`{method}` was run at {headline} with several lambdas, none of them the recipe's."
    return f"`{method}` was run at {', '.join(map(percent, others))}, not at {headline}."


def _note_seeds(collection: Collection, environment: str, notes: Notes) -> None:
    """Name the seeds once where all methods have the same, else those that have others."""
    found = [collection.find(environment, method) for method in collection.methods]
    groups = [group for group in found if group is not None]
    if not groups:
        return
    most = max((group.seeds for group in groups), key=len)
    if len(most) == 1:
        notes.add(f"One seed, {most[0]}: nothing is known of the spread over seeds.")
    else:
        notes.add(f"Seeds {seeds(most)}.")
        if len(most) < _ENOUGH:
            # Each run lies above the median or below it, evenly; all on one side misses it.
            held = 1 - 2.0 ** (1 - len(most))
            notes.add(
                f"An interval of {len(most)} runs is within their range, which holds the median of "
                f"all runs in {share(held)} of cases only."
            )
    for group in groups:
        if group.seeds != most:
            notes.add(f"`{group.method}`: {named_seeds(group.seeds)} only.")
