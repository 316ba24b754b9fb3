"""Actions as an environment takes them: never outside its space, by however little."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from dspctl.trainer.environments.older import OlderEnvironment

Clip = Callable[[NDArray[Any]], NDArray[Any]]
Bounds = tuple[NDArray[Any], NDArray[Any]]


def clip_into(env: Any) -> Clip:
    """What moves actions of *env*, [..., action_dim], into its space; others stay as they are.

    A policy computes in float32, with bounds rounded to that. At 2.7 this gives 2.7000003, and at
    the 0.1 of a float64 space the next larger number: out of the space by one rounding, which some
    environments refuse. The policy's arithmetic is what generated code repeats bit for bit, so the
    action is moved here. Bounds are rounded inwards, so that what was inside is never moved, and
    the type stays the action's.
    """
    space = env.action_space
    # EnvPool declares its own bounds, in float64, and refuses no action.
    if not isinstance(space, Box) or isinstance(env.unwrapped, OlderEnvironment):
        return lambda actions: actions
    bounds: dict[np.dtype[Any], Bounds] = {}

    def clip(actions: NDArray[Any]) -> NDArray[Any]:
        kind = np.asarray(actions).dtype
        if kind.kind != "f":
            return actions
        if kind not in bounds:
            bounds[kind] = _inwards(space.low, space.high, kind)
        moved: NDArray[Any] = np.clip(actions, *bounds[kind])
        return moved

    return clip


def _inwards(low: NDArray[Any], high: NDArray[Any], kind: np.dtype[Any]) -> Bounds:
    """The outermost numbers of *kind* that are not beyond *low* and *high*."""
    with np.errstate(over="ignore"):  # the largest float64 is meant as no bound
        near_low, near_high = low.astype(kind), high.astype(kind)
        up, down = np.nextafter(near_low, np.inf), np.nextafter(near_high, -np.inf)
    return np.where(near_low < low, up, near_low), np.where(near_high > high, down, near_high)
