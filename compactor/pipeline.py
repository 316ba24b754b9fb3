"""From a masked policy to the dense minimal one: rewrite, prove, round, report."""

import hashlib
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.compactor.edges import edge_observations
from dspctl.compactor.intervals import supported_bounds, unbounded
from dspctl.compactor.masks import masks_from_policy
from dspctl.compactor.network import (
    Float64,
    Network,
    network_from_policy,
    policy_from_network,
    rounded,
)
from dspctl.compactor.report import Compaction, json_from_counts
from dspctl.compactor.rewrite import reduce_network, remove_masked
from dspctl.compactor.verify import Proof, measure_rounding, prove_equal
from dspctl.runtime import Policy
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.policy.observations import check_observation, check_recorded


def compact(
    policy: Policy, *, observations: NDArray[Any] | None, assume_bounds: bool = True
) -> Compaction:
    """The dense minimal policy that computes what the masked *policy* computes.

    Some rewrites need to know which observations are possible: a relu that is never on, a tanh
    that is always saturated, a normaliser whose clip never acts. A clipping normaliser bounds the
    network's input whatever is observed. Declared observation bounds are used besides if
    *assume_bounds* is set **and** recorded observations support them: without recorded
    observations none is used, and a side of a feature that one of them breaks is unbounded. Beyond
    a bound that was relied on, the compact policy may act differently from its source
    (`Compaction.relies_on_bounds` says whether there is one). Where a sensor can leave the
    declared range, pass ``assume_bounds=False``: the result then holds for every observation.

    Weights are rewritten in float64 and stored as float32. If rounding makes more units equal,
    constant or zero, they are removed and proven in the same way, so that compacting again changes
    nothing.

    Args:
        policy: with or without masks.
        observations: float [n, obs_dim], raw, recorded in the environment, 10,000 or more; or None
            to compare on generated edge observations only.
        assume_bounds: trust declared observation bounds that *observations* support.

    Raises:
        NotEquivalent: the result does not compute what *policy* computes, or cannot be stored.
        ObservationShape: *observations* do not fit the policy.
        ObservationNotFinite: *observations* hold NaN, infinity, or more than float32 can.
    """
    recorded = _checked(observations, policy)
    size = policy.observation.size
    bounds = supported_bounds(policy.observation, recorded) if assume_bounds else unbounded(size)

    source, proof, relies_on_bounds = policy, None, False
    network = remove_masked(network_from_policy(policy), masks_from_policy(policy))
    while True:
        for_all = reduce_network(network, unbounded(size))
        network = reduce_network(for_all, bounds)
        relies_on_bounds = relies_on_bounds or network is not for_all
        edges = edge_observations(policy, bounds if relies_on_bounds else unbounded(size))
        exact = policy_from_network(network, policy, np.float64)
        step = prove_equal(source, exact, recorded, edges)
        proof = step if proof is None else proof.worst_of(step)
        network = rounded(network)
        if reduce_network(network, bounds) is network:
            break
        source = policy_from_network(network, policy, np.float64)

    stored = policy_from_network(network, policy, np.float32)
    return Compaction(
        policy=_with_lineage(stored, policy, network, proof, relies_on_bounds),
        removals=network.removals,
        before=policy.counts,
        after=stored.counts,
        proof=proof,
        rounding=measure_rounding(policy, stored, recorded if len(recorded) else edges),
        relies_on_bounds=relies_on_bounds,
    )


def _with_lineage(
    stored: Policy, source: Policy, network: Network, proof: Proof, relies_on_bounds: bool
) -> Policy:
    if "compacted" in source.lineage and not network.removals:
        return stored
    # An earlier compaction may have relied on bounds that this one did not need.
    earlier = source.lineage.get("compacted")
    return stored.with_lineage(
        compacted={
            "source_sha256": hashlib.sha256(bytes_from_policy(source)).hexdigest(),
            "before": json_from_counts(source.counts),
            "after": json_from_counts(stored.counts),
            "removed": dict(Counter(removal.reason for removal in network.removals)),
            "relies_on_bounds": relies_on_bounds,
            "proven_on": {"recorded": proof.recorded, "edges": proof.edges},
            **({} if earlier is None else {"earlier": earlier}),
        }
    )


def _checked(observations: NDArray[Any] | None, policy: Policy) -> Float64:
    """*observations* as float64 [n, obs_dim]; n is 0 for None."""
    if observations is None:
        return np.zeros((0, policy.observation.size))
    check_observation(observations, policy)
    rows = np.atleast_2d(observations)
    if len(rows):
        check_recorded(rows, policy)
    return rows.astype(np.float64)
