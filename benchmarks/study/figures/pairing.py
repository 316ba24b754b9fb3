"""Runs against runs of the same seed."""

from collections.abc import Sequence

import numpy as np

from dspctl.benchmarks.study.figures.collection import Collection, FloatArray, Group
from dspctl.benchmarks.study.figures.statistics import mean, stratified_interval
from dspctl.benchmarks.study.figures.wording import signed, signed_span


def paired(collection: Collection, ours: Group | None, theirs: Group | None) -> FloatArray | None:
    """Normalised return of a group's runs minus that of another's runs with the same seeds.

    A seed decides the initialisation and, where there is one, the teacher. Teachers differ more
    from each other than many methods do, so runs of other seeds would tell of them.

    Args:
        collection: has the scale of the environment.
        ours: a group.
        theirs: another of the same environment.

    Returns:
        float [shared seeds], by seed; None without a group, a seed that both have, or a scale.
    """
    one, other = collection.normalised(ours), collection.normalised(theirs)
    if ours is None or theirs is None or one is None or other is None:
        return None
    shared = sorted(set(ours.seeds) & set(theirs.seeds))
    if not shared:
        return None
    return np.array(
        [one[ours.seeds.index(seed)] - other[theirs.seeds.index(seed)] for seed in shared]
    )


def difference(strata: Sequence[FloatArray]) -> str:
    """A mean difference in words, with its interval where there is one.

    Args:
        strata: `paired` of each environment.
    """
    estimate, interval = stratified_interval(strata, mean)
    return f"{signed(estimate)} {signed_span(interval)}" if interval else signed(estimate)
