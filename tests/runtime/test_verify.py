import sys
from importlib import metadata
from pathlib import Path

import pytest

from dspctl import __version__, errors
from dspctl.runtime.backends.registry import OPENERS
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.bundle import GOLDEN, ONNX, Bundle, bytes_from_golden
from dspctl.runtime.reference.golden import golden_from_policy
from dspctl.runtime.verify import Finding, Verification, verify
from tests.exporter.native.tools import needs
from tests.runtime.bundles import bundle_of, graph_of
from tests.runtime.native import tiny_bundle, tiny_library, tiny_policy
from tests.runtime.policies import make_policy, observations_of


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    needs("cc")
    return tiny_library(tmp_path_factory.mktemp("tiny"), tiny_policy(discrete=True))


def states(found: Verification) -> dict[str, str]:
    return {finding.name: finding.state for finding in (*found.contents, *found.backends)}


def test_everything_that_runs_here_is_compared(tmp_path: Path, library: bytes) -> None:
    policy = tiny_policy(discrete=True)
    golden = bytes_from_golden(golden_from_policy(policy, observations_of(policy, 7)))
    targets = {"here": ("x86_64", ()), "elsewhere": ("sparc", ())}
    path = tiny_bundle(tmp_path / "b", policy, library, targets=targets, files={GOLDEN: golden})
    found = verify(path)
    assert found.passed
    assert states(found) == {
        "schema": "passed",
        "files": "passed",
        "golden vectors": "passed",
        "native, here": "passed",
        "native, elsewhere": "not here",
        "onnxruntime": "passed",
        "tensorrt": "not here",
        "numpy": "passed",
    }
    value = found.to_json()
    (native,) = [each for each in value["backends"] if each["name"] == "native, here"]
    assert native["parity"]["observations"] == 7
    assert native["parity"]["disagreements"] == 0
    (other,) = [each for each in value["backends"] if each["name"] == "native, elsewhere"]
    assert "is for sparc" in other["found"]
    assert other["parity"] is None


def test_what_computes_something_else_fails(tmp_path: Path, library: bytes) -> None:
    policy = tiny_policy(discrete=True, start=2)
    found = verify(tiny_bundle(tmp_path / "b", policy, library))
    assert not found.passed
    assert states(found)["native, here"] == "failed"
    assert states(found)["golden vectors"] == "not here"
    wrong = bundle_of(tmp_path / "g", make_policy(1), {ONNX: graph_of(make_policy(2))})
    assert states(verify(wrong))["onnxruntime"] == "failed"


def test_a_plan_for_another_machine_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(bundle: Bundle) -> Runner:
        raise errors.EngineMismatch("built for another GPU")

    monkeypatch.setitem(OPENERS, "tensorrt", stale)
    found = verify(bundle_of(tmp_path / "b", make_policy()))
    assert not found.passed
    assert Finding("tensorrt", "failed", "built for another GPU") in found.backends


def test_absent_packages_are_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = verify(bundle_of(tmp_path / "b", make_policy()))
    assert found.passed
    assert states(found)["onnxruntime"] == "not here"


def test_versions_are_told(tmp_path: Path) -> None:
    found = verify(bundle_of(tmp_path / "b", make_policy(), tools={"numpy": "1.0", "none": "2"}))
    assert found.versions == (
        ("dspctl", "0", __version__),
        ("none", "2", ""),
        ("numpy", "1.0", metadata.version("numpy")),
    )


def test_a_damaged_bundle_is_not_compared(tmp_path: Path) -> None:
    path = bundle_of(tmp_path / "b", make_policy())
    (path / ONNX).write_bytes(b"x")
    with pytest.raises(errors.BundleTampered):
        verify(path)
