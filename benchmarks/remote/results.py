"""Results that come back from another machine while it measures, and go there to be continued."""

import re
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from dspctl.benchmarks.record.archive import LARGEST_FILE_BYTES, arrays_from_bytes
from dspctl.benchmarks.record.file import (
    LARGEST_BYTES,
    load_result,
    result_from_bytes,
    sample_files,
    stem_of,
)
from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.remote.cache import Cache, Parcel
from dspctl.benchmarks.remote.connection import Connection
from dspctl.benchmarks.remote.job import OUT, Run, place_of
from dspctl.errors import HostAnswer, ResultProblem
from dspctl.runtime.files import write_bytes
from dspctl.runtime.untrusted import read_bytes

_FETCH_S = 600.0

# Names are the worker's own; cksum tells which files have changed.
_LIST = """
cd "$1/$2" 2>/dev/null || exit 0
for name in bench*.npz; do [ -f "$name" ] && cksum "$name"; done
exit 0
"""
_GET = """
cd "$1/$2" 2>/dev/null && [ -f "$3" ] || exit 3
exec cat "$3"
"""
_REMOVE = 'cd "$1" && rm -rf "$2"'
_ABSENT = 3

_LINE = re.compile(rb"([0-9]+) ([0-9]+) (bench(?:-[a-z0-9_]+)+\.npz)")


class Returning:
    """The result of one run, as far as it is there already and here already.

    Args:
        connection: to the machine.
        cache: the folder there.
        run: the benchmark's place in it.
        out: the JSON file here.
    """

    def __init__(self, connection: Connection, cache: Cache, run: Run, out: Path) -> None:
        self._connection, self._cache, self._run, self._out = connection, cache, run, out
        self._fetched: dict[str, bytes] = {}

    def there(self) -> BenchResult | None:
        """The result on the other machine, None where there is none or it cannot be used."""
        data = self._get(OUT, LARGEST_BYTES)
        if data is None:
            return None
        try:
            return result_from_bytes(data, OUT)
        except ResultProblem:
            return None

    def fetch(self) -> BenchResult | None:
        """Bring the JSON, and the raw samples that changed, and put them here.

        The samples are here before the JSON that speaks of them. None where there is no result.

        Raises:
            HostAnswer: what came is no result, or too large; what was here before is untouched.
            WriteFailed: it cannot be written here.
            ConnectionLost: the connection ended.
        """
        data = self._get(OUT, LARGEST_BYTES)
        if data is None:
            return None
        try:
            result = result_from_bytes(data, OUT)
        except ResultProblem as error:
            raise HostAnswer(
                f"{self._connection.host} sent a result that cannot be used: repeat the command"
            ) from error
        expected = {
            f"{stem_of(Path(OUT))}{path.name.removeprefix(stem_of(self._out))}"
            for backend in result.settings.request.backends
            for path in sample_files(self._out, backend)
        }
        for name, sum_and_size in self._listed(expected).items():
            if self._fetched.get(name) == sum_and_size:
                continue
            samples = self._get(name, LARGEST_FILE_BYTES)
            if samples is None or not whole_archive(samples):
                raise HostAnswer(
                    f"{self._connection.host} sent damaged samples ({name}): repeat the command"
                )
            write_bytes(place_of(self._out, name), samples)
            self._fetched[name] = sum_and_size
        write_bytes(self._out, data)
        return result

    def clear(self) -> None:
        """Remove what was measured there; raises `ConnectionLost`."""
        self._cache.run(_REMOVE, self._run.out)

    def discard(self) -> None:
        """Remove the whole folder of the run there; raises `ConnectionLost`."""
        self._cache.run(_REMOVE, self._run.name)

    def send(self, result: BenchResult) -> None:
        """Let the other machine go on from *result*, which is in ``out`` here.

        Raises:
            HostStorage: it cannot be written there.
            ConnectionLost: the connection ended.
        """
        files = {OUT: read_bytes(self._out, LARGEST_BYTES)}
        for backend in result.settings.request.backends:
            for path in sample_files(self._out, backend):
                with suppress(FileNotFoundError):
                    files[f"{stem_of(Path(OUT))}{path.name.removeprefix(stem_of(self._out))}"] = (
                        read_bytes(path, LARGEST_FILE_BYTES, links=False)
                    )
        self._cache.replace(Parcel(self._run.out, files))

    def _listed(self, expected: Container[str]) -> dict[str, bytes]:
        """Check sum and size by name, of files that belong to the result."""
        done = self._cache.run(_LIST, self._run.out)
        found = {}
        for line in done.output.splitlines():
            match = _LINE.fullmatch(line)
            if not match or match[3].decode() not in expected:
                raise HostAnswer(
                    f"{self._connection.host} listed files that no benchmark writes: remove the "
                    f"folder {self._run.name} from the cache there"
                )
            found[match[3].decode()] = match[1] + b" " + match[2]
        return found

    def _get(self, name: str, limit_bytes: int) -> bytes | None:
        done = self._connection.run(
            _GET,
            self._cache.root,
            self._run.out,
            name,
            limit_bytes=limit_bytes,
            timeout_s=_FETCH_S,
        )
        if done.code == _ABSENT:
            return None
        if done.code != 0:
            raise HostAnswer(
                f"{self._connection.host} cannot read {name} of its own ({done.complaint}): "
                "check the disk there"
            )
        return done.output


def whole_archive(data: bytes) -> bool:
    """True for an archive of arrays without damage."""
    try:
        arrays_from_bytes(data)
    except ValueError:
        return False
    return True


def finished_in(path: Path) -> tuple[str, ...]:
    """The measurements that a result's file holds; none where there is no file."""
    try:
        return load_result(path).finished
    except ResultProblem:
        return ()
