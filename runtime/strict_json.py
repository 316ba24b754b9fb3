"""JSON objects read without surprises: exact types, no duplicate or unknown field, no NaN.

Python's reader keeps the last of two equal keys, accepts NaN and lets a missing field surface as a
KeyError. Files that decide what a vehicle does are read through `Fields` instead, which raises one
kind of error, `ValueError`, with a sentence; the caller gives it the right name.
"""

import json
from typing import Any


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
            raise ValueError(f"{self._where} has unknown fields {sorted(self._left)}")

    def _wrong(self, key: str, wanted: str, value: Any) -> ValueError:
        return ValueError(f"{self._where}: '{key}' must be {wanted}, not {str(value)[:40]!r}")


def value_from_json(data: bytes | str, where: str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: not JSON, nested too deep, a duplicate key, or a NaN or infinity.
    """
    try:
        return json.loads(
            data, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except RecursionError:
        raise ValueError(f"{where} is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"{where} is not valid JSON ({error})") from None


def fields_from_json(data: bytes | str, where: str) -> Fields:
    """Parse a JSON object. Raises as `value_from_json`, or when it is not an object."""
    return Fields(value_from_json(data, where), where)


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
        raise ValueError(f"{text} is out of range")
    return value
