"""The one folder that dspctl keeps on another machine: ``~/.cache/dspctl/bench``.

What is copied there lies in a folder named by its digest, so that it is copied once. A folder is
filled under another name and moved into place.
"""

import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from dspctl.benchmarks.remote.connection import Connection, Done
from dspctl.errors import HostAnswer, HostStorage

_ROOT = r"""
umask 077
home=${XDG_CACHE_HOME:-${HOME:?}/.cache}
mkdir -p "$home/dspctl/bench" && cd "$home/dspctl/bench" && : > .writable && rm .writable || exit 8
pwd -P
"""

# sha256sum is in coreutils and BusyBox, but not in POSIX; without it everything is copied anew.
# Python may have put compiled modules beside its own.
_LIST = r"""
cd "$1/$2" 2>/dev/null || exit 0
command -v sha256sum >/dev/null 2>&1 || exit 0
find . -name __pycache__ -prune -o ! -type d ! -type f -print
find . -name __pycache__ -prune -o -type f -exec sha256sum {} +
"""

_PUT = r"""
umask 077
cd "$1" || exit 8
new="$2.new"
trap 'rm -rf "$new"' EXIT
rm -rf "$new" && mkdir "$new" && (cd "$new" && tar -xf -) && rm "$new/.end" || exit 8
rm -rf "$2" && mv "$new" "$2" || exit 8
"""

_END = ".end"
_LINE = re.compile(rb"([0-9a-f]{64})[ *]+\./([A-Za-z0-9_./-]{1,200})")
_BYTES_PER_S = 50_000  # the slowest line that is waited for
_LIST_S = 120.0


@dataclass(frozen=True, eq=False)
class Parcel:
    """Files that go to another machine together.

    Attributes:
        name: of their folder there; the same files have the same one.
        files: content by name, plain relative names.
        programs: those of *files* that are run.
    """

    name: str
    files: Mapping[str, bytes]
    programs: frozenset[str] = frozenset()

    def tar(self) -> bytes:
        """An archive of the files, in the oldest form that every tar reads.

        Its last entry shows that it arrived whole: not every tar minds a cut between two files.
        """
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in sorted(self.files.items()):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                entry.mode = 0o755 if name in self.programs else 0o644
                archive.addfile(entry, io.BytesIO(content))
            archive.addfile(tarfile.TarInfo(_END))
        return buffer.getvalue()


class Cache:
    """The folder on the machine that *connection* reaches; it is made where it is missing.

    Attributes:
        root: its path there, absolute.
        host: what to call the machine.

    Raises:
        HostStorage: it cannot be made or written.
        HostAnswer: its path is not one line.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.host = connection.host
        done = connection.run(_ROOT)
        self._check(done)
        root = done.output.decode(errors="surrogateescape").removesuffix("\n")
        if not root.startswith("/") or "\n" in root or "\0" in root:
            raise HostAnswer(
                f"{connection.host} has a cache folder that cannot be used: set XDG_CACHE_HOME "
                "there"
            )
        self.root = root

    def put(self, parcel: Parcel) -> None:
        """Copy *parcel* unless it lies there already, complete and unchanged.

        Raises:
            HostStorage: the folder cannot be written, or what arrived is not what was sent.
            ConnectionLost: the connection ended; nothing lies there under the parcel's name that
                was not there before.
        """
        if self._holds(parcel):
            return
        self.replace(parcel)
        listed = self._listed(parcel.name)
        if listed and listed != _digests(parcel):
            raise HostStorage(
                f"{self.host} does not hold what was copied to {self.root}: check the "
                "disk there, then repeat the command"
            )

    def replace(self, parcel: Parcel) -> None:
        """Copy *parcel* whatever lies there; raises as `put`."""
        data = parcel.tar()
        self._check(
            self._connection.run(
                _PUT,
                self.root,
                parcel.name,
                data=data,
                timeout_s=_LIST_S + len(data) / _BYTES_PER_S,
            )
        )

    def run(
        self, script: str, *arguments: str, held: bool = False, timeout_s: float = _LIST_S
    ) -> Done:
        """Run *script* with the folder as ``$1`` and *arguments* behind it."""
        return self._connection.run(script, self.root, *arguments, held=held, timeout_s=timeout_s)

    def _holds(self, parcel: Parcel) -> bool:
        return self._listed(parcel.name) == _digests(parcel)

    def _listed(self, name: str) -> dict[str, str]:
        """Digest by file name; nothing where there is no such folder, or no program for it."""
        done = self._connection.run(_LIST, self.root, name, timeout_s=_LIST_S)
        found = {}
        for line in done.output.splitlines():
            match = _LINE.fullmatch(line)
            if not match:  # a link, or a name that was never sent
                return {"": line.decode(errors="replace")}
            found[match[2].decode()] = match[1].decode()
        return found

    def _check(self, done: Done) -> None:
        if done.code == 0:
            return
        said = done.complaint or f"exit code {done.code}"
        raise HostStorage(
            f"{self.host} cannot keep what is copied to it ({said}): free some space "
            "there or make the cache folder writable (XDG_CACHE_HOME names another), then repeat "
            "the command"
        )


def _digests(parcel: Parcel) -> dict[str, str]:
    return {name: sha256(content).hexdigest() for name, content in parcel.files.items()}


def digest_of(files: Mapping[str, bytes], also: Sequence[bytes] = ()) -> str:
    """One SHA-256 of names and contents, whatever their order."""
    whole = sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{sha256(files[name]).hexdigest()}\n".encode())
    for part in also:
        whole.update(sha256(part).digest())
    return whole.hexdigest()
