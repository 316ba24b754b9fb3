"""What ``run.json`` says of where a run was made and how it went on, checked field by field."""

from typing import Any

from dspctl.runtime.strict_json import Fields
from dspctl.runtime.untrusted import LONGEST_NAME, check_name, is_plain, visible_name

_LONGEST_TEXT = 4096
MOST = 1000
"""Entries of a list."""


def as_line(text: str) -> str:
    """*text* as `check_line` reads it: what comes from a shell may hold anything, and a record that
    cannot be read would take the whole run with it."""
    return _cut(visible_name(text), _LONGEST_TEXT)


def as_name(text: str) -> str:
    """*text* as a record may have it for a name."""
    return _cut(visible_name(text), LONGEST_NAME)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def check_line(text: Any, where: str) -> str:
    """A text of one line; raises ValueError for anything else."""
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT or not is_plain(text):
        raise ValueError(f"{where} is no text of one line")
    return text


def check_provenance(fields: Fields) -> None:
    """The record that `dspctl.trainer.runs.provenance.describe_here` makes.

    Raises:
        ValueError: a field is missing, unknown, or of another type.
    """
    for name in ("command", "system", "processor"):
        check_line(fields.take(name), f"'{name}'")
    if fields.integer("cores") < 0:
        raise ValueError("'cores' is no count")
    for name in ("versions", "variables"):
        for key, value in fields.entries(name).items():
            check_name(key, f"a name in '{name}'")
            check_line(value, f"'{key}' in '{name}'")
    libraries = fields.take("blas")
    if not isinstance(libraries, list) or len(libraries) > MOST:
        raise ValueError("'blas' is not a list of libraries")
    for library in libraries:
        _check_library(Fields(library, "'blas'"))
    git = fields.take("git")
    if git is not None:
        checkout = Fields(git, "'git'")
        check_line(checkout.take("commit"), "'commit'")
        if type(checkout.take("dirty")) is not bool:
            raise ValueError("'dirty' is neither true nor false")
        checkout.finish()
    fields.finish()


def check_resumptions(value: Any) -> None:
    """The list that `dspctl.trainer.runs.resuming.note` adds to.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, list) or len(value) > MOST:
        raise ValueError("'resumptions' is not a list, or far too long")
    for entry in value:
        fields = Fields(entry, "a resumption")
        if fields.integer("steps") < 0:
            raise ValueError("a resumption has no count of steps")
        if fields.text("environments") not in ("anew", "restored"):
            raise ValueError("a resumption's environments are neither anew nor restored")
        for name in ("differs", "settings"):
            if name in entry:
                _check_pairs(fields.entries(name), name)
        fields.finish()


def _check_library(fields: Fields) -> None:
    for name in ("library", "version", "kernel", "threading"):
        if (text := fields.take(name)) is not None:
            check_line(text, f"'{name}' of a library")
    fields.integer("threads")
    fields.finish()


def _check_pairs(values: dict[str, Any], where: str) -> None:
    """Name → what was before and what is now."""
    for name, pair in values.items():
        check_name(name, f"a name in '{where}'")
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"'{name}' in '{where}' is no pair")
        for one in pair:
            if isinstance(one, str):
                check_line(one, f"'{name}' in '{where}'")
            elif not isinstance(one, int | float):
                raise ValueError(f"'{name}' in '{where}' is neither a number nor a text")
