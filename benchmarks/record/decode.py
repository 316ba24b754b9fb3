"""From parsed JSON to frozen dataclasses, by their own annotations and nothing looser.

A result may come from another machine, so its types are checked: every field present, none
unknown, no ``true`` for a number, no number for a string, numbers finite.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dspctl.runtime.strict_json import shown, shown_names
from dspctl.runtime.untrusted import check_name

T = TypeVar("T")

_NAMES = (
    ".label",
    ".backend",
    ".baseline",
    ".subject",
    ".environment",
    ".file",
    ".target",
    ".activation",
    ".chosen",
    ".sha256",
)
"""Fields that hold names, which reach tables, pictures and file systems; others hold sentences."""


def decode_record(
    kind: type[T], value: Any, where: str, *, without: frozenset[str] = frozenset()
) -> T:
    """A dataclass, some of whose fields are stored elsewhere and keep their defaults.

    Raises:
        ValueError: as `decode`.
    """
    record: T = _record(kind, value, where, without)
    return record


def decode(kind: Any, value: Any, where: str) -> Any:
    """*value* as a *kind*.

    Args:
        kind: a dataclass, ``str``, ``bool``, ``int``, ``float``, a literal, an optional or union,
            a tuple, or a mapping from strings.
        value: what ``json.loads`` gave.
        where: what to call it in messages.

    Raises:
        ValueError: *value* is no *kind*; names the place.
    """
    origin = get_origin(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, where)
    if origin in (Union, UnionType):
        return _union(get_args(kind), value, where)
    if origin is Literal:
        if value not in get_args(kind) or isinstance(value, bool):
            raise ValueError(f"{where} is {shown(value)}, not one of {get_args(kind)}")
        return value
    if origin is tuple:
        return _tuple(get_args(kind), value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise ValueError(f"{where} is no JSON object")
        return {
            check_name(key, f"a key of {where}"): decode(get_args(kind)[1], one, f"{where}.{key}")
            for key, one in value.items()
        }
    return _plain(kind, value, where)


def _record(kind: Any, value: Any, where: str, without: frozenset[str] = frozenset()) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no JSON object")
    hints = {name: hint for name, hint in _hints(kind).items() if name not in without}
    if value.keys() != hints.keys():
        missing, unknown = (
            shown_names(keys) for keys in (hints.keys() - value.keys(), value.keys() - hints.keys())
        )
        raise ValueError(f"{where} lacks {missing} and has {unknown}, which is unknown")
    return kind(**{name: decode(hints[name], value[name], f"{where}.{name}") for name in hints})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    hints = get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in fields(kind)}


def _union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    for kind in others[:-1]:
        try:
            return decode(kind, value, where)
        except ValueError:
            continue
    return decode(others[-1], value, where)


def _tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is no JSON array")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{where} has {len(value)} entries, not {len(kinds)}")
    return tuple(
        decode(kind, one, f"{where}[{index}]")
        for index, (kind, one) in enumerate(zip(kinds, value, strict=True))
    )


def _plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ValueError(f"{where} is no finite number")
        return number
    if kind is str and isinstance(value, str) and where.endswith(_NAMES):
        return check_name(value, where)
    if kind in (str, bool, int) and type(value) is kind:
        return value
    raise ValueError(f"{where} is {type(value).__name__}, not {kind}")
