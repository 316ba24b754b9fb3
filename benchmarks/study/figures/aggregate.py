"""All environments together: normalised returns, and methods against each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from dspctl.benchmarks.stats import Interval
from dspctl.benchmarks.study.figures.collection import REFERENCE, Collection, FloatArray
from dspctl.benchmarks.study.figures.statistics import (
    Statistic,
    interquartile_mean,
    mean,
    optimality_gap,
    probability_of_improvement,
    stratified_interval,
)
from dspctl.benchmarks.study.figures.tables import NOTHING
from dspctl.benchmarks.study.figures.wording import (
    DASH,
    Notes,
    fraction,
    fractions,
    percent,
    share_gone,
    table,
)

NOT_NORMALISED = (
    "No environment has both an unpruned PPO and a random policy's return below it, so there is "
    "nothing to normalise by."
)
_STATISTICS: tuple[Statistic, ...] = (interquartile_mean, mean, optimality_gap)


@dataclass(frozen=True)
class Comparison:
    """One method against another, over the environments that have both.

    Attributes:
        method: the one in question.
        other: the one it is compared with.
        environments: where both were run.
        probability: that a run of the first is better.
        interval: its 95% interval, None where a method has a single run somewhere.
    """

    method: str
    other: str
    environments: tuple[str, ...]
    probability: float
    interval: Interval | None


def scaled_environments(collection: Collection) -> tuple[str, ...]:
    """Environments whose returns can be normalised."""
    return tuple(one for one in collection.environments if collection.scale(one) is not None)


def common_environments(collection: Collection) -> tuple[str, ...]:
    """The environments of aggregates: those that give the largest table without a gap.

    Of the sets of environments that some method was run in, it is the one with the most cells:
    environments times methods that have them all; with as many, the larger set. A method in few
    environments then does not shrink the table for all, nor an environment with few methods.
    """
    scaled = scaled_environments(collection)
    have = [
        {one for one in scaled if collection.find(one, method) is not None}
        for method in collection.methods
    ]
    candidates = sorted(
        (tuple(sorted(found)) for found in have if found), key=lambda x: (-len(x), x)
    )

    def cells(candidate: tuple[str, ...]) -> int:
        return len(candidate) * sum(found.issuperset(candidate) for found in have)

    return max(candidates, key=cells, default=())


def scores(collection: Collection, method: str) -> dict[str, FloatArray]:
    """Environment → normalised returns of a method's runs at the headline sparsity."""
    found = {
        environment: collection.normalised(collection.find(environment, method))
        for environment in common_environments(collection)
    }
    return {environment: runs for environment, runs in found.items() if runs is not None}


def complete_methods(collection: Collection) -> tuple[str, ...]:
    """Methods that were run in every environment of the aggregates."""
    wanted = len(common_environments(collection))
    return tuple(
        method
        for method in collection.methods
        if wanted and len(scores(collection, method)) == wanted
    )


def compare(
    collection: Collection, method: str, other: str, environments: Sequence[str] | None = None
) -> Comparison | None:
    """Two methods at the headline sparsity, in all *environments* that have both; None without."""
    pairs = {}
    for environment in collection.environments if environments is None else environments:
        ours = collection.find(environment, method)
        theirs = collection.find(environment, other)
        if ours is not None and theirs is not None:
            pairs[environment] = (ours.means, theirs.means)
    if not pairs:
        return None
    estimate, interval = probability_of_improvement(
        [ours for ours, _ in pairs.values()], [theirs for _, theirs in pairs.values()]
    )
    return Comparison(method, other, tuple(pairs), estimate, interval)


def aggregate_table(collection: Collection) -> str:
    """One row a method: normalised returns over all environments, and what is left of the weights.

    A method that lacks an environment gets dashes: an aggregate over other environments than its
    neighbours' would compare nothing.
    """
    if not collection.groups:
        return NOTHING
    environments = common_environments(collection)
    if not environments:
        return NOT_NORMALISED
    complete, notes = complete_methods(collection), Notes()
    rows = []
    for method in collection.methods:
        if method not in complete:
            have = scores(collection, method)
            missing = ", ".join(one for one in environments if one not in have)
            notes.add(f"`{method}` has no runs at this sparsity in {missing}.")
            rows.append([f"`{method}`", *[DASH] * 6])
            continue
        runs = scores(collection, method)
        row = [f"`{method}`", str(sum(len(one) for one in runs.values()))]
        for statistic in _STATISTICS:
            estimate, interval = stratified_interval(list(runs.values()), statistic)
            ends = f" {fractions(interval)}" if interval else ""
            row.append(f"{fraction(estimate)}{ends}")
            if interval is None:
                notes.add("No interval where an environment has a single seed.")
        comparison = (
            compare(collection, method, REFERENCE, environments) if method != REFERENCE else None
        )
        row.append(_probability(comparison))
        left = [
            group.weights_left
            for one in environments
            if (group := collection.find(one, method)) is not None
        ]
        rows.append([*row, share_gone(sum(left) / len(left))])
    scaled = scaled_environments(collection)
    if skipped := [one for one in scaled if one not in environments]:
        notes.add(f"Not in these figures, for fewer methods were run there: {', '.join(skipped)}.")
    if skipped := [one for one in collection.environments if one not in scaled]:
        notes.add(f"Not in these figures, for they cannot be normalised: {', '.join(skipped)}.")
    notes.add(
        f"Environments: {', '.join(environments)}; pruned methods at "
        f"{percent(collection.headline)}."
    )
    head = ("Method", "Runs", "IQM [95%]", "Mean [95%]", "Optimality gap [95%]")
    return table((*head, f"P(better than `{REFERENCE}`) [95%]", "Weights gone"), rows, notes)


def _probability(comparison: Comparison | None) -> str:
    if comparison is None:
        return DASH
    ends = f" {fractions(comparison.interval)}" if comparison.interval else ""
    return f"{fraction(comparison.probability)}{ends}"
