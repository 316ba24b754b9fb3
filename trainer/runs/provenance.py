"""Where and with what a run was made: all that decides whether it comes out the same elsewhere.

Rounding differs between BLAS kernels, and a kernel is chosen by the processor and by environment
variables, so these are recorded beside versions and the command.
"""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

import dspctl
from dspctl.runtime.machine import this_machine
from dspctl.runtime.versions import installed_versions
from dspctl.trainer.runs.records import as_line, as_name

LIBRARIES = ("numpy", "torch", "gymnasium", "envpool", "mujoco", "safetensors")
"""Distributions that a run's numbers may depend on; those that are not installed are left out."""
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "BLIS_ARCH_TYPE",
    "BLIS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "PYTHONHASHSEED",
)
_VARIABLE_PREFIX = "MKL_"


def describe_here() -> dict[str, Any]:
    """The record of this process, plain JSON values.

    ``git`` is the state of the checkout that dspctl runs from, None where it runs from no checkout.
    """
    return {
        "command": _command(),
        "versions": {
            "dspctl": dspctl.__version__,
            "python": platform.python_version(),
            **installed_versions(LIBRARIES),
        },
        "system": f"{platform.system()} {platform.release()}",
        "processor": str(this_machine()),
        "cores": len(os.sched_getaffinity(0)),
        "blas": [
            {
                "library": entry["internal_api"],
                "version": entry.get("version"),
                "kernel": entry.get("architecture"),
                "threading": entry.get("threading_layer"),
                "threads": entry["num_threads"],
            }
            for entry in _blas()
        ],
        "variables": {
            as_name(name): as_line(value)
            for name, value in sorted(os.environ.items())
            if name in _VARIABLES or name.startswith(_VARIABLE_PREFIX)
        },
        "git": _git(Path(dspctl.__file__).resolve().parents[1]),
    }


def facts(record: Mapping[str, Any]) -> dict[str, str]:
    """A record as names and words, in the order of reading; what is absent is left out."""
    found = dict(record.get("versions", {}))
    for name in ("processor", "system"):
        if name in record:
            found[name] = str(record[name])
    if "cores" in record:
        found["cores"] = str(record["cores"])
    if "blas" in record:
        words = ("library", "version", "kernel", "threading")
        found["BLAS"] = "; ".join(
            " ".join(str(entry[word]) for word in words if entry.get(word))
            + f", {entry.get('threads')} threads"
            for entry in record["blas"]
        )
    if "variables" in record:
        found["variables"] = (
            shlex.join(f"{k}={v}" for k, v in record["variables"].items()) or "none"
        )
    if "git" in record:
        git = record["git"]
        found["git"] = (
            "no checkout" if git is None else git["commit"] + (", changed" if git["dirty"] else "")
        )
    return found


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The facts of *before* that are others *now*, as name → (then, now).

    Only what was recorded then is compared; a version that is gone is ``absent``.
    """
    then, here = facts(before), facts(now)
    return {
        name: (value, here.get(name, "absent"))
        for name, value in then.items()
        if here.get(name, "absent") != value
    }


def _blas() -> list[dict[str, Any]]:
    """The libraries that NumPy multiplies with. Its wheels bring their own; others that are loaded
    (SciPy's, torch's) are then none of training's business."""
    found = [entry for entry in threadpool_info() if entry["user_api"] == "blas"]
    own = [entry for entry in found if "numpy" in entry["filepath"]]
    return own or found


def _command() -> str:
    """The command line of this process, the command itself by its name; on one line, and cut where
    it is very long."""
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    if name == "__main__.py" and Path(sys.argv[0]).parent.name == "dspctl":
        name = "dspctl"
    return as_line(shlex.join([name, *sys.argv[1:]]))


@cache  # the code that runs is the code that was there when it was first asked
def _git(checkout: Path) -> dict[str, Any] | None:
    """Commit of the checkout, and whether its tracked files differ from it."""
    if not (checkout / ".git").exists():
        return None
    commit = _ask_git(checkout, "rev-parse", "HEAD")
    changed = _ask_git(checkout, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changed is None:
        return None
    return {"commit": commit, "dirty": bool(changed)}


def _ask_git(checkout: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            # Without locks: several runs may ask at once, and somebody may be committing.
            ["git", "--no-optional-locks", "-C", str(checkout), *words],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
