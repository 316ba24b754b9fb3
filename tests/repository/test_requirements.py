"""requirements/*.txt fit constraints.txt and pyproject.toml, without asking anybody."""

import re
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What is installed when a target's requirements are, in order; and the extras that it is for.
SETS = {
    "use": (["build", "torch", "use"], ["all"]),
    "dev": (["build", "torch", "use", "dev"], ["all", "dev"]),
    "fuzz": (["build", "torch", "use", "dev", "fuzz"], ["all", "dev", "fuzz"]),
    "peers": (["build", "torch", "use", "peers"], ["all", "peers"]),
    "vehicle": (["vehicle"], ["onnxruntime", "sign"]),
}


def files(root: Path) -> dict[str, Path]:
    return {path.stem: path for path in (root / "requirements").glob("*.txt")}


def locked(path: Path) -> list[tuple[Requirement, list[str]]]:
    """Every requirement with its hashes; pip reads a backslash as a line that goes on."""
    text = path.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    split = [re.split(r"\s+--hash=", line.strip()) for line in lines]
    return [(Requirement(words[0]), words[1:]) for words in split]


def pins(root: Path) -> set[tuple[str, str]]:
    lines = (root / "constraints.txt").read_text().splitlines()
    split = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {(canonicalize_name(name), version) for name, version in split}


def test_every_file_is_known(root: Path) -> None:
    assert set(files(root)) == {*SETS, "build", "torch", "cuda"}


@pytest.mark.parametrize("name", [*SETS, "build", "torch", "cuda"])
def test_every_requirement_is_pinned_and_hashed(root: Path, name: str) -> None:
    found = locked(files(root)[name])
    assert found
    for requirement, hashes in found:
        assert hashes, requirement
        assert [each for each in hashes if not re.fullmatch(r"sha256:[0-9a-f]{64}", each)] == []
        (version,) = requirement.specifier
        assert version.operator == "=="
        pin = (canonicalize_name(requirement.name), version.version)
        assert pin in pins(root), f"{pin}: run tools/lock"


def direct(root: Path, extras: list[str]) -> list[Requirement]:
    """What the project asks for on its own account, with these extras."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    todo, found = [Requirement(text) for text in project["dependencies"]], list[Requirement]()
    groups, seen = list(extras), set[str]()
    while todo or groups:
        for group in groups:
            texts = project["optional-dependencies"][group] if group not in seen else []
            todo += map(Requirement, texts)
            seen.add(group)
        groups = [extra for each in todo if each.name == "dspctl" for extra in each.extras]
        found += [each for each in todo if each.name != "dspctl"]
        todo = []
    # The files are for Python 3.11 and later.
    return [each for each in found if "python_version < '3.11'" not in str(each).replace('"', "'")]


@pytest.mark.parametrize("name", list(SETS))
def test_what_the_project_asks_for_is_there(root: Path, name: str) -> None:
    parts, extras = SETS[name]
    found = {
        canonicalize_name(requirement.name): next(iter(requirement.specifier)).version
        for part in parts
        for requirement, _ in locked(files(root)[part])
    }
    asked = direct(root, extras)
    assert asked
    for requirement in asked:
        version = found.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is missing: run tools/lock"
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_the_build_system_is_locked(root: Path) -> None:
    """`make` builds without isolation, so nothing else may be asked for."""
    system = tomllib.loads((root / "pyproject.toml").read_text())["build-system"]
    names = {requirement.name for requirement, _ in locked(files(root)["build"])}
    assert {Requirement(text).name for text in system["requires"]} <= names


def test_make_installs_nothing_unhashed(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    assert "pip" not in re.sub(r"pip-\w+|#.*", "", makefile)
    script = (root / "tools" / "install-packages").read_text()
    installs = re.findall(r"^ *(?:pip )?install (?!\(\)).*", script, re.M)
    unhashed = [line.strip() for line in installs if "--require-hashes" not in line]
    assert [line.split(" #")[0] for line in unhashed] == [
        'pip install --quiet --no-deps --no-build-isolation "$@"',
        "install --quiet --editable .",
    ]
