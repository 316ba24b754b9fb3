"""Generated C under clang-tidy and cppcheck with its MISRA C:2012 rules.

Every exception is listed in ``docs/c-code.md`` with its reason; a test compares the two lists.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dspctl.exporter.c import c_from_policy
from dspctl.exporter.native.targets import NATIVE_TARGETS
from tests.exporter.c.compiled import guarded
from tests.runtime.policies import make_policy

CASES: dict[str, dict[str, Any]] = {
    "x86-64-v4": {"sizes": (8, 9, 9, 4), "activation": "relu"},
    "x86-64-v3": {"sizes": (40, 64, 20, 2), "rule": "tanh_unscale", "unread": 3},
    "cortex-m7": {"sizes": (8, 9, 9, 4), "rule": "clip", "unread": 2},
}
DOCUMENT = Path(__file__).parents[3] / "docs" / "c-code.md"
SWITCHED_OFF = (
    "readability-magic-numbers",
    "readability-identifier-length",
    "readability-trailing-comma",
    "bugprone-easily-swappable-parameters",
)
DEVIATIONS = {"2.5", "8.7", "8.9", "9.2", "17.3", "19.2"}
NOISE = {"normalCheckLevelMaxBranches", "checkersReport", "unusedFunction", "unusedStructMember"}
"""What cppcheck says of a library whose callers it does not see."""


@pytest.fixture(params=CASES, ids=str)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    policy = guarded(make_policy(3, **CASES[request.param]), "clamp")
    source = c_from_policy(policy, "net", NATIVE_TARGETS[request.param])
    (tmp_path / "net.h").write_text(source.header)
    (tmp_path / "net.c").write_text(source.source)
    return tmp_path


def tool(name: str) -> str:
    beside_python = Path(sys.executable).with_name(name)
    found = str(beside_python) if beside_python.exists() else shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: pip install '.[dev]'")
    return found


def test_clang_tidy_has_nothing_to_say(folder: Path) -> None:
    groups = [
        "bugprone",
        "cert",
        "clang-analyzer",
        "misc",
        "performance",
        "portability",
        "readability",
    ]
    checks = ["-*", *(f"{group}-*" for group in groups), *(f"-{name}" for name in SWITCHED_OFF)]
    flags = ["-std=c99", "-march=x86-64-v4"]
    result = subprocess.run(
        [tool("clang-tidy"), f"--checks={','.join(checks)}", "net.c", "--", *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "error:" not in result.stdout + result.stderr
    assert re.findall(r"warning: .*", result.stdout) == []
    assert result.returncode == 0


def test_misra_rules_hold_but_for_the_documented_deviations(folder: Path) -> None:
    result = subprocess.run(
        [
            tool("cppcheck"),
            *("--std=c99", "--addon=misra", "--enable=all", "--inconclusive", "--quiet"),
            *("--suppress=missingIncludeSystem", "--platform=unix64"),
            *("-D__AVX512F__=1", "-D__AVX2__=1", "--template={id}"),
            "net.c",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    found = set(re.findall(r"^[A-Za-z][\w.-]+$", result.stderr, flags=re.MULTILINE))
    rules = {name.removeprefix("misra-c2012-") for name in found if name.startswith("misra")}
    assert "8.7" in rules  # the interface is never called here: proof that the rules were checked
    assert rules <= DEVIATIONS
    assert {name for name in found if not name.startswith("misra")} <= NOISE


def test_the_document_lists_exactly_these_exceptions() -> None:
    text = DOCUMENT.read_text()
    assert set(re.findall(r"^\| (\d+\.\d+) \|", text, flags=re.MULTILINE)) == DEVIATIONS
    assert set(re.findall(r"^\| `([\w-]+)` \|", text, flags=re.MULTILINE)) == set(SWITCHED_OFF)
