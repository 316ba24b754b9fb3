"""Command-line flags made from the fields of `TrainConfig`: their names, types and sentences.

A new field is a new flag with no line changed here; a new section of the config is one entry in
`PANELS`.
"""

import inspect
from collections.abc import Callable
from dataclasses import fields
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer

from dspctl.trainer.settings.config import TrainConfig, field_help

Command = TypeVar("Command", bound=Callable[..., None])

# The first field of each section of the config, and the heading it gets in the help.
PANELS = {
    "environment": "Run",
    "environments": "Collecting",
    "minibatch": "PPO",
    "hidden": "Networks",
    "sparsity": "Pruning",
    "teacher": "Distillation",
    "trials": "Keeping",
}
_ARGUMENT = "environment"
_METAVARS = {int: "N", float: "X", str: "NAME"}


def settings_as_flags(command: Command) -> Command:
    """Replace the ``**settings`` of *command* by one flag for each field of `TrainConfig`."""
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    # typer reads the signature; the annotations it also looks at are taken from there.
    command.__signature__ = signature.replace(parameters=[*own, *_flags()])  # type: ignore[attr-defined]
    return command


def _flags() -> list[inspect.Parameter]:
    hints = get_type_hints(TrainConfig)
    flags, panel = [], ""
    for entry in fields(TrainConfig):
        panel = PANELS.get(entry.name, panel)
        if entry.name == _ARGUMENT:
            continue
        flags.append(
            inspect.Parameter(
                entry.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=_annotation(entry.name, hints[entry.name], panel),
            )
        )
    return flags


def _annotation(name: str, kind: Any, panel: str) -> Any:
    """The annotated type from which typer makes the flag of one field."""
    sentence = field_help(name)
    if NoneType in get_args(kind):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    extra: dict[str, Any] = {}
    if get_origin(kind) is Literal:
        # The config refuses other values with an error of its own, so the flag takes any text.
        if not all(choice in sentence for choice in get_args(kind)):
            sentence = f"{sentence.rstrip('.')} ({', '.join(get_args(kind))})."
        extra["metavar"], kind = "NAME", str
    elif get_origin(kind) is tuple:
        extra["metavar"], extra["parser"], kind = "N-N", _widths, Any
    elif kind is bool:
        # One flag with a value: a pair such as --normalize-rewards/--no-normalize-rewards would
        # leave no room for the sentence in a terminal of 80 columns.
        extra["metavar"], extra["parser"], kind = "yes|no", _yes_or_no, Any
    else:
        extra["metavar"] = _METAVARS[kind]
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=sentence,
        rich_help_panel=panel,
        show_default=False,
        **extra,
    )
    return Annotated[kind | None, option]


def _widths(text: str) -> tuple[int, ...]:
    """``128-128`` or ``128,128`` as widths; ``none`` for a network without hidden layers."""
    if text == "none":
        return ()
    try:
        return tuple(int(part) for part in text.replace(",", "-").split("-"))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of widths such as 128-128") from None


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise typer.BadParameter(f"{text!r} is neither yes nor no")
    return text == "yes"
