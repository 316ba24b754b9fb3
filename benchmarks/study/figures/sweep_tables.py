"""Tables over several groups of a method: the sparsities it was run at, and its ablations."""

from collections.abc import Sequence

from dspctl.benchmarks.study.figures.collection import BASE, Collection, FloatArray, Group
from dspctl.benchmarks.study.figures.statistics import (
    interquartile_mean,
    probability_of_improvement,
    stratified_interval,
)
from dspctl.benchmarks.study.figures.tables import kept
from dspctl.benchmarks.study.figures.wording import (
    DASH,
    Notes,
    fraction,
    fractions,
    layouts,
    number,
    percent,
    share,
    share_gone,
    span,
    table,
    with_deviation,
)

NO_SWEEP = "No stored results have a method at several sparsities yet."
NO_ABLATIONS = "No stored results have ablations yet."


def swept(collection: Collection) -> tuple[str, ...]:
    """Methods that some environment has at several sparsities."""
    return tuple(
        method
        for method in collection.methods
        if any(len(sweep(collection, one, method)) > 1 for one in collection.environments)
    )


def sweep(collection: Collection, environment: str, method: str) -> list[Group]:
    """A method's groups in an environment, at the recipe's lambda, by sparsity."""
    found = [
        collection.find(environment, method, sparsity=sparsity)
        for sparsity in collection.sparsities(method)
    ]
    return [group for group in found if group is not None]


def sweep_table(collection: Collection) -> str:
    """One row per environment and sparsity, two columns a method: return, and share kept."""
    methods = swept(collection)
    if not methods:
        return NO_SWEEP
    sparsities = sorted({one for method in methods for one in collection.sparsities(method)})
    head = ["Environment", "Sparsity"]
    for method in methods:
        head += [f"`{method}`, mean ± sd", "kept", "weights gone"]
    rows, notes = [], Notes()
    for environment in collection.environments:
        reference = collection.reference(environment)
        for sparsity in sparsities:
            row, present = [environment, percent(sparsity)], False
            for method in methods:
                group = collection.find(environment, method, sparsity=sparsity)
                present |= group is not None
                row += (
                    [DASH] * 3
                    if group is None
                    else [
                        with_deviation(group),
                        share(kept(group, reference)),
                        share_gone(group.weights_left),
                    ]
                )
            if present:
                rows.append(row)
                if DASH in row[2::3]:
                    notes.add("A dash in place of a return: not run.")
        if reference is not None and reference.mean <= 0:
            notes.add(f"{environment}: the unpruned return is not positive, so no share is given.")
        if reference is None:
            notes.add(f"{environment}: the unpruned PPO was not run, so no share is given.")
    return table(head, rows, notes)


def ablations(collection: Collection) -> str:
    """Every variant against its base: returns, and how likely a run of it is better."""
    rows: list[list[str]] = []
    notes = Notes()
    for method in collection.methods:
        names = sorted(
            {name for one in collection.environments for name in collection.variants(one, method)}
        )
        for place, name in enumerate((BASE, *names)):
            if names:
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
        start = [f"`{method}`", "as it is" if first else variant, environment]
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
