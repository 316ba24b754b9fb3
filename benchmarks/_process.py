"""Starting this package's modules in fresh processes, and ending them with their parent."""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import dspctl
from dspctl.runtime.untrusted import open_plain, visible

_TAIL_BYTES = 4096


def command(module: str, *arguments: str) -> Sequence[str]:
    """The command line that runs *module* with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def end_with_parent() -> None:
    """End this process when its standard input does, even if its parent is killed; a thread."""
    threading.Thread(target=_watch_input, daemon=True).start()


def _watch_input() -> None:
    # By the descriptor: Python's own reader would hold its lock when the process ends.
    while os.read(0, 4096):
        pass
    os._exit(1)


def environment(**changes: str) -> Mapping[str, str]:
    """This process's environment with *changes*, and with dspctl where a child finds it."""
    home = Path(dspctl.__file__).resolve().parents[1]
    found = {**os.environ, **changes}
    # Only for a checkout that is not installed: PYTHONPATH goes before the standard library, and
    # a whole site-packages must not.
    if home.name not in ("site-packages", "dist-packages"):
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), found.get("PYTHONPATH")]))
    return found


def last_line(log: Path) -> str:
    """The last line of what a process printed; empty where there is none, or no such file."""
    try:
        with open_plain(log, links=False) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return visible(lines[-1]) if lines else ""
