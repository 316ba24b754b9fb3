"""The machine a figure was measured on; a figure without it says little."""

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dspctl.runtime.untrusted import visible
from dspctl.runtime.versions import installed_versions

LIBRARIES = (
    "dspctl",
    "numpy",
    "safetensors",
    "onnxruntime",
    "torch",
    "envpool",
    "gymnasium",
    "mujoco",
    "stable-baselines3",
    "sbx-rl",
    "jax",
)
"""Distributions whose versions are recorded where they are installed."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_BUSY_SHARE = 0.25


@dataclass(frozen=True)
class Machine:
    """What a result depends on besides the code.

    Attributes:
        measured_at: UTC time, ISO 8601.
        cpu: model name, or the board's name where the kernel gives no model.
        board: device-tree model of an embedded board, else None.
        architecture: as ``uname -m`` prints it.
        cores: cores this process may use.
        memory_bytes: installed memory, or None where it cannot be read.
        virtual: True inside a virtual machine, where another tenant may take time unseen.
        system: operating system and kernel release.
        governor: frequency governor of the first core, or None where the kernel shows none.
        load_average: runnable processes over the last 1, 5 and 15 minutes, or None.
        python: implementation and version.
        libraries: version of each installed library that matters.
        threads: environment variables that set a library's number of threads.
    """

    measured_at: str
    cpu: str
    board: str | None
    architecture: str
    cores: int
    memory_bytes: int | None
    virtual: bool
    system: str
    governor: str | None
    load_average: tuple[float, float, float] | None
    python: str
    libraries: Mapping[str, str] = field(default_factory=dict)
    threads: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        load = None if self.load_average is None else list(self.load_average)
        return {**asdict(self), "load_average": load}

    def notes(self) -> tuple[str, ...]:
        """Sentences about what makes timings on this machine less trustworthy, and the remedy."""
        found = []
        if self.load_average is not None and self.load_average[0] > _BUSY_SHARE * self.cores:
            found.append(
                f"the load average was {self.load_average[0]:.1f} on {self.cores} cores before "
                "the measurement: stop other programs and repeat it"
            )
        return tuple(found)


def describe_machine(root: Path = Path("/")) -> Machine:
    """Read the machine's record; *root* is where ``proc`` and ``sys`` are found."""
    cpuinfo = _fields(root / "proc/cpuinfo")
    board = _text(root / "proc/device-tree/model")
    memory = _fields(root / "proc/meminfo").get("MemTotal", "").split()
    return Machine(
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        cpu=cpuinfo.get("model name") or board or platform.processor() or platform.machine(),
        board=board,
        architecture=platform.machine(),
        cores=_cores(),
        memory_bytes=_kilobytes(memory[0]) if memory else None,
        virtual="hypervisor" in cpuinfo.get("flags", "").split(),
        system=f"{platform.system()} {platform.release()}",
        governor=_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        load_average=_load_average(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        libraries=installed_versions(LIBRARIES),
        threads={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
    )


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity mask
        return os.cpu_count() or 1


def _load_average() -> tuple[float, float, float] | None:
    try:
        return os.getloadavg()
    except (AttributeError, OSError):
        return None


def _text(path: Path) -> str | None:
    """A small file's text without the NUL that device trees end with; None where unreadable."""
    try:
        return visible(path.read_text(errors="replace").strip("\0\n ")) or None
    except OSError:
        return None


def _kilobytes(text: str) -> int | None:
    """Bytes of so many kB; None where that is no number of 64 bits."""
    return int(text) * 1024 if re.fullmatch("[0-9]{1,15}", text) else None


def _fields(path: Path) -> dict[str, str]:
    """First value of each ``key : value`` line."""
    found: dict[str, str] = {}
    for line in (_text(path) or "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found
