"""Parity at export: the artefact against the reference, on recorded and on edge observations."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import NotEquivalent, ObservationShape
from dspctl.runtime.edges import edge_observations
from dspctl.runtime.parity import Parity, golden_from_policy, measure_parity
from dspctl.runtime.policy import Policy
from dspctl.runtime.runner import Runner, check_observation

__all__ = ["Parity", "check_parity", "parity_observations"]

_SEED = 0
"""Of the edge observations: the same policy always gets the same ones."""

_MOST_RECORDED = 4096
"""Recorded observations compared; every one costs two calls, and more find nothing new."""


def parity_observations(
    policy: Policy,
    recorded: NDArray[np.floating[Any]] | None,
    *,
    most_recorded: int = _MOST_RECORDED,
    most_edges: int | None = None,
) -> NDArray[np.float32]:
    """Recorded observations, evenly picked, followed by edge cases.

    Args:
        policy: what they are for.
        recorded: float [n, obs_dim], raw, from episodes of this policy; or None.
        most_recorded: how many of them at most.
        most_edges: how many edge cases at most; None for all.

    Returns:
        float32 [m, obs_dim], all finite.

    Raises:
        ObservationShape: *recorded* is not [n, obs_dim] with n > 0.
        ObservationNotFinite: *recorded* holds a NaN, an infinity or a value beyond float32.
    """
    edges = edge_observations(policy, np.random.default_rng(_SEED))
    edges = _evenly(edges, len(edges) if most_edges is None else most_edges)
    if recorded is None:
        return edges
    check_observation(recorded, policy)
    if recorded.ndim != 2 or len(recorded) == 0:
        raise ObservationShape(
            f"recorded observations must be [n, {policy.observation.size}] with at least one "
            f"row, not {list(recorded.shape)}: record an episode, or pass None"
        )
    return np.concatenate([_evenly(recorded, most_recorded).astype(np.float32), edges])


def check_parity(runner: Runner, observations: NDArray[np.float32]) -> Parity:
    """Compare *runner* with the float64 reference on *observations*, float32 [n, obs_dim].

    The tolerance is `dspctl.runtime.parity.rounding_bound`.

    Raises:
        NotEquivalent: an output is further away than float32 rounding explains, or an action
            disagrees.
    """
    parity = measure_parity(runner, golden_from_policy(runner.policy, observations))
    if not parity.passed:
        raise NotEquivalent(
            f"the exported artefact does not compute what the policy does ({parity}): nothing "
            "was written; please report this together with the policy file"
        )
    return parity


def _evenly(rows: NDArray[Any], most: int) -> NDArray[Any]:
    if len(rows) <= most:
        return rows
    picked = np.linspace(0, len(rows) - 1, most).round().astype(int)
    return np.take(rows, picked, axis=0)
