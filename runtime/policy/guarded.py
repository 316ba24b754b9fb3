"""``with_guard(policy, ...)``: decide at export what is done with invalid observations."""

from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dspctl.errors import InvalidSafeAction, UnknownInvalidMode
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import (
    NO_BOUND,
    ON_INVALID,
    Guard,
    OnInvalid,
    default_guard,
    default_safe_action,
    usable_range,
    why_unsafe,
)
from dspctl.runtime.policy.observations import check_recorded, float32_from
from dspctl.runtime.policy.overflow import largest_computable

ValidRange = Literal["declared", "finite"]
VALID_RANGES: tuple[str, ...] = get_args(ValidRange)


def with_guard(
    policy: Policy,
    on_invalid: OnInvalid,
    safe_action: ArrayLike | None = None,
    range: ValidRange = "declared",
    recorded: NDArray[Any] | None = None,
) -> Policy:
    """*policy* with another guard; network, action rule and lineage stay.

    Args:
        policy: what is exported.
        on_invalid: one of `ON_INVALID`.
        safe_action: one integer for a discrete policy, else action_dim numbers; None for 0 moved
            into the action bounds, or the first action.
        range: ``declared``: the environment's bounds, widened to every recorded observation (a
            declared bound is not always kept); ``finite``: whatever the network can compute. A
            feature that nothing bounds reaches as far as no sum overflows, which is all of
            float32 behind a normaliser that clips.
        recorded: float [n, obs_dim], raw, from episodes; None for the declared bounds alone.

    Raises:
        UnknownInvalidMode: no such *on_invalid* or *range*.
        InvalidSafeAction: the environment does not take it; the message holds the bounds.
        ObservationShape, ObservationNotFinite: *recorded* does not fit the policy.
    """
    if on_invalid not in ON_INVALID:
        raise UnknownInvalidMode(
            f"there is no rule {on_invalid!r} for invalid observations: choose "
            f"{', '.join(ON_INVALID)}"
        )
    if range not in VALID_RANGES:
        raise UnknownInvalidMode(
            f"there is no valid range {range!r}: choose {', '.join(VALID_RANGES)}"
        )
    if range == "finite":
        wide = default_guard(policy.observation.size, policy.action)
        low, high = wide.low, wide.high
    else:
        low, high = usable_range(policy.observation.low, policy.observation.high)
    low, high = _computable(policy, low, high)
    if recorded is not None:
        check_recorded(recorded, policy)
        seen = float32_from(recorded)
        low, high = np.minimum(low, seen.min(axis=0)), np.maximum(high, seen.max(axis=0))
    return replace(
        policy, guard=Guard(low, high, _safe_action(policy, safe_action), on_invalid=on_invalid)
    )


def _computable(
    policy: Policy, low: NDArray[np.float32], high: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The range without values that overflow; unread features keep theirs."""
    read = policy.inputs
    ends = np.maximum(np.abs(low[read]), np.abs(high[read])).astype(np.float64)
    bounds = np.where(ends >= NO_BOUND, np.inf, ends)
    reach = np.float32(largest_computable(policy, bounds))
    low, high = low.copy(), high.copy()
    low[read] = np.where(low[read] <= -NO_BOUND, np.maximum(low[read], -reach), low[read])
    high[read] = np.where(high[read] >= NO_BOUND, np.minimum(high[read], reach), high[read])
    return low, high


def _safe_action(policy: Policy, given: ArrayLike | None) -> NDArray[Any]:
    rule, outputs = policy.action, policy.layers[-1].width
    if given is None:
        return default_safe_action(rule)
    value = np.atleast_1d(np.asarray(given))
    reason: str | None
    if value.dtype.kind not in "iuf":
        reason = "it is not made of numbers"
    elif rule.discrete and not (value == np.floor(value)).all():
        reason = "it is not a whole number"
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            value = value.astype(np.int64 if rule.discrete else np.float32)
        reason = why_unsafe(value, rule, outputs)
    if reason is not None:
        raise InvalidSafeAction(f"this safe action cannot be used, {reason}: give another one")
    return value
