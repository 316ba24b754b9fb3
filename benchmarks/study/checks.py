"""Fields of a study file: their names, their types, and what to say when one is wrong."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from dspctl.errors import StudyProblem


def known(values: Mapping[str, Any], names: Collection[str], where: str) -> None:
    """Refuse a field that is not among *names*."""
    for name in values:
        member(name, names, "field", where)


def member(name: str, names: Collection[str], what: str, where: str) -> None:
    """Refuse a name that is not among *names*, and say the nearest one."""
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise StudyProblem(
            f"{where}: there is no {what} '{name}': {hint}known: {', '.join(sorted(names))}"
        )


def of_type(value: Any, kind: type[Any], name: str, where: str) -> Any:
    """*value*, if it is of the type asked for; a whole number will do for a number."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise StudyProblem(f"{where}: '{name}' must be {_WORDS[kind]}, not {value!r}")
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
    entries = values.get(name, list(default))
    found = tuple(of_type(one, kind, name, where) for one in of_type(entries, list, name, where))
    if distinct and len(set(found)) != len(found):
        raise StudyProblem(f"{where}: '{name}' names something twice: {list(found)}")
    return found
