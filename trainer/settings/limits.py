"""What a configuration from a file may hold: the right types, and no more than a machine has.

A run's ``config.json`` may come from anybody, and reading a run makes networks of the widths that
it names.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

from dspctl.errors import ConfigProblem, ImpossibleWidths

if TYPE_CHECKING:
    from dspctl.trainer.settings.config import TrainConfig

_LARGEST = {
    "seed": (1 << 63) - 1,
    "steps": 10**15,
    "environments": 1 << 16,
    "rollout_steps": 1 << 20,
    "threads": 1 << 10,
    "minibatch": 1 << 26,
    "epochs": 10**6,
    "prune_every": 10**9,
    "floor": 1 << 16,
    "memory": 10**8,
    "trials": 10**4,
}
_LARGEST_NUMBER = 1e9
"""Of every other setting, either sign: training computes in float32, which ends at 3e38."""
_WIDEST_LOG_STD = 20.0
_MOST_TRANSITIONS = 1 << 26
"""Of one rollout, over all environments."""
_MOST_LAYERS, _MOST_PARAMETERS = 64, 1 << 26
"""256 MiB of float32, which training holds several times."""
_LONGEST_PATH = 4096
_PATHS = ("teacher", "start")


def check_limits(config: "TrainConfig") -> None:
    """Refuse what no machine can hold, and what a run could not read again.

    Raises:
        ConfigProblem: a number is too large, or a path cannot be written down.
        ImpossibleWidths: too many layers or parameters.
    """
    for name, most in _LARGEST.items():
        if getattr(config, name) > most:
            raise ConfigProblem(f"{name} must be at most {most}, not {getattr(config, name)}")
    for name, value in vars(config).items():
        if name in _LARGEST or name.endswith("sparsity") or type(value) not in (int, float):
            continue
        if abs(value) > _LARGEST_NUMBER:
            raise ConfigProblem(f"{name} must be a number up to {_LARGEST_NUMBER:g}, not {value:g}")
    if not abs(config.initial_log_std) <= _WIDEST_LOG_STD:  # NaN too
        raise ConfigProblem(
            f"initial_log_std must be in [-{_WIDEST_LOG_STD:g}, {_WIDEST_LOG_STD:g}], "
            f"not {config.initial_log_std:g}"
        )
    if config.environments * config.rollout_steps > _MOST_TRANSITIONS:
        raise ConfigProblem(
            f"a rollout of {config.environments} environments and {config.rollout_steps} steps has "
            f"more than {_MOST_TRANSITIONS} transitions: lower one of them"
        )
    for name in _PATHS:
        _check_path(name, getattr(config, name))
    for name in ("hidden", "actor_hidden"):
        widths = getattr(config, name) or ()
        weights = sum(a * b for a, b in pairwise(widths)) + sum(widths)
        if len(widths) > _MOST_LAYERS or weights > _MOST_PARAMETERS:
            raise ImpossibleWidths(
                f"{name} names {len(widths)} layers of {weights} weights, and at most "
                f"{_MOST_LAYERS} of {_MOST_PARAMETERS} are possible"
            )


def checked_values(values: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a file holds them, each of its field's type; lists become tuples.

    Args:
        values: as JSON gives them.
        hints: name → the type of each field of `TrainConfig`, annotated.

    Raises:
        ConfigProblem: a field is unknown, or of another type.
    """
    from dspctl.runtime.strict_json import shown_names  # brings NumPy, which help does without

    if unknown := set(values) - set(hints):
        raise ConfigProblem(
            f"unknown settings {shown_names(unknown)}: known ones are {sorted(hints)}"
        )
    return {name: _checked(name, value, get_args(hints[name])[0]) for name, value in values.items()}


def _checked(name: str, value: Any, kind: Any) -> Any:
    """*value* as a *kind*."""
    from dspctl.runtime.untrusted import check_name

    if value is None and type(None) in get_args(kind):
        return None
    if "tuple" in str(kind):
        if isinstance(value, list | tuple) and all(type(width) is int for width in value):
            return tuple(value)
        raise _wrong(name, "a list of whole numbers", value)
    if kind is float:
        if type(value) not in (int, float):
            raise _wrong(name, "a number", value)
        return value
    if kind is bool or kind is int:
        if type(value) is not kind:
            raise _wrong(name, "true or false" if kind is bool else "a whole number", value)
        return value
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    if name in _PATHS:
        return _check_path(name, value)
    try:
        return check_name(value, name)
    except ValueError as error:
        raise ConfigProblem(f"{error}: correct it there") from error


def _check_path(name: str, value: str) -> str:
    """*value*, if it is a path that ``config.json`` can hold."""
    from dspctl.runtime.untrusted import is_plain, visible_name

    if len(value) > _LONGEST_PATH or not is_plain(value):
        raise ConfigProblem(
            f"{name} is no path that a run can write down: {visible_name(value)[:80]!r} is too "
            "long, or holds a control character or one that is not UTF-8, so rename what it names"
        )
    return value


def _wrong(name: str, wanted: str, value: Any) -> ConfigProblem:
    shown = type(value).__name__ if isinstance(value, dict | list) else ascii(value)[:40]
    return ConfigProblem(f"{name} must be {wanted}, not {shown}")
