"""One connection to another machine, by OpenSSH's own client and its user's own configuration.

The first command authenticates; it may ask for a passphrase on the terminal. All later ones go
through the same connection and never open another. Values reach the other machine as quoted
arguments of constant scripts, which are POSIX sh.
"""

import os
import re
import secrets
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from dspctl.benchmarks.remote.channel import Channel, no_client, printable
from dspctl.errors import HostRefused, HostUnreachable, InvalidHost

PROGRAM_VARIABLE = "DSPCTL_SSH"

_CONNECT_S = 15
_ALIVE_S, _ALIVE_COUNT = 5, 6
_PERSIST_S = 60
_OPEN_S = 300.0  # somebody may have to type a passphrase
_CLOSE_S = 5.0

_LONGEST_FOLDER = 60
"""A socket's path has about 100 bytes, of which ssh takes 17 for itself while it makes it."""

# Names of users and machines go into ProxyCommand and Match exec of some people's configurations,
# where a shell reads them.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0'\"`$\\;&|<>(){}*?!#~^]|\s")
_LONGEST_HOST = 255

_REFUSALS = (
    "permission denied",
    "host key verification failed",
    "host identification has changed",
    "no matching host key",
    "too many authentication failures",
    "no ed25519 host key is known",
    "no rsa host key is known",
    "no ecdsa host key is known",
    "account is locked",
)


@dataclass(frozen=True)
class Done:
    """A command that ended.

    Attributes:
        code: its exit code.
        output: what it printed.
        complaint: the last line on standard error, without control characters.
    """

    code: int
    output: bytes
    complaint: str


def check_host(host: str) -> None:
    """Refuse what cannot be a machine's name, before any program sees it.

    Raises:
        InvalidHost: empty, too long, begins with a dash, or holds a character that a shell or a
            terminal would act on.
    """
    name = host.rpartition("@")[2]
    bad = not name or len(host) > _LONGEST_HOST or host[:1] == "-" or name[:1] == "-"
    if bad or _FORBIDDEN.search(host):
        raise InvalidHost(
            f"{host[:_LONGEST_HOST]!r} is no name of a machine: give user@machine, or a Host of "
            "your ssh configuration"
        )


class Connection:
    """A connection that is shared by all commands, and closed at the end of a ``with`` block.

    Args:
        host: as ssh takes it.

    Raises:
        InvalidHost: see `check_host`.
        HostUnreachable: no connection; says what ssh said.
        HostRefused: the machine refused its user, or its own key was not accepted.
        HostProblem: ssh is not installed.
    """

    def __init__(self, host: str) -> None:
        check_host(host)
        self.host = host
        self._marker = f"dspctl-{secrets.token_hex(8)}"
        short = None if len(tempfile.gettempdir()) <= _LONGEST_FOLDER else "/tmp"
        self._folder = Path(tempfile.mkdtemp(prefix="dspctl-", dir=short))  # for its owner alone
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(
        self,
        script: str,
        *arguments: str,
        data: bytes | None = None,
        held: bool = False,
        limit_bytes: int = 1 << 20,
        timeout_s: float = 120.0,
    ) -> Done:
        """Run *script* on the other machine to its end, whatever its exit code.

        Args:
            script: POSIX sh, constant; *arguments* are its ``$1``, ``$2`` and so on.
            arguments: any text.
            data: for its standard input.
            held: see `Channel`.
            limit_bytes: the most that it may print.
            timeout_s: the longest that it may take.

        Raises:
            ConnectionLost: the connection ended, or the command took too long.
            HostAnswer: it printed too much.
        """
        channel = self.start(script, *arguments, data=data, held=held)
        try:
            output = channel.output(limit_bytes=limit_bytes, timeout_s=timeout_s)
            return Done(channel.code(), output, channel.complaint())
        finally:
            channel.close()

    def start(
        self, script: str, *arguments: str, data: bytes | None = None, held: bool = False
    ) -> Channel:
        """Start *script*; the caller reads and closes the channel. Arguments as in `run`."""
        command = self._command(
            ["-o", "ControlMaster=no", "-o", "ProxyCommand=false"], script, arguments
        )
        return Channel(command, host=self.host, marker=self._marker, data=data, held=held)

    def close(self) -> None:
        """End the connection; nothing of it is left here."""
        if (self._folder / "c").exists():
            leave = [_client(), *self._options(), "-O", "exit", "--", self.host]
            with suppress(OSError, subprocess.SubprocessError):
                subprocess.run(leave, capture_output=True, timeout=_CLOSE_S, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _open(self) -> None:
        command = self._command(
            ["-o", "ControlMaster=yes", "-o", f"ControlPersist={_PERSIST_S}"], ":", ()
        )
        # Not a pipe: the connection stays in the background and would keep it open.
        with tempfile.TemporaryFile() as complaints, tempfile.TemporaryFile() as output:
            try:
                code = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=complaints,
                    timeout=_OPEN_S,
                    check=False,
                ).returncode
            except OSError as error:
                raise no_client(command[0], error) from error
            except subprocess.TimeoutExpired as error:
                raise HostUnreachable(
                    f"{self.host} did not answer in {_OPEN_S:.0f} s: see that  ssh {self.host} "
                    "true  works"
                ) from error
            said = _last_words(complaints) or _last_words(output)
        if code != 0 or not (self._folder / "c").exists():
            raise _failure(self.host, said or f"ssh ended with exit code {code}")

    def _command(self, options: list[str], script: str, arguments: tuple[str, ...]) -> list[str]:
        """The local command line; the login shell there sees one line of quoted words."""
        whole = f'printf "%s\\n" "$0"\n{script}'
        words = [shlex.quote(word) for word in ("sh", "-c", whole, self._marker, *arguments)]
        line = " ".join(["exec", *words])
        return [_client(), *options, *self._options(), "-T", "--", self.host, line]

    def _options(self) -> list[str]:
        """What a measurement needs; nothing here makes a connection less safe than its user's."""
        chosen = {
            "ControlPath": str(self._folder / "c"),
            "ConnectTimeout": str(_CONNECT_S),
            "ServerAliveInterval": str(_ALIVE_S),
            "ServerAliveCountMax": str(_ALIVE_COUNT),
            "RemoteCommand": "none",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "ClearAllForwardings": "yes",
        }
        return [word for name, value in chosen.items() for word in ("-o", f"{name}={value}")]


def _client() -> str:
    return os.environ.get(PROGRAM_VARIABLE) or "ssh"


def _last_words(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - 4096, 0))
    return printable(stream.read())


def _failure(host: str, said: str) -> HostUnreachable | HostRefused:
    if any(words in said.lower() for words in _REFUSALS):
        return HostRefused(
            f"{host} was not accepted or did not accept you ({said}): see that  ssh {host} true  "
            "works, then repeat the command"
        )
    return HostUnreachable(
        f"{host} cannot be reached ({said}): see that  ssh {host} true  works, then repeat the "
        "command"
    )
