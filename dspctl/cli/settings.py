"""Command-line flags made from the fields of `TrainConfig`: their names, types and sentences.

A new field is a new flag with no line changed here; a new section of the config is one entry in
`PANELS`.
"""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, Literal, Optional, TypeVar, get_args, get_origin, get_type_hints

import typer

from dspctl.trainer.config import TrainConfig, field_help

Command = TypeVar("Command", bound=Callable[..., None])

# The first field of each section of the config, and the heading it gets in the help.
PANELS = {
    "environment": "Run",
    "environments": "Collecting",
    "minibatch": "PPO",
    "hidden": "Networks",
    "sparsity": "Pruning",
    "checkpoint_seconds": "Keeping",
}
_ARGUMENT = "environment"


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
    flag = f"--{name.replace('_', '-')}"
    extra: dict[str, Any] = {}
    if get_origin(kind) is Literal:
        # The config names the choices in its own error, so the flag takes any text.
        extra["metavar"], kind = "|".join(get_args(kind)), str
    elif get_origin(kind) is tuple:
        extra["metavar"], extra["parser"], kind = "WIDTHS", _widths, Any
    elif kind is bool:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    help_text = field_help(name)
    option = typer.Option(
        flag, help=help_text, rich_help_panel=panel, show_default="from the recipe", **extra
    )
    return Annotated[Optional[kind], option]  # noqa: UP045  kind is a value, not an expression


def _widths(text: str) -> tuple[int, ...]:
    """``128-128`` or ``128,128`` as widths; ``none`` for a network without hidden layers."""
    if text == "none":
        return ()
    try:
        return tuple(int(part) for part in text.replace(",", "-").split("-"))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of widths such as 128-128") from None
