"""Golden vectors: observations with the reference's answers, and how far from them one may be.

They travel with the policy. Everything that a device needs to judge itself is in them, so that it
compares numbers and computes no tolerance.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from dspctl.runtime.policy.checks import finite
from dspctl.runtime.policy.guard import NOT_FINITE, OUT_OF_RANGE
from dspctl.runtime.records import record
from dspctl.runtime.tensors import tensors_from_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dspctl.runtime.policy import Policy
    from dspctl.runtime.reference.making import bytes_from_golden, golden_from_policy

__all__ = ["GOLDEN", "Golden", "bytes_from_golden", "golden_from_bytes", "golden_from_policy"]

GOLDEN = "golden.safetensors"


@record(frozen=True, eq=False)
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


def __getattr__(name: str) -> Any:
    """What makes and writes vectors, loaded on first use: a device only reads them (PEP 562)."""
    if name in ("bytes_from_golden", "golden_from_policy"):
        return getattr(import_module("dspctl.runtime.reference.making"), name)
    raise AttributeError(f"module 'dspctl.runtime.reference.golden' has no attribute {name!r}")


def golden_from_bytes(data: bytes, policy: Policy) -> Golden:
    """Read the golden vectors of *policy*.

    Raises:
        ValueError: not such a file, or tensors that do not fit the policy.
    """
    try:
        tensors, _ = tensors_from_bytes(data)
    except ValueError as error:
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
    if not all(finite(tensor) for tensor in answers):
        raise ValueError(f"{GOLDEN} holds an answer that is NaN or infinite")
    if max(tensors["status"].tobytes()) > NOT_FINITE + OUT_OF_RANGE:
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
