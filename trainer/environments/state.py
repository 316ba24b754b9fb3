"""The state of environments as JSON values, where it can be restored exactly.

Gymnasium's classic control tasks are a few numbers and a generator each, and nothing else decides
what they do next. Only what is known to be complete is offered: the listed classes, in the wrappers
that gymnasium puts around them. EnvPool's and MuJoCo's simulators hold state that nobody can
read in full, so they start anew (``docs/decisions/0018``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

_ATTRIBUTES: dict[type, tuple[str, ...]] = {
    CartPoleEnv: ("state", "steps_beyond_terminated"),
    AcrobotEnv: ("state",),
    PendulumEnv: ("state", "last_u"),
    MountainCarEnv: ("state",),
    Continuous_MountainCarEnv: ("state",),
}
"""What changes with a step, per class. A class that inherits from one of them may have more."""

_NUMBERS: dict[type, int] = {
    CartPoleEnv: 4,
    AcrobotEnv: 4,
    PendulumEnv: 2,
    MountainCarEnv: 2,
    Continuous_MountainCarEnv: 2,
}
"""In ``state``; every other attribute is a number or None."""
_LARGEST = 1 << 53


def state_of(env: Any) -> dict[str, Any] | None:
    """Everything that decides what *env* does next; None where that cannot be known."""
    limit = _time_limit(env)
    base = env.unwrapped
    if limit is None or type(base) not in _ATTRIBUTES:
        return None
    return {
        "class": type(base).__name__,
        "elapsed": limit._elapsed_steps,
        "rng": base.np_random.bit_generator.state,
        "attributes": {name: _encode(getattr(base, name)) for name in _ATTRIBUTES[type(base)]},
    }


def check_attributes(name: str, attributes: dict[str, Any]) -> None:
    """Check the attributes of an environment of class *name*, as `state_of` gives them.

    Raises:
        ValueError: they are others, or not the numbers that such an environment has.
    """
    kind = next((kind for kind in _ATTRIBUTES if kind.__name__ == name), None)
    if kind is None:
        raise ValueError("an environment is of a class whose state is not known")
    if set(attributes) != set(_ATTRIBUTES[kind]):
        raise ValueError(f"a {name} has other attributes")
    for attribute, value in attributes.items():
        size = _NUMBERS[kind] if attribute == "state" else 1
        if attribute == "state" or value is not None:
            numbers = _encoded_numbers(value)
            if len(numbers) != size or not all(_is_number(each) for each in numbers):
                raise ValueError(f"'{attribute}' of a {name} is not of {size} numbers")


def _encoded_numbers(value: Any) -> list[Any]:
    """What `_encode` made a number, a tuple, a list or an array of, without their kinds."""
    if not isinstance(value, dict):
        return [value]
    if set(value) in ({"tuple"}, {"list"}):
        (inner,) = value.values()
        return [_scalar(each) for each in inner] if isinstance(inner, list) else []
    if set(value) == {"array", "dtype"} and _is_kind(value["dtype"]):
        return list(value["array"]) if isinstance(value["array"], list) else []
    return [_scalar(value)]


def _scalar(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"scalar", "dtype"} and _is_kind(value["dtype"]):
        return value["scalar"]
    return value


def _is_kind(text: Any) -> bool:
    return isinstance(text, str) and text.lstrip("<>") in ("f4", "f8", "i4", "i8")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _LARGEST


def restorable(envs: Sequence[Any], states: Sequence[dict[str, Any]]) -> bool:
    """Whether each of *envs* is of the kind that its state was taken of."""
    return all(
        _time_limit(env) is not None
        and type(env.unwrapped) in _ATTRIBUTES
        and state["class"] == type(env.unwrapped).__name__
        and set(state["attributes"]) == set(_ATTRIBUTES[type(env.unwrapped)])
        for env, state in zip(envs, states, strict=True)
    )


def restore(env: Any, state: dict[str, Any]) -> None:
    """Put *env*, which has been reset once, into a *state* that is `restorable`."""
    base = env.unwrapped
    limit = _time_limit(env)
    assert limit is not None, "asked restorable() first"
    limit._elapsed_steps = state["elapsed"]
    base.np_random.bit_generator.state = state["rng"]
    for name, value in state["attributes"].items():
        setattr(base, name, _decode(value))


def states_of(envs: Sequence[Any]) -> list[dict[str, Any]] | None:
    """`state_of` each; None where one of them cannot be known."""
    found = [state_of(env) for env in envs]
    states = [state for state in found if state is not None]
    return states if len(states) == len(found) else None


def _time_limit(env: Any) -> TimeLimit[Any, Any] | None:
    """The limit around an environment that has nothing else with a state around it."""
    limit: TimeLimit[Any, Any] | None = None
    while env is not env.unwrapped:
        if type(env) is TimeLimit and limit is None:
            limit = env
        elif type(env) not in (OrderEnforcing, PassiveEnvChecker):
            return None
        env = env.env
    return limit


def _encode(value: Any) -> Any:
    """A number, a tuple, a list or an array, in JSON that tells them apart: arithmetic may differ
    between a Python float and a NumPy one."""
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, tuple):
        return {"tuple": [_encode(each) for each in value]}
    if isinstance(value, list):
        return {"list": [_encode(each) for each in value]}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, np.generic):
        return {"scalar": value.item(), "dtype": value.dtype.str}
    raise TypeError(f"{type(value).__name__} is no part of an environment's state")


def _decode(value: Any) -> Any:
    """Inverse of `_encode`; JSON writes float64 so that it reads the same bits."""
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(_decode(each) for each in value["tuple"])
    if "list" in value:
        return [_decode(each) for each in value["list"]]
    if "array" in value:
        return np.array(value["array"], value["dtype"])
    return np.dtype(value["dtype"]).type(value["scalar"])
