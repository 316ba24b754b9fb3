"""Observations at the edges of what a policy can be given, for the proof of equality.

Recorded observations show what an episode looks like; these show what it does not: zeros, tiny
values, the corners of the declared bounds, far values where there is no bound, and random ones.
"""

import numpy as np
from numpy.typing import NDArray

from dspctl.compactor.intervals import Interval
from dspctl.compactor.network import Float64
from dspctl.runtime import Policy
from dspctl.runtime.reference.edges import around_statistics

_SEED = 20240205
_RANDOM = 512  # rows of each random kind
_CORNERS = 64  # random corners of each box, besides the two extreme ones
_ALONE = 256
"""Features that are moved one at a time. Each takes six rows of all features, so that moving every
one is memory in the square of the observation: 100 GiB for an image of 48,000 numbers."""
_TINY = (1e-3, 1e-8, 1e-30, 1e-300)
_NEAR = 10.0  # stands for a declared bound that is missing
_FAR = (1e3, 1e6)  # how far to go where nothing bounds a feature


def edge_observations(policy: Policy, bounds: Interval) -> Float64:
    """Edge observations within *bounds*, the same on every call.

    Args:
        policy: gives the declared bounds and the normaliser, around whose statistics some lie.
        bounds: the box for which equality is claimed; everything is clipped into it.

    Returns:
        float64 [n, obs_dim]; n depends on obs_dim only (about 2,000 for 8 features), and grows no
        more beyond 256 features: of more, a fixed sample of those that are read is moved alone.
    """
    rng = np.random.default_rng(_SEED)
    size = policy.observation.size
    alone = _moved_alone(policy)
    declared = Interval(
        policy.observation.low.astype(np.float64), policy.observation.high.astype(np.float64)
    )
    near = _finite(declared, _NEAR)
    rows = [np.zeros((1, size))]
    rows += [np.full((1, size), sign * tiny) for tiny in _TINY for sign in (-1.0, 1.0)]
    for box in (near, *(_finite(bounds, reach) for reach in _FAR)):
        rows += [box.low[None], box.high[None]]
        rows.append(np.where(rng.random((_CORNERS, size)) < 0.5, box.low, box.high))
        rows += [_single(box.low, alone), _single(box.high, alone)]
    rows.append(rng.uniform(size=(_RANDOM, size)) * (near.high - near.low) + near.low)
    rows.append(rng.normal(size=(_RANDOM, size)))
    rows.append(rng.normal(size=(_RANDOM, size)) * 10.0)
    if policy.normalizer is not None:
        normal = rng.normal(size=(_RANDOM, policy.inputs.size))
        rows.append(around_statistics(policy, normal, np.zeros(size)))
    return np.clip(np.concatenate(rows), bounds.low, bounds.high)


def _moved_alone(policy: Policy) -> NDArray[np.int64]:
    """The features that are moved one at a time, ascending; the same ones for the same policy."""
    size = policy.observation.size
    if size <= _ALONE:
        return np.arange(size)
    # What is not read cannot differ; a generator of its own, so that the other rows stay.
    among = policy.inputs
    chosen = np.random.default_rng(_SEED).choice(among, min(_ALONE, among.size), replace=False)
    return np.sort(chosen)


def _single(values: Float64, features: NDArray[np.int64]) -> Float64:
    """Rows of zeros but for one of *features*, which has its value: [features, obs_dim]."""
    rows = np.zeros((features.size, values.size))
    rows[np.arange(features.size), features] = values[features]
    return rows


def _finite(box: Interval, reach: float) -> Interval:
    """*box* with *reach* where it has no end."""
    none = np.finfo(np.float32).max
    low = np.where(box.low <= -none, -reach, box.low)
    high = np.where(box.high >= none, reach, box.high)
    return Interval(np.minimum(low, high), np.maximum(low, high))
