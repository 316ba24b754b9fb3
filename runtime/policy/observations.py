"""What a runner is handed: which observations and action buffers it takes, and why it refuses.

Shape and type are the caller's mistake and always raise. Values are the world's: what happens
with those is for the policy's guard to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dspctl.runtime.on_demand import errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dspctl.runtime.policy import Policy


def check_observation(observation: NDArray[Any], policy: Policy) -> None:
    """Refuse an observation whose shape or type the policy cannot read; values are not looked at.

    Raises:
        ObservationShape: wrong last dimension, more than two dimensions, or not a float array.
    """
    size = policy.observation.size
    if not isinstance(observation, np.ndarray):
        raise errors.ObservationShape(
            f"observations must be NumPy arrays, not {type(observation).__name__}: "
            "convert with numpy.asarray(observation, 'float32')"
        )
    if observation.ndim not in (1, 2) or observation.shape[-1] != size:
        raise errors.ObservationShape(
            f"this policy reads observations of shape [{size}] or [batch, {size}], "
            f"not {list(observation.shape)}"
        )
    if observation.dtype.kind != "f":
        raise errors.ObservationShape(
            f"observations must be floating point, not {observation.dtype}: "
            "convert with .astype('float32')"
        )


def check_recorded(observations: NDArray[Any], policy: Policy) -> None:
    """Refuse a recording that does not come from episodes of this policy's environment.

    Raises:
        ObservationShape: not a float array [n, obs_dim] with n > 0.
        ObservationNotFinite: a value that is not a finite float32.
    """
    check_observation(observations, policy)
    if observations.ndim != 2 or len(observations) == 0:
        raise errors.ObservationShape(
            f"recorded observations must be [n, {policy.observation.size}] with at least one "
            f"row, not {list(observations.shape)}: record an episode, or pass None"
        )
    finite = np.isfinite(float32_from(observations))
    if not finite.all():
        row, feature = np.argwhere(~finite)[0]
        raise errors.ObservationNotFinite(
            f"{feature_name(int(feature), policy)} of recorded observation {row} is "
            f"{observations[row, feature]:g}, not a finite float32 number: check the sensor or "
            "the environment"
        )


def check_action(action: NDArray[Any], rows: int | None, policy: Policy) -> None:
    """Refuse a buffer that actions cannot be written to.

    Args:
        action: for one observation int64 [1] or float32 [action_dim]; for a batch int64 [rows] or
            float32 [rows, action_dim].
        rows: observations in the batch, or None for one observation.
        policy: what acts.

    Raises:
        ObservationShape: another shape or type, or a buffer that is read-only or not contiguous.
    """
    kind: type[Any] = np.int64 if policy.action.discrete else np.float32
    width = () if policy.action.discrete else (policy.action.low.size,)
    shape = (width or (1,)) if rows is None else (rows, *width)
    if (
        not isinstance(action, np.ndarray)
        or action.shape != shape
        or action.dtype != kind
        or not action.flags.carray
    ):
        found = (
            f"{action.dtype} {list(action.shape)}"
            f"{'' if action.flags.carray else ', read-only or not contiguous'}"
            if isinstance(action, np.ndarray)
            else type(action).__name__
        )
        raise errors.ObservationShape(
            f"actions are written to a contiguous {kind.__name__} array of shape {list(shape)}, "
            f"not to {found}: create it with numpy.zeros({shape}, '{kind.__name__}')"
        )


def float32_from(observation: NDArray[Any]) -> NDArray[np.float32]:
    """The observation as C-ordered float32, without a copy where it is; too large is infinite."""
    if observation.dtype == np.float32:
        return np.ascontiguousarray(observation)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(observation, np.float32)


def invalid_observation(observation: NDArray[Any], policy: Policy) -> errors.ObservationInvalid:
    """The error for an observation, or a batch of which a row, breaks the guard's rule.

    Args:
        observation: float [obs_dim] or [batch, obs_dim], raw.
        policy: whose guard it breaks.
    """
    rows = np.atleast_2d(float32_from(observation))
    read, guard = policy.inputs, policy.guard
    x = rows[:, read]
    outside = np.argwhere(~((x >= guard.low[read]) & (x <= guard.high[read])))
    if not len(outside):
        return errors.ObservationInvalid(
            "the backend takes this observation for invalid, which the policy's guard does not: "
            "its artefact was not made from this policy, export it again"
        )
    row, column = outside[0]
    feature = int(read[column])
    of = "" if observation.ndim == 1 else f" of row {row}"
    return errors.ObservationInvalid(
        f"{feature_name(feature, policy)}{of} is {x[row, column]:g}, which is not in its range "
        f"from {guard.low[feature]:g} to {guard.high[feature]:g}: no action was computed; check "
        "the sensor, or use runner.act, which answers with a status"
    )


def feature_name(feature: int, policy: Policy) -> str:
    """How messages call a feature: its index, and its name where it has one."""
    names = policy.observation.names
    return f"observation feature {feature}{f' ({names[feature]})' if names else ''}"
