"""Observations that find mistakes: the corners of what a policy may ever be given.

Parity checked on zeros proves nothing. These rows reach the clip of the normaliser, both ends of
saturating units, the declared bounds, and values far outside what a recording would hold.
"""

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.policy import ObservationSpec, Policy

UNBOUNDED_REACH = 1e3
"""How far an unbounded feature is driven."""

_LARGEST_BOUND = 1e6
"""A declared bound beyond this (some environments declare the largest float32) is none."""

_ROWS = 64


def edge_observations(policy: Policy, rng: np.random.Generator) -> NDArray[np.float32]:
    """Edge cases for *policy*; the same *rng* state gives the same rows.

    Zeros; all features at their lower, middle and upper value; random corners; every feature alone
    at either end; tiny values of both signs; standard normals; uniform values within reach; and,
    with a normaliser, values spread as in training and values at its clip.

    Returns:
        float32 [n, obs_dim], all finite.
    """
    low, high = reach(policy.observation)
    size = policy.observation.size
    rest = np.clip(0.0, low, high)
    ends = np.repeat(rest[None], 2 * size, axis=0)
    feature = np.arange(size)
    ends[feature, feature], ends[size + feature, feature] = low, high
    corners = rng.random((_ROWS // 2, size)) < 0.5
    rows = [
        np.zeros((1, size)),
        np.stack([low, (low + high) / 2, high]),
        np.where(corners, low, high),
        ends,
        np.outer([1e-30, -1e-30, 1e-7, -1e-7], np.ones(size)),
        rng.standard_normal((_ROWS, size)),
        rng.uniform(low, high, (_ROWS, size)),
    ]
    if policy.normalizer is not None:
        scale = policy.normalizer.scale.astype(np.float64)
        deviation = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0)
        values = [rng.standard_normal((_ROWS, scale.size))]
        if policy.normalizer.clip is not None:
            sign = rng.choice([-1.0, 1.0], (_ROWS // 4, scale.size))
            values += [sign * policy.normalizer.clip * factor for factor in (0.999, 1.0, 1.001)]
        spread = np.concatenate(values) * deviation + policy.normalizer.mean
        near = np.repeat(rest[None], len(spread), axis=0)
        near[:, policy.inputs] = np.clip(spread, -_LARGEST_BOUND, _LARGEST_BOUND)
        rows.append(near)
    return np.concatenate(rows).astype(np.float32)


def reach(spec: ObservationSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Finite lower and upper values per feature, float64 [obs_dim] each.

    The declared bound where it is a usable number, else ±`UNBOUNDED_REACH` moved inside what is
    declared.
    """
    low, high = spec.low.astype(np.float64), spec.high.astype(np.float64)
    return (
        np.where(np.abs(low) <= _LARGEST_BOUND, low, np.clip(-UNBOUNDED_REACH, low, high)),
        np.where(np.abs(high) <= _LARGEST_BOUND, high, np.clip(UNBOUNDED_REACH, low, high)),
    )
