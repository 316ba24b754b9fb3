import sys
from pathlib import Path

import numpy as np
import pytest

from dspctl import errors
from dspctl.runtime import BACKENDS, NumpyRunner, load, save_policy
from dspctl.runtime.bundle import GOLDEN, ONNX, bytes_from_golden
from dspctl.runtime.onnx_runner import OnnxRunner
from dspctl.runtime.parity import golden_from_policy
from tests.runtime.bundles import bundle_of, graph_of
from tests.runtime.policies import make_policy, observations_of


def test_a_policy_file_runs_with_numpy(tmp_path: Path) -> None:
    policy = make_policy(rule="clip")
    path = save_policy(policy, tmp_path / "p.safetensors")
    x = observations_of(policy, 4)
    for backend in ("auto", "numpy"):
        with load(str(path), backend) as runner:
            assert runner.backend == "numpy"
            np.testing.assert_array_equal(runner(x), NumpyRunner(policy)(x))
    with pytest.raises(errors.BackendUnavailable, match="dspctl export"):
        load(path, "onnxruntime")


def test_auto_takes_the_fastest_backend_that_works(tmp_path: Path) -> None:
    assert BACKENDS[:2] == ("numpy", "onnxruntime")
    policy = make_policy(rule="tanh_unscale")
    path = bundle_of(tmp_path / "b", policy)
    x = observations_of(policy, 20)
    for backend, expected in (
        ("auto", "onnxruntime"),
        ("onnxruntime", "onnxruntime"),
        ("numpy", "numpy"),
    ):
        with load(path, backend) as runner:
            assert runner.backend == expected
            np.testing.assert_allclose(runner(x), NumpyRunner(policy)(x), atol=1e-6)


def test_auto_falls_back_where_onnxruntime_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle_of(tmp_path / "b", make_policy())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert load(path).backend == "numpy"
    with pytest.raises(errors.MissingExtra):
        load(path, "onnxruntime")


def test_a_bundle_without_a_graph(tmp_path: Path) -> None:
    path = bundle_of(tmp_path / "b", make_policy(), {ONNX: b""})
    assert load(path).backend == "numpy"
    with pytest.raises(errors.BackendUnavailable, match=r"holds no policy\.onnx"):
        load(path, "onnxruntime")


def test_a_graph_that_computes_something_else_is_not_used(tmp_path: Path) -> None:
    """The hashes fit and it loads and runs: only comparing its answers finds it out."""
    policy = make_policy(1)
    for name, files in (
        ("edges", {ONNX: graph_of(make_policy(2))}),
        (
            "golden",
            {
                ONNX: graph_of(make_policy(2)),
                GOLDEN: bytes_from_golden(golden_from_policy(policy, observations_of(policy, 5))),
            },
        ),
    ):
        path = bundle_of(tmp_path / name, policy, files)
        with pytest.raises(errors.BackendUnavailable, match="does not compute what the policy"):
            load(path, "onnxruntime")
        assert load(path).backend == "numpy"


def test_golden_vectors_that_nothing_reproduces(tmp_path: Path) -> None:
    policy = make_policy(1)
    golden = golden_from_policy(make_policy(2), observations_of(policy, 5))
    path = bundle_of(tmp_path / "b", policy, {GOLDEN: bytes_from_golden(golden)})
    with pytest.raises(errors.BackendUnavailable, match="no backend runs") as caught:
        load(path)
    assert all(backend in str(caught.value) for backend in BACKENDS)


def test_a_backend_that_loads_but_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle_of(tmp_path / "b", make_policy())

    def fail(*_: object) -> None:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(OnnxRunner, "__call__", fail)
    with pytest.raises(errors.BackendUnavailable, match="no such instruction"):
        load(path, "onnxruntime")
    assert load(path).backend == "numpy"


def test_paths_and_names_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownBackend, match="auto, numpy, onnxruntime"):
        load(tmp_path, "tensorflow")
    with pytest.raises(errors.PolicyNotFound):
        load(tmp_path / "p.safetensors")
    with pytest.raises(errors.BundleNotFound):
        load(tmp_path / "bundle")
    with pytest.raises(errors.BundleNotFound):
        load(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(errors.PolicyProblem):
        load(tmp_path / "notes.txt")
