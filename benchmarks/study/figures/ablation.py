"""Ablations: the variants of a method, and what each is worth, seed by seed."""

import numpy as np

from dspctl.benchmarks.study.figures.collection import Collection, FloatArray


def variants(collection: Collection, method: str) -> tuple[str, ...]:
    """Names of a method's ablations over all environments, in alphabetical order."""
    return tuple(
        sorted(
            {name for one in collection.environments for name in collection.variants(one, method)}
        )
    )


def differences(
    collection: Collection, environment: str, method: str, variant: str
) -> FloatArray | None:
    """Normalised return of a variant's runs minus that of the base's runs with the same seeds.

    A seed decides the initialisation and, where there is one, the teacher. Teachers differ more
    from each other than variants do, so runs of other seeds would tell of them.

    Returns:
        float [shared seeds], by seed; None where there is no such variant, no seed that both have,
        or nothing to normalise by.
    """
    group = collection.find(environment, method, variant=variant)
    base = collection.find(environment, method)
    ours, theirs = collection.normalised(group), collection.normalised(base)
    if group is None or base is None or ours is None or theirs is None:
        return None
    shared = sorted(set(group.seeds) & set(base.seeds))
    if not shared:
        return None
    return np.array(
        [ours[group.seeds.index(seed)] - theirs[base.seeds.index(seed)] for seed in shared]
    )
