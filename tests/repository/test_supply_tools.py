"""tools/audit.py, tools/licences.py and tools/lock, with stand-ins for the programs they call."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exporter.native.tools import run


def stand_in(folder: Path, name: str, text: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def tool(root: Path, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{folder}:/usr/bin:/bin"
    return run("/usr/bin/env", f"PATH={path}", sys.executable, root / "tools" / name)


def says(*packages: dict[str, object]) -> str:
    return f"echo '{json.dumps({'dependencies': packages, 'fixes': []})}'"


PIP: dict[str, object] = {"name": "pip", "version": "1", "vulns": []}
BROKEN: dict[str, object] = {
    "name": "numpy",
    "version": "2",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3"], "aliases": []}],
}
UNKNOWN: dict[str, object] = {"name": "torch", "skip_reason": "Dependency not found: torch (2)"}


def audit(root: Path, folder: Path, first: str, rest: str) -> subprocess.CompletedProcess[str]:
    stand_in(folder, "pip-audit", f'case "$*" in *build.txt) {first};; *) {rest};; esac')
    return tool(root, "audit.py", folder)


def test_nothing_is_known(root: Path, tmp_path: Path) -> None:
    done = audit(root, tmp_path, says(PIP), says(PIP))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "pip-audit: 1 packages, 0 known vulnerabilities\n"


def test_every_file_is_asked_about_as_it_is_installed(root: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    note = f'echo "$*" >> {log}; {says(PIP)}'
    assert audit(root, tmp_path, note, note).returncode == 0
    calls = log.read_text().splitlines()
    assert all("--require-hashes" in call and "--disable-pip" in call for call in calls)
    asked = sorted(Path(call.split("--requirement=")[1]).name for call in calls)
    assert asked == sorted(path.name for path in (root / "requirements").glob("*.txt"))


def test_a_vulnerability_fails(root: Path, tmp_path: Path) -> None:
    """pip-audit ends with 1 then, as it does when it fails."""
    done = audit(root, tmp_path, says(PIP), f"{says(BROKEN)}; exit 1")
    assert done.returncode == 1
    assert "numpy 2 has PYSEC-1, fixed in 2.1, 3\n" in done.stdout
    assert "2 packages, 1 known" in done.stdout


def test_a_vulnerability_of_pip_itself_fails(root: Path, tmp_path: Path) -> None:
    assert audit(root, tmp_path, f"{says(BROKEN)}; exit 1", says(PIP)).returncode == 1


@pytest.mark.parametrize(
    "first",
    [
        says(UNKNOWN),
        'echo "requests.exceptions.ConnectionError: Max retries exceeded" >&2; exit 1',
        'echo "Could not connect to the feed" >&2; exit 1',
    ],
)
def test_no_service_is_one_visible_line(root: Path, tmp_path: Path, first: str) -> None:
    done = audit(root, tmp_path, first, "exit 5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert "NOT CHECKED" in done.stdout


def test_what_the_service_does_not_know_is_told(root: Path, tmp_path: Path) -> None:
    done = audit(root, tmp_path, says(PIP), says(UNKNOWN))
    assert done.returncode == 0
    assert "NOT CHECKED, Dependency not found: torch (2)" in done.stdout


def test_a_failing_or_missing_pip_audit_fails(root: Path, tmp_path: Path) -> None:
    assert tool(root, "audit.py", tmp_path).returncode == 1
    done = audit(root, tmp_path, says(PIP), 'echo "invalid requirements" >&2; exit 1')
    assert done.returncode == 1
    assert "invalid requirements" in done.stderr


def licences(
    root: Path, folder: Path, changed: dict[str, str], more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """With every package of a vehicle under MIT, but for those in *changed*."""
    text = (root / "requirements" / "vehicle.txt").read_text()
    names = [line.split("==")[0] for line in text.splitlines() if line[0].isalnum()]
    told = {**dict.fromkeys(names, "MIT License"), **changed, **(more or {})}
    listed = [
        {"Name": name.replace("-", "_"), "Version": "1", "License": licence}
        for name, licence in told.items()
        if licence
    ]
    stand_in(folder, "pip-licenses", f"cat <<'END'\n{json.dumps(listed)}\nEND")
    return tool(root, "licences.py", folder)


@pytest.mark.parametrize(
    "licence",
    [
        "MIT License",
        "Apache-2.0 OR BSD-2-Clause",
        "GNU Library or Lesser General Public License (LGPL)",
        "GNU Lesser General Public License v3 or later (LGPLv3+)",
        "LGPL-2.1-or-later",
    ],
)
def test_licences_that_may_run_on_a_vehicle(root: Path, tmp_path: Path, licence: str) -> None:
    done = licences(root, tmp_path, {"rich": licence})
    assert done.returncode == 0, done.stdout
    assert "0 refused" in done.stdout


@pytest.mark.parametrize(
    "licence",
    [
        "GNU General Public License v3 (GPLv3)",
        "GPL-2.0-only",
        "AGPL-3.0-or-later",
        "GNU Affero General Public License v3",
        "LGPL-2.1-or-later AND GPL-3.0-only",
        "MIT OR GPL-2.0-only",
        "UNKNOWN",
        "Other/Proprietary License",
        "",  # it is not installed
    ],
)
def test_licences_that_may_not(root: Path, tmp_path: Path, licence: str) -> None:
    done = licences(root, tmp_path, {"typing-extensions": licence})
    assert done.returncode == 1
    assert "licences: typing-extensions" in done.stdout
    assert "1 refused" in done.stdout


def test_what_is_not_shipped_is_a_note(root: Path, tmp_path: Path) -> None:
    more = {"pygame-ce": "LGPL-2.1-only", "cppcheck": "GPLv3+", "x": "MIT"}
    done = licences(root, tmp_path, {}, more)
    assert done.returncode == 0
    assert done.stdout.count("not shipped") == 2


def test_lock_says_that_it_needs_uv(root: Path, tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    done = run("/usr/bin/env", f"PATH={tmp_path}", "sh", root / "tools" / "lock")
    assert done.returncode == 1
    assert "needs uv" in done.stderr


def test_make_check_runs_both(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    recipe = makefile[makefile.index("\ncheck:") : makefile.index("\nformat:")]
    assert {"tools/audit.py", "tools/licences.py"} <= set(recipe.split())


def test_tools_are_executable_scripts_or_modules(root: Path) -> None:
    for path in (root / "tools").iterdir():
        if path.is_file():
            assert os.access(path, os.X_OK) == (path.suffix != ".py"), path
