import shutil
from pathlib import Path

from tests.exporter.native.tools import needs, run

SSHD = "/usr/sbin/sshd"
SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "install-system-packages"


def test_nothing_to_do_is_silent() -> None:
    needs("qemu-aarch64", "qemu-system-arm", "strace", "gcc", "g++", "cmake")
    needs("chromium", "ssh", SSHD, "busybox", "openssl")
    done = run(SCRIPT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_the_right_to_install_it_prints_the_line(tmp_path: Path) -> None:
    """On a path that holds nothing but the shell's own needs, there is no apt-get either."""
    for command in ("sh", "id"):
        (tmp_path / command).symlink_to(str(shutil.which(command)))
    done = run("/usr/bin/env", f"PATH={tmp_path}", "sh", SCRIPT)
    assert done.returncode == 0
    (line,) = [line.strip() for line in done.stdout.splitlines() if "apt-get" in line]
    assert line.split("recommends ")[1].split() == [
        *("qemu-user", "qemu-system-arm", "strace", "gcc", "libc6-dev", "g++", "cmake"),
        *("chromium", "openssh-client"),
        # It has to be started by its whole path, so that is where it is looked for.
        *(() if Path(SSHD).exists() else ("openssh-server",)),
        *("busybox", "openssl"),
    ]
