"""Programs that tests call, and whether they may do without."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

REQUIRED = "DSPCTL_REQUIRE_TOOLS"


def needs(*commands: str) -> None:
    """Skip the test where one of *commands* is not installed.

    With DSPCTL_REQUIRE_TOOLS=1, as continuous integration sets it, the test fails instead: a
    check that silently never runs is worth nothing.
    """
    missing = [command for command in commands if shutil.which(command) is None]
    if not missing:
        return
    reason = f"not installed: {', '.join(missing)} (tools/install-system-packages installs it)"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def run(
    *command: str | Path, text: str = "", folder: Path | None = None, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code."""
    return subprocess.run(
        [str(word) for word in command],
        input=text,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=timeout_s,
    )


def run_bytes(
    *command: str | Path, data: bytes, timeout_s: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """The same with bytes for its streams."""
    words = [str(word) for word in command]
    return subprocess.run(words, input=data, capture_output=True, timeout=timeout_s)


def lines_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """``name value`` lines of a board's output."""
    return dict(line.split(" ", 1) for line in done.stderr.splitlines() if " " in line)


def write_files(folder: Path, files: dict[str, bytes], executables: Sequence[str] = ()) -> Path:
    """*files* in *folder*, which may not exist yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o755 if name in executables else 0o644)
    return folder
