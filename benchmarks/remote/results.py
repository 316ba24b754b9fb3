"""Results that come back from another machine while it measures, and go there to be continued."""

import io
import json
import re
import shutil
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

from dspctl.benchmarks.record.file import load_result, sample_files
from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.remote.cache import Cache, Parcel
from dspctl.benchmarks.remote.connection import Connection
from dspctl.benchmarks.remote.job import OUT, Run, place_of
from dspctl.errors import HostAnswer, ResultProblem
from dspctl.runtime.files import write_bytes

_JSON_BYTES = 64 << 20
_SAMPLES_BYTES = 512 << 20
_UNPACKED_BYTES = 4 << 30
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
        data = self._get(OUT, _JSON_BYTES)
        if data is None:
            return None
        try:
            return _parsed(data)
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
        data = self._get(OUT, _JSON_BYTES)
        if data is None:
            return None
        try:
            result = _parsed(data)
        except ResultProblem as error:
            raise HostAnswer(
                f"{self._connection.host} sent a result that cannot be used: repeat the command"
            ) from error
        for name, sum_and_size in self._listed().items():
            if self._fetched.get(name) == sum_and_size:
                continue
            samples = self._get(name, _SAMPLES_BYTES)
            if samples is None or not _whole(samples):
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
        files = {OUT: self._out.read_bytes()}
        for backend in result.settings.request.backends:
            for path in sample_files(self._out, backend):
                with suppress(FileNotFoundError):
                    files[f"{Path(OUT).stem}{path.name.removeprefix(self._out.stem)}"] = (
                        path.read_bytes()
                    )
        self._cache.replace(Parcel(self._run.out, files))

    def _listed(self) -> dict[str, bytes]:
        done = self._cache.run(_LIST, self._run.out)
        found = {}
        for line in done.output.splitlines():
            match = _LINE.fullmatch(line)
            if not match:
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


def _parsed(data: bytes) -> BenchResult:
    """A result from the bytes of its JSON; raises `ResultProblem`."""
    folder = Path(tempfile.mkdtemp(prefix="dspctl-"))
    try:
        path = folder / OUT
        path.write_bytes(data)
        return load_result(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _whole(data: bytes) -> bool:
    """True for an archive of arrays without damage."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = [entry.file_size for entry in archive.infolist()]
            return sum(sizes) <= _UNPACKED_BYTES and archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        return False


def finished_in(path: Path) -> tuple[str, ...]:
    """The measurements that a result's file holds; none where there is no file."""
    try:
        values = json.loads(path.read_bytes())
        return tuple(str(name) for name in values["finished"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ()
