"""Input features that a network could do without: which ones, and the network that lacks them."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime import Policy


def ranked_inputs(policy: Policy, observations: NDArray[np.float32]) -> tuple[int, ...]:
    """The features that *policy* reads, the least important first.

    The importance of feature i is the variance that it brings into the first layer,
    ``var(x_i) sum_j w_ji^2``, with x as the layer gets it: normalised where the policy does that.

    Args:
        policy: compact or not.
        observations: raw, float32 [n, obs_dim], as it meets them; all features count as equally
            wide where there are none.
    """
    energy = np.square(policy.layers[0].weight.astype(np.float64)).sum(axis=0)
    if len(observations):
        read = observations[:, policy.inputs]
        if policy.normalizer is not None:
            read = policy.normalizer.apply(read)
        energy = energy * read.astype(np.float64).var(axis=0)
    order = np.argsort(energy, kind="stable")
    return tuple(int(feature) for feature in policy.inputs[order])


def without_inputs(policy: Policy, features: Collection[int]) -> Policy:
    """*policy* with the columns of *features* gone from its first layer and normaliser.

    Args:
        policy: reads at least one feature besides.
        features: indices into the observation; those that it does not read change nothing.
    """
    kept = ~np.isin(policy.inputs, list(features))
    first, normalizer = policy.layers[0], policy.normalizer
    if normalizer is not None:
        normalizer = replace(normalizer, mean=normalizer.mean[kept], scale=normalizer.scale[kept])
    return replace(
        policy,
        layers=(
            replace(first, weight=np.ascontiguousarray(first.weight[:, kept])),
            *policy.layers[1:],
        ),
        inputs=policy.inputs[kept],
        normalizer=normalizer,
    )
