"""Golden vectors: observations with the reference's answers, and how far from them one may be.

They travel with the policy. Everything that a device needs to judge itself is in them, so that it
compares numbers and computes no tolerance.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as bytes_from_tensors

from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import NOT_FINITE, OUT_OF_RANGE
from dspctl.runtime.reference.rounding import TIE, action_bound, rounding_bound

GOLDEN = "golden.safetensors"


@dataclass(frozen=True, eq=False)
class Golden:
    """Observations with the reference's answers.

    An observation whose status is not 0 is answered by the guard: exactly with the safe action
    (``flag``), or not at all (``hold``, where *actions* has the safe action as a placeholder). The
    tolerances of its action are 0 then. In the modes ``zero`` and ``clamp`` it is compared like any
    other.

    Attributes:
        observations: float32 [n, obs_dim], raw; may hold NaN and infinities.
        outputs: float64 [n, out], of the repaired observations, finite.
        actions: int64 [n], or float32 [n, action_dim].
        status: uint8 [n], bits of `dspctl.runtime.policy.guard`.
        output_bound: float64 [n], the largest error of an output.
        action_bound: float64 [n, action_dim], the largest error of the action; None if discrete.
        tie_gap: float64 [n], how far below the best output the chosen one may be; None unless
            discrete.
    """

    observations: NDArray[np.float32]
    outputs: NDArray[np.float64]
    actions: NDArray[Any]
    status: NDArray[np.uint8]
    output_bound: NDArray[np.float64]
    action_bound: NDArray[np.float64] | None
    tie_gap: NDArray[np.float64] | None


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


def golden_from_bytes(data: bytes, policy: Policy) -> Golden:
    """Read the golden vectors of *policy*.

    Raises:
        ValueError: not such a file, or tensors that do not fit the policy.
    """
    try:
        tensors = tensors_from_bytes(data)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{GOLDEN} is not a safetensors file ({error})") from error
    found = {name: (tensor.dtype.name, tensor.shape) for name, tensor in tensors.items()}
    rows = tensors["observations"].shape[:1] if "observations" in tensors else ()
    width, discrete = policy.layers[-1].width, policy.action.discrete
    wanted = {
        "observations": ("float32", (*rows, policy.observation.size)),
        "outputs": ("float64", (*rows, width)),
        "actions": ("int64", rows) if discrete else ("float32", (*rows, width)),
        "status": ("uint8", rows),
        "output_bound": ("float64", rows),
    }
    if discrete:
        wanted["tie_gap"] = ("float64", rows)
    else:
        wanted["action_bound"] = ("float64", (*rows, width))
    if found != wanted or rows == (0,) or not rows:
        raise ValueError(f"{GOLDEN} holds {found}, but this policy needs {wanted}")
    answers = [tensor for name, tensor in tensors.items() if name != "observations"]
    if not all(np.isfinite(tensor).all() for tensor in answers):
        raise ValueError(f"{GOLDEN} holds an answer that is NaN or infinite")
    if (tensors["status"] > NOT_FINITE + OUT_OF_RANGE).any():
        raise ValueError(f"{GOLDEN} holds a status that does not exist")
    return Golden(
        observations=tensors["observations"],
        outputs=tensors["outputs"],
        actions=tensors["actions"],
        status=tensors["status"],
        output_bound=tensors["output_bound"],
        action_bound=tensors.get("action_bound"),
        tie_gap=tensors.get("tie_gap"),
    )
