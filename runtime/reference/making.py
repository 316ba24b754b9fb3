"""Making golden vectors and their file; reading it is in `dspctl.runtime.reference.golden`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as bytes_from_tensors

from dspctl.runtime.policy import Policy
from dspctl.runtime.reference.golden import Golden
from dspctl.runtime.reference.rounding import TIE, action_bound, rounding_bound


def golden_from_policy(policy: Policy, observations: NDArray[np.float32]) -> Golden:
    """The reference's answers to *observations*, float32 [n, obs_dim], valid or not."""
    guard, rule = policy.guard, policy.action
    status = guard.status(observations, policy.inputs)
    repaired = guard.repair(observations, policy.inputs)
    outputs = np.asarray(policy.outputs(repaired.astype(np.float64)), np.float64)
    kind: type[Any] = np.int64 if rule.discrete else np.float32
    actions: NDArray[Any] = rule.apply(outputs).astype(kind)
    bound = rounding_bound(policy, repaired)
    gap = np.maximum(TIE, 2 * bound[:, 0]) if rule.discrete else None
    error = None if rule.discrete else action_bound(policy, actions, bound)
    if not guard.repairs:
        exact = status != 0
        for values, instead in ((actions, guard.safe_action), (gap, 0.0), (error, 0.0)):
            if values is not None:
                values[exact] = instead
    return Golden(observations, outputs, actions, status, bound[:, 0], error, gap)


def bytes_from_golden(golden: Golden) -> bytes:
    """The golden vectors' file; the same vectors give the same bytes."""
    tensors: dict[str, NDArray[Any]] = {
        "observations": np.ascontiguousarray(golden.observations, np.float32),
        "outputs": np.ascontiguousarray(golden.outputs, np.float64),
        "actions": np.ascontiguousarray(golden.actions),
        "status": np.ascontiguousarray(golden.status, np.uint8),
        "output_bound": np.ascontiguousarray(golden.output_bound, np.float64),
    }
    if golden.action_bound is not None:
        tensors["action_bound"] = np.ascontiguousarray(golden.action_bound, np.float64)
    if golden.tie_gap is not None:
        tensors["tie_gap"] = np.ascontiguousarray(golden.tie_gap, np.float64)
    return bytes_from_tensors(tensors)
