"""What a policy does with an observation it must not trust: the same in every backend.

An observation is *invalid* when a feature that the network reads is NaN or infinite, or lies
outside the range that the policy was exported for. Features that the network does not read are
never looked at: a sensor that cannot influence the action cannot stop it either.

========  ====================================================================  ==============
mode      what an invalid observation gives                                     acts on
========  ====================================================================  ==============
flag      the safe action                                                       action
hold      nothing is written: the caller's buffer keeps the last action         action
zero      every invalid feature is read as 0, moved into its range              observation
clamp     every feature is moved to the nearest end of its range, NaN as above  observation
========  ====================================================================  ==============

In every mode the status says what was found, so that no repair is silent. An observation is cast
to float32 before it is looked at: what float32 cannot hold is infinite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from dspctl.runtime.on_demand import errors
from dspctl.runtime.policy.checks import finite, ordered
from dspctl.runtime.policy.parts import ActionRule
from dspctl.runtime.records import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

OnInvalid = Literal["flag", "hold", "zero", "clamp"]
ON_INVALID: tuple[OnInvalid, ...] = get_args(OnInvalid)

OK = 0
NOT_FINITE = 1
"""Bit of the status: a feature is NaN or infinite."""
OUT_OF_RANGE = 2
"""Bit of the status: a finite feature lies outside its range."""

FLOAT32_MAX = np.finfo(np.float32).max

NO_BOUND = 1e30
"""A bound beyond this is none; some environments declare the largest float32."""


@record(frozen=True, eq=False)
class Guard:
    """The rule for invalid observations.

    Attributes:
        low: float32 [obs_dim], the least valid value; finite (-FLT_MAX where nothing bounds it).
        high: float32 [obs_dim], the largest valid value; finite.
        on_invalid: one of `ON_INVALID`.
        safe_action: what ``flag`` answers, float32 [action_dim] inside the action bounds, or
            int64 [1] for a discrete policy. The other modes keep it for whoever needs one.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    safe_action: NDArray[Any]
    on_invalid: OnInvalid = "flag"

    def __post_init__(self) -> None:
        if self.on_invalid not in ON_INVALID:
            raise errors.PolicyFormat(
                f"on-invalid mode {self.on_invalid[:80]!r} is not one of {', '.join(ON_INVALID)}"
            )
        if self.low.ndim != 1 or self.low.shape != self.high.shape:
            raise errors.PolicyShape(
                f"the guard's range must be two equal vectors, not {self.low.shape} and "
                f"{self.high.shape}: export the policy again"
            )
        if self.low.dtype != np.float32 or self.high.dtype != np.float32:
            raise errors.PolicyShape(
                f"the guard's range must be float32, not {self.low.dtype} and {self.high.dtype}: "
                "export the policy again"
            )
        if not (finite(self.low) and finite(self.high) and ordered(self.low, self.high)):
            raise errors.PolicyFormat("the guard's range is not finite or crossed: export again")
        if self.safe_action.ndim != 1 or not finite(self.safe_action):
            raise errors.PolicyFormat(
                "the safe action must be a vector of finite numbers: export again"
            )

    @property
    def fill(self) -> NDArray[np.float32]:
        """What an invalid feature is read as in mode ``zero``: float32 [obs_dim]."""
        return np.clip(np.zeros_like(self.low), self.low, self.high)

    @property
    def repairs(self) -> bool:
        """True when the network acts on the repaired observation (``zero``, ``clamp``)."""
        return self.on_invalid in ("zero", "clamp")

    @property
    def every_finite(self) -> bool:
        """True when every finite value of every feature is valid."""
        return bool((self.low == -FLOAT32_MAX).all() and (self.high == FLOAT32_MAX).all())

    def status(
        self, observation: NDArray[np.float32], inputs: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """What is wrong with raw observations, float32 [..., obs_dim]: uint8 [...], bits."""
        x = observation[..., inputs]
        finite = np.isfinite(x)
        outside = finite & ~((x >= self.low[inputs]) & (x <= self.high[inputs]))
        status = (~finite).any(axis=-1) * NOT_FINITE + outside.any(axis=-1) * OUT_OF_RANGE
        return np.asarray(status, np.uint8)

    def repair(
        self, observation: NDArray[np.float32], inputs: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The observation the network sees, float32 [..., obs_dim]: what it reads is in range.

        In the modes ``flag`` and ``hold`` the network's answer is not used; invalid features are
        filled as in ``zero`` so that every backend computes the same finite numbers.
        """
        x = np.array(observation, np.float32)
        read = x[..., inputs]
        low, high, fill = self.low[inputs], self.high[inputs], self.fill[inputs]
        if self.on_invalid == "clamp":
            repaired = np.where(np.isnan(read), fill, np.clip(read, low, high))
        else:
            repaired = np.where((read >= low) & (read <= high), read, fill)
        x[..., inputs] = repaired
        return x


def default_guard(size: int, action: ActionRule) -> Guard:
    """The guard of a policy that was given none: ``flag``, and every finite float32 is valid.

    Args:
        size: features of the observation.
        action: its safe action is 0 moved into the bounds, or `ActionRule.start`.
    """
    top = np.full(size, FLOAT32_MAX, np.float32)
    return Guard(low=-top, high=top, safe_action=default_safe_action(action))


def default_safe_action(action: ActionRule) -> NDArray[Any]:
    """0 moved into the bounds, float32 [action_dim]; int64 [1], `ActionRule.start`, if discrete."""
    if action.discrete:
        return np.array([action.start], np.int64)
    return np.clip(np.zeros_like(action.low), action.low, action.high).astype(np.float32)


def why_unsafe(safe_action: NDArray[Any], action: ActionRule, outputs: int) -> str | None:
    """Why the environment would not take *safe_action*, or None if it would.

    Args:
        safe_action: int64 [1], or float32 [action_dim].
        action: the rule whose bounds count.
        outputs: the network's outputs, which are the number of discrete actions.
    """
    if action.discrete:
        first, last = action.start, action.start + outputs - 1
        if safe_action.dtype != np.int64 or safe_action.shape != (1,):
            return f"it must be one integer from {first} to {last}"
        (value,) = safe_action.tolist()
        if not first <= value <= last:
            return f"{value} is not one of the actions {first} to {last}"
        return None
    low, high = action.low, action.high
    if safe_action.dtype != np.float32 or safe_action.shape != low.shape:
        return f"it must be {low.size} numbers"
    if not (ordered(low, safe_action) and ordered(safe_action, high)):
        inside = (safe_action >= low) & (safe_action <= high)  # False for NaN
        worst = int(inside.argmin())
        return (
            f"its element {worst}, {safe_action[worst]:g}, is outside the action bounds "
            f"{low[worst]:g} to {high[worst]:g}"
        )
    return None


def usable_range(
    low: NDArray[np.float32], high: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Declared bounds as finite ones: ±FLT_MAX where nothing bounds a feature."""
    return (
        np.clip(low, -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32),
        np.clip(high, -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32),
    )
