"""Observations that find mistakes: the corners of what a policy may ever be given, and beyond.

Parity checked on zeros proves nothing. `edge_observations` reach the clip of the normaliser, both
ends of saturating units, the declared bounds, and values far outside what a recording would hold;
the guard lets all of them through. `invalid_observations` are what it must find.
"""

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.policy import ObservationSpec, Policy
from dspctl.runtime.reference.rounding import fits_float32

UNBOUNDED_REACH = 1e3
"""How far an unbounded feature is driven."""

_LARGEST_BOUND = 1e6
"""A declared bound beyond this (some environments declare the largest float32) is none."""

_ROWS = 64
_FEATURES = 4
"""Features that are made invalid one at a time, evenly picked."""


def edge_observations(policy: Policy, rng: np.random.Generator) -> NDArray[np.float32]:
    """Edge cases for *policy*; the same *rng* state gives the same rows.

    Zeros; all features at their lower, middle and upper value; random corners; every feature alone
    at either end; tiny values of both signs; standard normals; uniform values within reach; and,
    with a normaliser, values spread as in training and values at its clip.

    Returns:
        float32 [n, obs_dim], all of them valid: moved into the guard's range.
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
        values = [rng.standard_normal((_ROWS, policy.inputs.size))]
        if policy.normalizer.clip is not None:
            sign = rng.choice([-1.0, 1.0], (_ROWS // 4, policy.inputs.size))
            values += [sign * policy.normalizer.clip * factor for factor in (0.999, 1.0, 1.001)]
        near = around_statistics(policy, np.concatenate(values), rest)
        rows.append(np.clip(near, -_LARGEST_BOUND, _LARGEST_BOUND))
    return np.clip(
        np.concatenate(rows).astype(np.float32), policy.guard.low, policy.guard.high
    ).astype(np.float32)


def invalid_observations(policy: Policy, rng: np.random.Generator) -> NDArray[np.float32]:
    """What the guard of *policy* must find, and what it must not; the same *rng* gives the same.

    A few features that the network reads, each alone at NaN, both infinities, just outside its
    range, and at the ends of it, which are valid; several features at once; and features that the
    network does not read at NaN, which is valid too. Rows whose repaired observation could
    overflow in float32 are left out: nothing can be compared there.

    Returns:
        float32 [n, obs_dim].
    """
    guard, read = policy.guard, policy.inputs
    normal = rng.standard_normal(policy.observation.size).astype(np.float32)
    usual: NDArray[np.float32] = np.clip(normal, guard.low, guard.high)
    with np.errstate(over="ignore"):  # one above the largest float32 is infinity
        above = np.nextafter(guard.high, np.float32(np.inf))
        below = np.nextafter(guard.low, np.float32(-np.inf))
    wrong = [np.full_like(usual, value) for value in (np.nan, np.inf, -np.inf)]
    wrong += [above, below]
    rows: list[NDArray[np.float32]] = []
    picked = np.linspace(0, read.size - 1, min(read.size, _FEATURES)).astype(int)
    for feature in read[picked]:
        for values in (*wrong, guard.low, guard.high):
            rows.append(usual.copy())
            rows[-1][feature] = values[feature]
    for values in wrong[:3]:
        rows.append(usual.copy())
        rows[-1][read] = values[read]
    both = above.copy()  # both bits of the status, where there are two features to set them
    both[read[0]] = np.nan
    rows.append(both)
    kinds = np.array([*wrong, usual, usual, usual])
    kind = rng.integers(len(kinds), size=(_ROWS // 8, usual.size))
    rows += list(np.take_along_axis(kinds, kind, axis=0))
    unread = np.setdiff1d(np.arange(usual.size), read)
    if unread.size:
        rows.append(usual.copy())
        rows[-1][unread] = np.nan
    found = np.array(rows, np.float32)
    return found[fits_float32(policy, guard.repair(found, read))]


def around_statistics(
    policy: Policy, normal: NDArray[np.float64], rest: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Observations that the normaliser maps to *normal*.

    Args:
        policy: with a normaliser.
        normal: float64 [n, inputs], normalised values.
        rest: float64 [obs_dim], what the features that are not read are.

    Returns:
        float64 [n, obs_dim].
    """
    rows = np.repeat(rest[None], len(normal), axis=0)
    if policy.normalizer is not None:
        scale = policy.normalizer.scale.astype(np.float64)
        deviation = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0)
        rows[:, policy.inputs] = policy.normalizer.mean + normal * deviation
    return rows


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
