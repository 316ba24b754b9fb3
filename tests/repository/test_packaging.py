import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PARTS = ("trainer", "compactor", "exporter", "runtime", "benchmarks")


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


def tops(root: Path) -> dict[str, Path]:
    """Import name → folder of the package and its parts."""
    return {"dspctl": root / "dspctl", **{f"dspctl.{part}": root / part for part in PARTS}}


def is_ours(path: Path) -> bool:
    """Neither behind one of the links nor made by Python."""
    linked = any(parent.is_symlink() for parent in [path, *path.parents])
    return not linked and "__pycache__" not in path.parts


def real_folders(root: Path) -> dict[str, Path]:
    """Import name → folder of every package, as the tree has them."""
    return {
        ".".join([name, *folder.relative_to(top).parts]): folder
        for name, top in tops(root).items()
        for folder in [top, *(path for path in top.rglob("*") if path.is_dir())]
        if is_ours(folder) and any(folder.glob("*.py"))
    }


def test_packages_list_is_the_tree(root: Path, project: dict[str, Any]) -> None:
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(real_folders(root))


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_linked_into_the_package(root: Path, part: str) -> None:
    link = root / "dspctl" / part
    assert link.is_symlink()
    assert link.readlink() == Path("..", part)
    assert (link / "__init__.py").is_file()


def test_wheel_holds_exactly_the_tree(root: Path, wheel: Path) -> None:
    results = root / "benchmarks" / "results"  # of this repository's machines
    expected = {
        Path(*name.split("."), file.relative_to(top)).as_posix()
        for name, top in tops(root).items()
        for file in top.rglob("*")
        if file.is_file() and is_ours(file) and results not in file.parents
    }
    held = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    assert {path for path in held if ".dist-info/" not in path} == expected
    assert any(path.endswith("licenses/LICENSE") for path in held)


def test_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    code = "import dspctl, sys; print(dspctl.__file__); from dspctl.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(wheel)},
    )
    where, version = done.stdout.splitlines()
    assert Path(where).is_relative_to(wheel), done.stderr
    assert re.fullmatch(r"dspctl \d+\.\d+\.\d+", version)


def test_version_is_stated_once_for_users(project: dict[str, Any]) -> None:
    from dspctl import __version__

    assert project["project"]["version"] == __version__


def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text().splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in entries if not re.fullmatch(r"[\w.-]+==[\w.+!]+", line)] == []
    return {canonicalize_name(name): version for name, version in (e.split("==") for e in entries)}


def needed_by(requirement: Requirement) -> list[Requirement]:
    """What an installed distribution asks for on this machine; nothing if it is not installed."""
    try:
        texts = metadata.requires(requirement.name) or []
    except metadata.PackageNotFoundError:
        return []
    asked = [{"extra": extra} for extra in requirement.extras or {""}]
    needs = [Requirement(text) for text in texts]
    return [n for n in needs if n.marker is None or any(map(n.marker.evaluate, asked))]


def test_every_dependency_is_pinned(root: Path, project: dict[str, Any]) -> None:
    """The direct ones, and what they pull in where it is installed here."""
    direct = [*project["project"]["dependencies"]]
    for group in project["project"]["optional-dependencies"].values():
        direct += group
    todo, seen = [Requirement(text) for text in direct], set[tuple[str, frozenset[str]]]()
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key not in seen and key[0] != "dspctl":
            seen.add(key)
            todo += needed_by(requirement)
    assert {name for name, _ in seen} - set(pins(root)) == set()
