"""A machine over ssh as a `Host`: what it is, and its bundles' own programs."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from dspctl.benchmarks.command.answer import Answer, object_from_json
from dspctl.benchmarks.command.run import time_limit_s
from dspctl.benchmarks.device.identity import Device, describe_device
from dspctl.benchmarks.record.machine import Machine
from dspctl.benchmarks.remote.bundles import Packed
from dspctl.benchmarks.remote.cache import Cache
from dspctl.benchmarks.remote.connection import Connection, Done
from dspctl.benchmarks.remote.description import machine_of
from dspctl.benchmarks.remote.snapshot import snapshot
from dspctl.errors import BackendUnavailable, HostAnswer, HostStorage

_REPORT_BYTES = 4 << 20
_SAMPLES_BYTES = 256 << 20
_SEND_S = 300.0  # for the samples, over a slow line

# The program is ended when standard input is, which is when the connection is. Its output goes to
# files, so that nothing is sent while it measures.
_BENCH = """
umask 077
cd "$1/$2/native/$3" || exit 126
folder=$1/steps.$$
shift 3
exec 3<&0
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
rm -rf "$folder" && mkdir "$folder" || exit 8
./policy bench "$@" --json --samples "$folder/samples" >"$folder/report" </dev/null 3<&- &
program=$!
{ cat <&3; kill -KILL "$program"; } >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$program"; code=$?
kill "$watch" 2>/dev/null
[ "$code" -eq 0 ] || exit "$code"
[ -f "$folder/samples" ] || exit 8
wc -c < "$folder/report" || exit 8
cat "$folder/report" "$folder/samples"
"""

_CANNOT_WRITE = 8
_SIZE = re.compile(rb"\s*([0-9]{1,9})\s*")


class SshHost:
    """The machine that *connection* reaches, with bundles that were copied there and verified.

    Args:
        connection: to it.
        cache: the folder there.
        bundles: by label.
        targets: the native target that fits, by label; a bundle without one has no program there.
    """

    def __init__(
        self,
        connection: Connection,
        cache: Cache,
        bundles: Mapping[str, Packed],
        targets: Mapping[str, str],
    ) -> None:
        self.name = connection.host
        self._connection, self._cache = connection, cache
        self._bundles, self._targets = bundles, targets

    def cpus(self) -> tuple[int, ...]:
        """As many as it has; one that it refuses to a program is passed over there."""
        return tuple(range(self.machine().cores))

    def machine(self) -> Machine:
        """Read now; raises as `snapshot`."""
        with tempfile.TemporaryDirectory(prefix="dspctl-") as folder:
            snapshot(self._connection, Path(folder))
            return machine_of(Path(folder))

    def device(self) -> Device:
        """Read now; raises as `snapshot`."""
        with tempfile.TemporaryDirectory(prefix="dspctl-") as folder:
            snapshot(self._connection, Path(folder))
            return describe_device(Path(folder))

    def run_command(self, label: str, arguments: Sequence[str]) -> Answer:
        """Run ``policy bench`` there; a `RunCommand`.

        Raises:
            BackendUnavailable: the program does not run there.
            HostStorage: its samples cannot be written there.
            HostAnswer: what came back is no report.
            ConnectionLost: the connection ended, and the program with it.
        """
        bundle = self._bundles[label]
        if label not in self._targets:
            raise BackendUnavailable(f"'{label}' has no native code for {self.name}")
        return self._ask(label, bundle.parcel.name, arguments)

    def _ask(self, label: str, folder: str, arguments: Sequence[str]) -> Answer:
        done = self._connection.run(
            _BENCH,
            self._cache.root,
            folder,
            self._targets[label],
            *arguments,
            held=True,
            limit_bytes=_REPORT_BYTES + _SAMPLES_BYTES,
            timeout_s=_SEND_S + time_limit_s(arguments),
        )
        self._check(label, done)
        first, _, rest = done.output.partition(b"\n")
        size = _SIZE.fullmatch(first)
        try:
            if size is None or int(size[1]) > min(_REPORT_BYTES, len(rest)):
                raise ValueError("no size")
            report = object_from_json(rest[: int(size[1])])
        except ValueError as error:
            raise HostAnswer(
                f"the program of '{label}' gave no report on {self.name} ({error}): repeat the "
                "command"
            ) from error
        return Answer(report, rest[int(size[1]) :])

    def _check(self, label: str, done: Done) -> None:
        if done.code == 0:
            return
        why = done.complaint or f"exit code {done.code}"
        if done.code == _CANNOT_WRITE or "o space left" in why:
            raise HostStorage(
                f"{self.name} cannot keep the samples of '{label}' ({why}): free some space there, "
                "then repeat the command"
            )
        raise BackendUnavailable(
            f"the program of '{label}' does not run on {self.name} ({why}): export the bundle "
            "again with this dspctl"
        )
