"""A real sshd on this machine's loopback, as a board with a home and programs of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HOST = "board"
SSHD = "/usr/sbin/sshd"
PROGRAMS = (
    *("awk", "cat", "cksum", "cp", "dd", "find", "grep", "ln", "mkdir", "mv", "nproc", "od", "pwd"),
    *("rm", "sed", "sh", "sha256sum", "sleep", "tar", "uname", "wc"),
)
_WAIT_S = 15.0


class Board:
    """An sshd for the user who runs the tests, and the files that its client needs.

    Attributes:
        folder: everything is in here.
        client: the program to name in DSPCTL_SSH.
        home: of the user on the board.
        cache: where dspctl keeps its files there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.cache = self.home / ".cache/dspctl/bench"
        for name in ("host", "user", "stranger"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
                check=True,
            )
        shutil.copy(folder / "user.pub", folder / "authorized_keys")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.client = folder / "client"
        self.use()
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        *,
        programs: Mapping[str, str | Path] | None = None,
        environment: Mapping[str, str] | None = None,
        force: Path | None = None,
    ) -> None:
        """Listen; again with other settings after `stop`.

        Args:
            programs: name → program: all that the board has; None gives it those of this machine
                and the Python that runs the tests.
            environment: further variables of its sessions.
            force: a program that every session runs instead of what was asked for.
        """
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        if programs is not None:
            path = str(links(self.folder / "bin", programs))
        variables = {"HOME": str(self.home), "PATH": path, **(environment or {})}
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host'}",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin yes",
            "SetEnv " + " ".join(f'"{name}={value}"' for name, value in variables.items()),
        ]
        if force is not None:
            lines.append(f"ForceCommand {force}")
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")
        if os.geteuid() == 0:  # sshd gives up privileges there, and does not make it
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [SSHD, "-f", str(self.folder / "sshd_config"), "-D", "-e"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _WAIT_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.folder / "sshd.log").read_text())
            time.sleep(0.02)

    def use(self, *, key: str = "user", host_key: str = "host", port: int | None = None) -> None:
        """Write the client's configuration: with which key, and which key it expects."""
        words = (self.folder / f"{host_key}.pub").read_text().split()[:2]
        number = port or self.port
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{number} {' '.join(words)}\n")
        (self.folder / "config").write_text(
            f"Host {HOST}\n HostName 127.0.0.1\n Port {number}\n User {getpass.getuser()}\n"
            f" IdentityFile {self.folder / key}\n IdentitiesOnly yes\n IdentityAgent none\n"
            f" UserKnownHostsFile {known}\n GlobalKnownHostsFile /dev/null\n"
            " StrictHostKeyChecking yes\n BatchMode yes\n"
        )
        self.client.write_text(f'#!/bin/sh\nexec ssh -F "{self.folder / "config"}" "$@"\n')
        self.client.chmod(0o755)

    def cut(self) -> int:
        """End every session as a broken line does, and return how many there were."""
        found = self._sessions()
        for session in found:
            os.kill(session, signal.SIGKILL)
        return len(found)

    def stop(self) -> None:
        """End the sessions and the server."""
        if self._process is not None:
            self.cut()
            self._process.kill()
            self._process.wait()
            self._process = None

    def processes(self) -> list[int]:
        """Processes whose environment has this board's home: what sessions left running."""
        mark = f"HOME={self.home}\0".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes() + b"\0":
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _sessions(self) -> list[int]:
        assert self._process is not None
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(word) for word in listed.split()]


def links(folder: Path, programs: Mapping[str, str | Path]) -> Path:
    """A folder with links to programs, or with scripts: all that a board has on its path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, program in programs.items():
        if isinstance(program, Path):
            (folder / name).symlink_to(program)
        else:
            (folder / name).write_text(program)
            (folder / name).chmod(0o755)
    return folder


def system_programs(names: Sequence[str] = PROGRAMS) -> dict[str, str | Path]:
    """Those of this machine, as `Board.start` takes them."""
    return {name: Path(found) for name in names if (found := shutil.which(name))}


def busybox_programs(names: Sequence[str] = PROGRAMS) -> dict[str, str | Path]:
    """The same names from BusyBox: what a small board has."""
    program = shutil.which("busybox")
    assert program is not None
    return {name: Path(program) for name in names}


def wait_until_gone(board: Board) -> list[int]:
    """What still runs in the board's sessions, after a while for it to end."""
    end = time.monotonic() + _WAIT_S
    while (left := board.processes()) and time.monotonic() < end:
        time.sleep(0.05)
    return left
