"""Numbers as C writes them: exact, short, the same on every machine."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

_PER_LINE = 92


def float_literal(value: Any) -> str:
    """The shortest decimal that reads back as the same finite float32, with its suffix."""
    number = np.float32(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} cannot be a constant in C")
    text = np.format_float_positional(number, unique=True, trim="0")
    if len(text) > 14:
        text = np.format_float_scientific(number, unique=True, trim="0")
    return f"{text}F"


def wrapped(values: Iterable[Any], indent: int) -> str:
    """Literals separated by commas, broken into lines that start *indent* spaces in."""
    return f",\n{' ' * indent}".join(_lines([float_literal(value) for value in values], indent))


def initialiser(words: list[str]) -> str:
    """A macro's brace-enclosed list: on the macro's line where it fits, else broken with ``\\``."""
    short = f"{{{', '.join(words)}}}"
    if len(short) <= _PER_LINE - 40:
        return short
    lines = list(_lines(words, 8))
    body = ", \\\n        ".join(lines)
    return f"\\\n    {{ \\\n        {body} \\\n    }}"


def _lines(words: list[str], indent: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and indent + len(line) + 2 + len(word) > _PER_LINE:
            yield line
            line = word
        else:
            line = f"{line}, {word}" if line else word
    yield line
