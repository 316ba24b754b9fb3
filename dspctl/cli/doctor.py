"""``dspctl doctor``: what this machine can do, each thing really tried."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from dspctl.cli import show
from dspctl.cli.checks import CHECKS, Check

_LIMIT_S = 120.0
_WORKERS = 2


@dataclass(frozen=True)
class Finding:
    """What came of one check; *found* is what was seen, or why it failed."""

    name: str
    works: bool
    required: bool
    found: str
    purpose: str
    install: str


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Tell what this machine can do: each thing is really tried.

    Exits 1 only when something that dspctl cannot do without is broken.
    """
    findings = run_checks()
    if as_json:
        show.result_json({"findings": [asdict(finding) for finding in findings]})
    else:
        rows = [(f.name, "works" if f.works else "missing", f.purpose, f.found) for f in findings]
        show.table("This machine", ("check", "state", "needed for", "seen"), rows, words=4)
        for command in dict.fromkeys(f.install for f in findings if not f.works):
            wanted = ", ".join(f.purpose for f in findings if not f.works and f.install == command)
            show.next_command(command, f"for {wanted}")
    if any(f.required and not f.works for f in findings):
        raise typer.Exit(1)


def run_checks(checks: tuple[Check, ...] = CHECKS) -> list[Finding]:
    """Try every check, each in a process of its own; the order is kept."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(_run, checks))


def _run(check: Check) -> Finding:
    command = [sys.executable, "-m", "dspctl.cli.checks", check.name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        works, found = False, f"no answer within {_LIMIT_S:.0f} s"
    else:
        works = done.returncode == 0
        lines = (done.stdout if works else done.stderr).strip().splitlines()
        # A process killed by a signal (an instruction this CPU lacks) leaves no message.
        found = lines[-1] if lines else f"the process ended with status {done.returncode}"
    return Finding(check.name, works, check.required, found, check.purpose, check.install)
