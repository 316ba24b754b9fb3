"""Fields of a study file: their names, their types, and what to say when one is wrong."""

import difflib
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from dspctl.errors import StudyProblem
from dspctl.runtime.strict_json import shown_names
from dspctl.runtime.untrusted import visible

_MOST_ENTRIES = 10_000
_SHOWN = 80
_WORD = re.compile(r"\w[\w .+-]{0,79}")
_PLAIN = (str, int, float, bool, list, dict)


def known(values: Mapping[str, Any], names: Collection[str], where: str) -> None:
    """Refuse a field that is not among *names*."""
    for name in values:
        member(name, names, "field", where)


def member(name: str, names: Collection[str], what: str, where: str) -> None:
    """Refuse a name that is not among *names*, and say the nearest one."""
    if name not in names:
        name = visible(name)[:_SHOWN]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise StudyProblem(
            f"{where}: there is no {what} '{name}': {hint}known: {', '.join(sorted(names))}"
        )


def check_word(text: str, name: str, where: str) -> str:
    """*text*, if it may be a name of ours: it becomes part of names of files and of tables."""
    if not _WORD.fullmatch(text):
        raise StudyProblem(
            f"{where}: {name} {visible(text)[:_SHOWN]!r} must be letters, digits, spaces, '.', '+' "
            "or '-', at most 80 of them"
        )
    return text


def of_type(value: Any, kind: type[Any], name: str, where: str) -> Any:
    """*value*, if it is of the type asked for; a whole number will do for a number."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise StudyProblem(f"{where}: '{name}' is a number of more than 64 bits")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        shown = visible(repr(value)[:_SHOWN]) if isinstance(value, _PLAIN) else type(value).__name__
        raise StudyProblem(f"{where}: '{name}' must be {_WORDS[kind]}, not {shown}")
    if isinstance(value, float) and not math.isfinite(value):
        raise StudyProblem(f"{where}: '{name}' must be a finite number, not {value}")
    return value


_WORDS: dict[type[Any], str] = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def list_of(
    values: Mapping[str, Any],
    name: str,
    kind: type[Any],
    where: str,
    default: tuple[Any, ...] = (),
    *,
    distinct: bool = True,
) -> tuple[Any, ...]:
    """The list under *name*, or *default*; each entry of one type, and none twice if *distinct*."""
    entries = of_type(values.get(name, list(default)), list, name, where)
    if len(entries) > _MOST_ENTRIES:
        raise StudyProblem(f"{where}: '{name}' has more than {_MOST_ENTRIES} entries")
    found = tuple(of_type(one, kind, name, where) for one in entries)
    if distinct and len(set(found)) != len(found):
        raise StudyProblem(f"{where}: '{name}' names something twice: {shown_names(found)}")
    return found
