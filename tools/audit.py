"""Asks pip-audit whether anything that make installs has a known vulnerability.

Exits with 1 where one is known, or pip-audit fails. Where its service cannot be reached, or knows
nothing at all, one line says so and the exit code is 0: not every machine has a network.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
_FIRST = "build.txt"
"""pip and setuptools: a service that does not know these answers for nothing."""

_NO_NETWORK = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Max retries exceeded"
    r"|Could not connect|Temporary failure in name resolution|Service Unavailable"
)


class Unreachable(Exception):
    """The service did not answer."""


def main() -> int:
    """The exit code."""
    program = shutil.which("pip-audit")
    if program is None:
        print("pip-audit is not installed: run this with `make check`", file=sys.stderr)
        return 1
    try:
        found = ask(program, [_FIRST])
        if not any("vulns" in each for each in found):
            raise Unreachable(found[0].get("skip_reason", "") if found else "no answer")
        others = sorted(path.name for path in REQUIREMENTS.glob("*.txt") if path.name != _FIRST)
        for name in others:
            found += ask(program, [name])
    except Unreachable as reason:
        print(f"pip-audit: NOT CHECKED, its service is not reachable here ({reason})")
        return 0
    return told({(each["name"], each.get("version", "")): each for each in found})


def ask(program: str, names: list[str]) -> list[dict[str, Any]]:
    """What pip-audit says of each package in files of requirements.

    Raises:
        Unreachable: the service did not answer.
        SystemExit: pip-audit failed otherwise.
    """
    # Nothing is resolved or installed for it: the files name every package.
    command = [program, "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command += ["--format=json", *(f"--requirement={REQUIREMENTS / name}" for name in names)]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if _NO_NETWORK.search(done.stderr):
            raise Unreachable(last[:160]) from None
        raise SystemExit(f"pip-audit failed: {last}") from None
    return answers


def told(found: dict[tuple[str, str], dict[str, Any]]) -> int:
    """Print what was found; the exit code."""
    bad = 0
    for (name, version), answer in sorted(found.items()):
        if "skip_reason" in answer:
            print(f"pip-audit: NOT CHECKED, {answer['skip_reason']}")
        for vulnerability in answer.get("vulns", []):
            bad += 1
            fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no version yet"
            print(f"pip-audit: {name} {version} has {vulnerability['id']}, fixed in {fixed}")
    print(f"pip-audit: {len(found)} packages, {bad} known vulnerabilities")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
