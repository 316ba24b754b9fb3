"""Starting this package's modules in fresh processes."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import dspctl


def command(module: str, *arguments: str) -> Sequence[str]:
    """The command line that runs *module* with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def environment(**changes: str) -> Mapping[str, str]:
    """This process's environment with *changes*, and with dspctl where a child finds it."""
    home = Path(dspctl.__file__).resolve().parents[1]
    found = {**os.environ, **changes}
    # Only for a checkout that is not installed: PYTHONPATH goes before the standard library, and
    # a whole site-packages must not.
    if home.name not in ("site-packages", "dist-packages"):
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), found.get("PYTHONPATH")]))
    return found
