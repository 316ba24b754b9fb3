"""Starting this package's modules in fresh processes, and ending them with their parent."""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import dspctl


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
