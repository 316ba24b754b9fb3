"""Checks the licences of what runs on a vehicle: no GPL, no AGPL, none unknown.

These are the packages of requirements/vehicle.txt, the runtime with everything that it may import.
Of the others in this environment those that are copyleft or unknown are listed: they take part in
training and building, and are not shipped.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

VEHICLE = Path(__file__).resolve().parents[1] / "requirements" / "vehicle.txt"
KNOWN: dict[str, str] = {}
"""By package: why it may stay although its licence is refused or unknown."""

_LESSER = re.compile(r"LGPL[\w.+-]*|(Library or )?Lesser General Public License", re.I)
_GENERAL = re.compile(r"GPL|General Public License|Affero", re.I)
_UNKNOWN = re.compile(r"\s*(UNKNOWN|Other/Proprietary License)?\s*", re.I)


def problem(licence: str) -> str:
    """What is wrong with a licence as pip-licenses words it; nothing for most."""
    if _UNKNOWN.fullmatch(licence):
        return "unknown"
    # A choice of several that includes one of these is refused too: somebody has to look at it.
    return "GPL" if _GENERAL.search(_LESSER.sub("", licence)) else ""


def vehicle() -> set[str]:
    """Names of the packages that a vehicle of this kind of machine gets."""
    lines = VEHICLE.read_text().splitlines()
    needed = [Requirement(line.rstrip("\\ ")) for line in lines if re.match(r"[a-z0-9]", line)]
    return {
        canonicalize_name(each.name)
        for each in needed
        if each.marker is None or each.marker.evaluate()
    }


def main() -> int:
    """The exit code."""
    program = shutil.which("pip-licenses")
    if program is None:
        print("pip-licenses is not installed: run this with `make check`", file=sys.stderr)
        return 1
    command = [program, "--python", sys.executable, "--from=mixed", "--format=json"]
    done = subprocess.run([*command, "--with-system"], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"pip-licenses failed: {done.stderr.strip()[-500:]}", file=sys.stderr)
        return 1
    found = {
        canonicalize_name(each["Name"]): (each["Version"], each["License"])
        for each in json.loads(done.stdout)
    }
    shipped = vehicle()
    missing = sorted(shipped - found.keys())
    bad = [f"{name}: not installed, so its licence is not known here" for name in missing]
    for name, (version, licence) in sorted(found.items()):
        wrong = problem(licence)
        if name in shipped and wrong and name not in KNOWN:
            bad.append(f"{name} {version}: {wrong} ({licence})")
        elif name not in shipped and (wrong or _LESSER.search(licence)):
            print(f"licences: not shipped: {name} {version}, {licence}")
    for line in bad:
        print(f"licences: {line}")
    print(f"licences: {len(shipped)} packages run on a vehicle, {len(bad)} refused")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
