"""The system release of a Jetson (L4T), and the JetPack that it belongs to."""

import re
from pathlib import Path

JETPACKS = {
    "35.3": "5.1",
    "35.4": "5.1",
    "36.4": "6.1 or 6.2",
    "38.2": "7.0",
    "38.4": "7.1",
    "39.2": "7.2",
}
"""JetPack by the first two numbers of L4T; 36.4 belongs to two of them."""

_ROOT = Path("/")
_PACKAGE = "nvidia-l4t-core"
_RELEASE = re.compile(r"#\s*R([0-9]+)[^\n]*?REVISION:\s*([0-9]+(?:\.[0-9]+)*)")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+")


def l4t_release(root: Path = _ROOT) -> str | None:
    """The release, such as ``36.4.3``; None where neither file names one.

    From ``etc/nv_tegra_release``, else from the package manager's list of what is installed. The
    list is read rather than ``dpkg-query`` run, which would answer for the running system where a
    recorded tree was asked about.
    """
    found = _RELEASE.search(_text(root / "etc/nv_tegra_release"))
    if found:
        return f"{found[1]}.{found[2]}"
    return _installed_version(_text(root / "var/lib/dpkg/status"))


def jetpack_of(l4t: str | None) -> str | None:
    """The JetPack that brought an L4T release; None for a release that is not in `JETPACKS`."""
    return None if l4t is None else JETPACKS.get(".".join(l4t.split(".")[:2]))


def _installed_version(status: str) -> str | None:
    for block in status.split("\n\n"):
        entries = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        # A removed package stays in the list, as "deinstall ok config-files".
        if entries.get("Package") == _PACKAGE and entries.get("Status", "").endswith(" installed"):
            version = _VERSION.match(entries.get("Version", ""))
            return version.group() if version else None
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
