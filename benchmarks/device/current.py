"""The device that this program runs on, now.

The readers run no program. Asking ``nvpmodel`` is the one exception, and it is made here: its
status file is where the program keeps its answer, but not on every release.
"""

import shutil
import subprocess
from pathlib import Path

from dspctl.benchmarks.device.identity import Device, describe_device

_TIMEOUT_S = 10
_SYSTEM_FOLDER = "/usr/sbin"  # not on the path of every user


def current_device(root: Path = Path("/")) -> Device:
    """The device under *root*; on the running system with the power mode that nvpmodel tells."""
    running = root == Path("/")
    return describe_device(root, nvpmodel=ask_nvpmodel() if running else None)


def ask_nvpmodel(program: str = "nvpmodel") -> str | None:
    """What ``nvpmodel -q`` prints; None where there is no such program, or it does not answer."""
    found = shutil.which(program) or shutil.which(program, path=_SYSTEM_FOLDER)
    if found is None:
        return None
    try:
        answer = subprocess.run(
            [found, "-q"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout if answer.returncode == 0 else None
