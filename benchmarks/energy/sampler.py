"""Readings of a board's power rails, taken by a process of its own while this one measures.

The readings go through a file without a name: a pipe would need this process to empty it meanwhile.
"""

import json
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dspctl.benchmarks._process import command, environment
from dspctl.errors import PowerUnavailable

INTERVAL_S = 0.25
_FIRST_S = 10.0
_STOP_S = 5.0
_POLL_S = 0.02
_CHUNK = 1 << 16


class Reading(NamedTuple):
    """The rails at one moment.

    Attributes:
        at_s: seconds of the monotonic clock, which all processes share.
        rails_w: watts by rail.
    """

    at_s: float
    rails_w: dict[str, float]


class Sampler:
    """A process that reads the rails every *interval_s*, until `close`.

    Args:
        root: where ``sys`` is found.
        program: tegrastats, where its lines shall be read instead of the sensor's files.
        interval_s: between two readings.

    Raises:
        PowerUnavailable: the process cannot be started.
    """

    def __init__(
        self, root: Path, *, program: str | None = None, interval_s: float = INTERVAL_S
    ) -> None:
        self.interval_s = interval_s
        self._source = "tegrastats" if program else "the INA3221"
        request = {"root": str(root), "interval_s": interval_s, "program": program}
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed in `close`
        self._offset = 0
        try:
            self._process = subprocess.Popen(
                command("dspctl.benchmarks.energy._sampler", json.dumps(request)),
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=self._file,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            self._file.close()
            raise PowerUnavailable(
                f"the process that reads the power cannot be started ({error.strerror or error})"
            ) from error
        self._begun = b""
        self._found: list[Reading] = []

    def first(self) -> Reading:
        """The first reading that has a rail.

        Raises:
            PowerUnavailable: none came in time.
        """
        limit = time.monotonic() + _FIRST_S
        while time.monotonic() < limit:
            found = next((one for one in self._read() if one.rails_w), None)
            if found is not None:
                return found
            if self._process.poll() is not None:
                raise PowerUnavailable(f"{self._source} ended without showing a power rail")
            time.sleep(_POLL_S)
        raise PowerUnavailable(f"{self._source} showed no power rail within {_FIRST_S:g} s")

    def readings(self) -> tuple[Reading, ...]:
        """What was read since this was last called, in order."""
        self._read()
        found, self._found = tuple(self._found), []
        return found

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._file.close()

    def _read(self) -> list[Reading]:
        """Take in the lines that are finished."""
        # By position: the other process writes at the offset that both of them share.
        while data := os.pread(self._file.fileno(), _CHUNK, self._offset):
            self._offset += len(data)
            self._begun += data
        *lines, self._begun = self._begun.split(b"\n")
        for line in lines:
            values = json.loads(line)
            self._found.append(Reading(float(values["t"]), values["rails"]))
        return self._found
