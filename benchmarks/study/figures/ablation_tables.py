"""Ablations: every variant of a method against the method as it is."""

from collections.abc import Sequence

from dspctl.benchmarks.study.figures.collection import BASE, Collection, FloatArray
from dspctl.benchmarks.study.figures.statistics import (
    interquartile_mean,
    probability_of_improvement,
    stratified_interval,
)
from dspctl.benchmarks.study.figures.wording import (
    DASH,
    Notes,
    fraction,
    fractions,
    layouts,
    number,
    span,
    table,
    with_deviation,
)

NO_ABLATIONS = "No stored results have ablations yet."
AS_IT_IS = "as it is"
"""What the method without a change is called, first of its rows."""


def variants(collection: Collection, method: str) -> tuple[str, ...]:
    """Rows of a method: the base, then its ablations over all environments; empty without any."""
    names = sorted(
        {name for one in collection.environments for name in collection.variants(one, method)}
    )
    return (BASE, *names) if names else ()


def ablations(collection: Collection) -> str:
    """Every variant against its base: returns, and how likely a run of it is better."""
    rows: list[list[str]] = []
    notes = Notes()
    for method in collection.methods:
        for place, name in enumerate(variants(collection, method)):
            rows += _variant_rows(collection, method, name, notes, first=place == 0)
    if not rows:
        return NO_ABLATIONS
    head = ("Method", "Variant", "Environment", "Mean ± sd over seeds", "IQM [95%]")
    return table((*head, "Units left", "P(better than base) [95%]"), rows, notes, left=(0, 1, 2))


def _variant_rows(
    collection: Collection, method: str, variant: str, notes: Notes, *, first: bool
) -> list[list[str]]:
    """One row an environment, and one over all of them where there are several."""
    rows, ours, theirs = [], [], []
    for environment in collection.environments:
        if not collection.variants(environment, method):
            continue
        group = collection.find(environment, method, variant=variant)
        base = collection.find(environment, method)
        start = [f"`{method}`", AS_IT_IS if first else variant, environment]
        if group is None:
            notes.add("A row of dashes: not run there, or not at this sparsity.")
            rows.append([*start, *[DASH] * 4])
            continue
        middle, interval = stratified_interval([group.means], interquartile_mean)
        better = DASH
        if not first and base is not None:
            better = _better([group.means], [base.means])
            ours.append(group.means)
            theirs.append(base.means)
        elif not first:
            notes.add(f"`{method}` as it is was not run in {environment}: nothing to compare with.")
        rows.append(
            [
                *start,
                with_deviation(group),
                f"{number(middle)} {span(interval)}" if interval else number(middle),
                layouts(group),
                better,
            ]
        )
    if len(ours) > 1:
        every = [f"`{method}`", variant, f"all {len(ours)}"]
        rows.append([*every, DASH, DASH, DASH, _better(ours, theirs)])
    return rows


def _better(ours: Sequence[FloatArray], theirs: Sequence[FloatArray]) -> str:
    """A probability of improvement, with its interval where there is one."""
    estimate, interval = probability_of_improvement(ours, theirs)
    return f"{fraction(estimate)} {fractions(interval)}" if interval else fraction(estimate)
