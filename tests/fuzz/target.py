"""What a target is: a function that reads bytes as the program would, and where to start from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rich.console import Console

from dspctl.cli import show
from dspctl.errors import DspctlError

Read = Callable[[bytes, Path], object]


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        read: reads the bytes; the folder is empty, and the only place to write to.
        seeds: valid files.
        kind: a key of `mutations.BY_KIND`.
        refuses: what it may raise.
    """

    read: Read
    seeds: Callable[[], Sequence[bytes]]
    kind: str
    refuses: tuple[type[Exception], ...] = (DspctlError,)


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class Quiet:
    """Lets the command line draw, and looks at what reaches the terminal."""

    def __enter__(self) -> None:
        self.file = StringIO()
        self._made = {name: getattr(show, name) for name in ("stdout", "stderr")}
        for name in self._made:
            setattr(show, name, self._console)

    def _console(self) -> Console:
        return show.PlainConsole(file=self.file, highlight=False, markup=False, width=100)

    def __exit__(self, *_: object) -> None:
        for name, made in self._made.items():
            setattr(show, name, made)
        said = self.file.getvalue()
        bad = [letter for letter in said if ord(letter) < 32 and letter not in "\n\t"]
        assert not bad, f"control characters reach the terminal: {bad[:5]}"
        said.encode()
