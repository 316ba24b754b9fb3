"""What loading the native backend adds to a process that has NumPy; see docs/decisions/0011."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from dspctl.exporter import export
from tests.exporter.native.tools import needs
from tests.runtime.policies import make_policy, observations_of

ROOT = Path(__file__).parents[2]
LIMIT_BYTES = 1_000_000
PROCESSES = 5

LIGHT = {"_sha256", "_sha2"}
"""What the standard library may add; the rest of what is needed NumPy has loaded already."""

HEAVY = {
    "_hashlib",
    "dataclasses",
    "dspctl.errors",
    "dspctl.runtime.backends.numpy_runner",
    "dspctl.runtime.backends.onnx_runner",
    "dspctl.runtime.bundle.writing",
    "dspctl.runtime.fastest",
    "dspctl.runtime.files",
    "dspctl.runtime.policy.guarded",
    "dspctl.runtime.policy.writing",
    "dspctl.runtime.reference.edges",
    "dspctl.runtime.reference.making",
    "dspctl.runtime.reference.rounding",
    "hashlib",
    "logging",
    "numpy.random",
    "onnxruntime",
    "random",
    "safetensors",
    "secrets",
    "shutil",
    "tempfile",
    "threading",
}
"""Each of these costs something, some of them megabytes; the table is in the decision."""

# Resident bytes, each page counted in full. PSS counts a page that n processes share as 1/n, so it
# is at most this; and it changes while other processes come and go, which this does not.
PROGRAM = """
import json, sys, time, typing
from importlib import import_module
from pathlib import Path

def resident():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    pairs = (line.partition(":") for line in lines)
    found = {key: int(value.split()[0]) * 1024 for key, _, value in pairs if key in ("Rss", "Pss")}
    return found

import_module("numpy")
modules = set(sys.modules)
before = resident()
if len(sys.argv) > 1:
    runtime = import_module("dspctl.runtime")
    runner = runtime.load(Path(sys.argv[1]), "native")
    observation = runner.policy.guard.fill
    for _ in range(100):
        runner(observation)
after = resident()
report = {"rss": after["Rss"] - before["Rss"], "pss": after["Pss"]}
print(json.dumps({**report, "modules": sorted(set(sys.modules) - modules)}))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is exported for a small network, the command and its sources included."""
    needs("cc")
    policy = make_policy(sizes=(8, 9, 9, 4), bounded=True)
    out = tmp_path_factory.mktemp("memory") / "bundle"
    return export(policy, "cpu", out, observations=observations_of(policy, 100)).path


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of an installed package, whose modules are compiled once and not in every process."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    cache = str(tmp_path_factory.mktemp("bytecode"))
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": cache}


def probe(environment: dict[str, str], *arguments: str) -> Any:
    """One process's report."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def reports(bundle: Path, environment: dict[str, str]) -> list[Any]:
    if not Path("/proc/self/smaps_rollup").is_file():
        pytest.skip("this system does not say how much memory a process has")
    probe(environment, str(bundle))  # writes the bytecode
    return [probe(environment, str(bundle)) for _ in range(PROCESSES)]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 takes 0.1 MB more")
def test_loading_and_acting_adds_less_than_a_megabyte(reports: list[Any]) -> None:
    assert 0 < median(report["rss"] for report in reports) <= LIMIT_BYTES


def test_the_measurement_sees_what_is_loaded(
    reports: list[Any], environment: dict[str, str]
) -> None:
    """Without a bundle it finds next to nothing, so what it finds above is the backend."""
    bare = [probe(environment) for _ in range(PROCESSES)]
    assert median(report["rss"] for report in bare) < 50_000
    assert all(report["modules"] == [] for report in bare)


def test_no_heavy_module_is_loaded(reports: list[Any]) -> None:
    loaded = set(reports[0]["modules"])
    assert "dspctl.runtime.backends.native_runner" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.skipif(
    tuple(map(int, np.__version__.split(".")[:2])) < (2, 4),
    reason="an older NumPy loads other parts of the standard library",
)
def test_nothing_else_of_the_standard_library_is_loaded(reports: list[Any]) -> None:
    loaded = {name for name in reports[0]["modules"] if name.split(".")[0] != "dspctl"}
    assert loaded <= LIGHT


def test_the_bundles_bytes_are_not_held(bundle: Path) -> None:
    """The static command alone is larger than all that the backend may add."""
    sizes = {path.name: path.stat().st_size for path in bundle.rglob("*") if path.is_file()}
    assert sum(sizes.values()) > LIMIT_BYTES * 0.8
