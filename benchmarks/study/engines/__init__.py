"""Where cells run: what a study asks of an engine, and what it hears from one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from dspctl.benchmarks.study.plan import Cell

Kind = Literal["steps", "finished", "stopped", "failed", "again"]


@dataclass(frozen=True)
class Event:
    """What became of a cell.

    Attributes:
        key: the cell's.
        kind: ``steps`` for progress; ``finished`` when its record is in the study folder;
            ``stopped`` when it was asked to; ``failed`` for good; ``again`` when its process or
            machine was lost and it is started once more.
        steps: training steps so far, for ``steps``.
        total: steps in all, for ``steps``.
        text: the phase for ``steps``, the reason for ``failed`` and ``again``.
    """

    key: str
    kind: Kind
    steps: int = 0
    total: int = 0
    text: str = ""


class Engine(Protocol):
    """Something that runs cells, several at once."""

    @property
    def slots(self) -> int:
        """Most cells that are worth handing over at once."""

    def start(self, cell: Cell) -> None:
        """Begin a cell, or go on with it; its teacher's record is in the study folder."""

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """What has happened; returns as soon as something has, or after *timeout_s*."""

    def stop(self) -> None:
        """Ask every running cell for a checkpoint; each answers with an event."""

    def close(self) -> None:
        """End everything at once; what was written stays."""
