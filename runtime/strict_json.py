"""JSON objects read without surprises: exact types, no duplicate or unknown field, no NaN.

Python's reader keeps the last of two equal keys, accepts NaN, numbers and nestings of any length
and halves of characters, and lets a missing field surface as a KeyError. Files that decide what a
vehicle does are read through `Fields` instead, which raises one kind of error, `ValueError`, with a
sentence; the caller gives it the right name.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from dspctl.runtime.untrusted import check_name, visible

DEEPEST = 64
"""Lists and objects inside each other. Python gives up at about 1,000, wherever it then is."""
MOST_VALUES = 1 << 20
"""A value takes up to 40 times as many bytes in memory as in the file."""

_SHOWN = 80
_LONG_NUMBER = re.compile(r"[0-9]{19}")  # 64 bits have at most 20 digits
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class Fields:
    """The fields of one JSON object; each is taken once, and `finish` refuses what is left.

    Args:
        value: the parsed object.
        where: what to call it in messages.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{where} is not a JSON object")
        self._left = dict(value)
        self._where = where

    def take(self, key: str) -> Any:
        """The value under *key*, of any type."""
        if key not in self._left:
            raise ValueError(f"{self._where} lacks the field '{key}'")
        return self._left.pop(key)

    def text(self, key: str) -> str:
        """A string."""
        value = self.take(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a string", value)
        return value

    def name(self, key: str) -> str:
        """A string that is a name: short, and without control characters."""
        return check_name(self.text(key), f"{self._where}: '{key}'")

    def names(self, key: str) -> tuple[str, ...]:
        """A list of names."""
        return tuple(check_name(each, f"{self._where}: '{key}'") for each in self.texts(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self.take(key)
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self._wrong(key, "a list of strings", value)
        return tuple(value)

    def integer(self, key: str) -> int:
        """An integer; ``true`` and ``1.0`` are none."""
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(key, "an integer", value)
        return value

    def boolean(self, key: str) -> bool:
        """``true`` or ``false``; 0 and 1 are neither."""
        value = self.take(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        value = self.take(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(key, "a number", value)
        try:
            return float(value)
        except OverflowError:
            raise self._wrong(key, "a number in the range of a double", value) from None

    def number_or_none(self, key: str) -> float | None:
        """A finite number, or None for ``null``."""
        if self._left.get(key, 0) is None:
            return self.take(key)  # type: ignore[no-any-return]
        return self.number(key)

    def entries(self, key: str) -> dict[str, Any]:
        """An object whose keys are data, not field names."""
        value = self.take(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "an object", value)
        return value

    def fields(self, key: str) -> "Fields":
        """A nested object with fields of its own."""
        return Fields(self.take(key), f"{self._where}: '{key}'")

    def finish(self) -> None:
        """Refuse fields that nobody took: they may mean something this version would ignore."""
        if self._left:
            raise ValueError(f"{self._where} has unknown fields {shown_names(self._left)}")

    def _wrong(self, key: str, wanted: str, value: Any) -> ValueError:
        return ValueError(f"{self._where}: '{key}' must be {wanted}, not {shown(value)}")


def value_from_json(
    data: bytes | str, where: str, *, most_values: int = MOST_VALUES, integer_bits: int = 64
) -> Any:
    """Parse JSON, in UTF-8.

    Args:
        data: all of it. Its size is the caller's to bound.
        where: what to call it in messages.
        most_values: values and keys that it may have, counted from above before it is parsed.
        integer_bits: the longest integer, with its sign or without.

    Raises:
        ValueError: not JSON; nested deeper than `DEEPEST`; too many values; a duplicate key; a NaN
            or infinity; an integer that is too long; half a character.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        if text.count(",") + text.count("[") + text.count("{") > most_values:
            raise ValueError("it has too many values")
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_integers(integer_bits) if _LONG_NUMBER.search(text) else None,
        )
    except RecursionError:
        raise ValueError(f"{where} is nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError(f"{where} is not text in UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{where} is not valid JSON ({error})") from None
    if text.count("[") + text.count("{") > DEEPEST:
        _check_depth(value, where)
    if not isinstance(data, bytes) or _HALF.search(text):
        _check_characters(value, where)
    return value


def fields_from_json(
    data: bytes | str, where: str, *, most_values: int = MOST_VALUES, integer_bits: int = 64
) -> Fields:
    """Parse a JSON object. Raises as `value_from_json`, or when it is not an object."""
    return Fields(
        value_from_json(data, where, most_values=most_values, integer_bits=integer_bits), where
    )


def shown_names(names: Any) -> str:
    """The first few of *names*, sorted, as a message lists them: short, and plain."""
    first = sorted(str(name) for name in names)
    more = f" and {len(first) - 5} more" if len(first) > 5 else ""
    return f"{[visible(name)[:_SHOWN] for name in first[:5]]}{more}"


def shown(value: Any) -> str:
    """*value* as a message shows it; never written out whole, which could take long."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return repr(visible(str(value))[:40])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key appears twice")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not allowed")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:_SHOWN]} is out of range")
    return value


def _integers(bits: int) -> Any:
    """What parses integers of at most so many bits; longer ones take quadratic time, or more."""
    longest = len(str(1 << bits)) + 1

    def parse(text: str) -> int:
        value = int(text) if len(text) <= longest else 1 << bits
        if not -(1 << bits - 1) <= value < 1 << bits:
            raise ValueError(f"{text[:40]} has more than {bits} bits")
        return value

    return parse


def _check_depth(value: Any, where: str) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [child for each in level for child in _inside(each) if _inside(child)]
        if not level:
            return
    raise ValueError(f"{where} is nested deeper than {DEEPEST} levels")


def _check_characters(value: Any, where: str) -> None:
    """Refuse half a character, which nothing could write or print again."""
    for text in _texts(value):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where} holds half a character") from None


def _texts(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            yield from one
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)


def _inside(value: Any) -> Any:
    """The values in a list or object; nothing in any other value."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
