"""What artefacts are compared on at export: recorded, edge and invalid observations."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.observations import check_recorded, float32_from
from dspctl.runtime.reference.edges import edge_observations, invalid_observations

_SEED = 0
"""Of the generated observations: the same policy always gets the same ones."""

_MOST_RECORDED = 4096
"""Recorded observations compared; every one costs two calls, and more find nothing new."""


def parity_observations(
    policy: Policy,
    recorded: NDArray[np.floating[Any]] | None,
    *,
    most_recorded: int = _MOST_RECORDED,
    most_edges: int | None = None,
) -> NDArray[np.float32]:
    """Recorded observations, evenly picked, followed by edge cases and by invalid ones.

    Args:
        policy: what they are for.
        recorded: float [n, obs_dim], raw, from episodes of this policy; or None.
        most_recorded: how many of them at most.
        most_edges: how many edge cases at most; None for all.

    Returns:
        float32 [m, obs_dim]; only generated rows hold NaN and infinities.

    Raises:
        ObservationShape: *recorded* is not [n, obs_dim] with n > 0.
        ObservationNotFinite: *recorded* holds a NaN, an infinity or a value beyond float32.
    """
    rng = np.random.default_rng(_SEED)
    edges = edge_observations(policy, rng)
    edges = _evenly(edges, len(edges) if most_edges is None else most_edges)
    generated = np.concatenate([edges, invalid_observations(policy, rng)])
    if recorded is None:
        return generated
    check_recorded(recorded, policy)
    return np.concatenate([float32_from(_evenly(recorded, most_recorded)), generated])


def _evenly(rows: NDArray[Any], most: int) -> NDArray[Any]:
    if len(rows) <= most:
        return rows
    picked = np.linspace(0, len(rows) - 1, most).round().astype(int)
    return np.take(rows, picked, axis=0)
