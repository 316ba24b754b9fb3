"""One command on another machine: its streams, with limits on what comes back and for how long."""

import selectors
import subprocess
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from time import monotonic

from dspctl.errors import ConnectionLost, HostAnswer, HostProblem

SSH_FAILED = 255
"""What ssh exits with when the connection, and not the command, has failed."""

_CHUNK_BYTES = 1 << 16
_LAST_WORDS_BYTES = 4096
_NOISE_BYTES = 1 << 16
_LINE_BYTES = 1 << 16
_END_S = 30.0


def printable(data: bytes | str, *, most: int = 300) -> str:
    """The last line that says something, without control characters: safe on a terminal."""
    text = data.decode(errors="replace") if isinstance(data, bytes) else data
    kept = "".join(
        character
        if unicodedata.category(character)[0] != "C"
        else "\n"
        if character in "\r\n"
        else ""
        for character in text
    )
    lines = [line.strip() for line in kept.splitlines() if line.strip()]
    return lines[-1][:most] if lines else ""


class Channel:
    """A running command; what it prints counts from the line that is *marker*.

    A login shell may print before it runs a command. That is passed over.

    Args:
        command: the local program that reaches the other machine, with its arguments.
        host: what to call the other machine.
        marker: the line with which the command's own output begins.
        data: bytes for the command's standard input, which then ends.
        held: keep standard input open instead, without anything in it: it ends when this channel
            does, however that happens, and the command can see it.

    Raises:
        HostProblem: the local program is not installed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        host: str,
        marker: str,
        data: bytes | None = None,
        held: bool = False,
    ) -> None:
        self.host = host
        self._marker = marker.encode()
        self._buffer = b""
        self._last_words = b""
        piped = data is not None or held
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as error:
            raise no_client(command[0], error) from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._feeder: threading.Thread | None = None
        if data is not None:
            self._feeder = threading.Thread(target=self._feed, args=(data,), daemon=True)
            self._feeder.start()

    def output(self, *, limit_bytes: int, timeout_s: float) -> bytes:
        """Everything that the command prints.

        Raises:
            HostAnswer: more than *limit_bytes*, or no output of the command at all.
            ConnectionLost: it takes longer than *timeout_s*.
        """
        deadline = monotonic() + timeout_s
        self._skip_noise(deadline)
        parts, size = [self._buffer], len(self._buffer)
        self._buffer = b""
        while size <= limit_bytes:
            part = self._more(deadline)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
        raise HostAnswer(
            f"{self.host} sent more than {limit_bytes} bytes where a short answer was expected: "
            "check what machine that is"
        )

    def lines(self) -> Iterator[bytes]:
        """The lines that the command prints, as they come, for as long as it takes.

        Raises:
            HostAnswer: a line without an end, or no output of the command at all.
        """
        self._skip_noise(None)
        while True:
            line, end, rest = self._buffer.partition(b"\n")
            if end:
                self._buffer = rest
                yield line
                continue
            if len(self._buffer) > _LINE_BYTES:
                raise HostAnswer(f"{self.host} sent a line without an end: repeat the command")
            part = self._more(None)
            if not part:
                if self._buffer:
                    yield self._buffer
                return
            self._buffer += part

    def code(self) -> int:
        """Exit code of the command, which has closed its output.

        Raises:
            ConnectionLost: the connection ended first.
        """
        if self._process.stdin is not None and self._feeder is None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            code = SSH_FAILED
        self._listener.join(_END_S)
        if code == SSH_FAILED or code < 0:  # a signal ended the client
            raise self.lost()
        return code

    def complaint(self) -> str:
        """The last line on standard error."""
        return printable(self._last_words)

    def lost(self, reason: str = "") -> ConnectionLost:
        """The error that says so."""
        said = reason or self.complaint() or "it ended without a word"
        return ConnectionLost(f"the connection to {self.host} was lost ({said})")

    def close(self) -> None:
        """End the command, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_END_S / 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in (self._feeder, self._listener):
            if thread is not None:
                thread.join(_END_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def _more(self, deadline: float | None) -> bytes:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            wait_s = None if deadline is None else max(deadline - monotonic(), 0.0)
            if not selector.select(wait_s):
                raise self.lost("no answer in time")
        data = self._process.stdout.read(_CHUNK_BYTES)
        return data or b""

    def _skip_noise(self, deadline: float | None) -> None:
        """Pass over everything up to the marker's line."""
        start = self._marker + b"\n"
        while start not in self._buffer:
            part = self._more(deadline)
            if not part:
                code = self.code()
                said = self.complaint() or printable(self._buffer) or f"exit code {code}"
                raise HostAnswer(
                    f"{self.host} does not run commands ({said}): see that  ssh {self.host} true  "
                    "works, and that the login shell there is a POSIX shell"
                )
            self._buffer += part
            if len(self._buffer) > _NOISE_BYTES and start not in self._buffer:
                raise HostAnswer(
                    f"{self.host} prints without end before it runs a command: look into the "
                    "start-up files of the login shell there"
                )
        self._buffer = self._buffer.partition(start)[2]

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with suppress(OSError, ValueError):  # closed while it reads
            while part := self._process.stderr.read(_CHUNK_BYTES):
                self._last_words = (self._last_words + part)[-_LAST_WORDS_BYTES:]

    def _feed(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(data)
        with suppress(OSError, ValueError):  # the other end stopped reading; its code says why
            while view:
                view = view[self._process.stdin.write(view[:_CHUNK_BYTES]) :]
        with suppress(OSError):
            self._process.stdin.close()


def no_client(program: str, error: OSError) -> HostProblem:
    """The error for a machine without ssh."""
    return HostProblem(
        f"{program} cannot be started ({error.strerror}): install OpenSSH's client "
        "(openssh-client), or name it in DSPCTL_SSH"
    )
