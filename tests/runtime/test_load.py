import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl import errors
from dspctl.runtime import BACKENDS, NumpyRunner, fastest, load, save_policy
from dspctl.runtime.backends import registry
from dspctl.runtime.backends.native_library import choose_target
from dspctl.runtime.backends.onnx_runner import OnnxRunner
from dspctl.runtime.backends.runner import BaseRunner
from dspctl.runtime.bundle import GOLDEN, ONNX, bytes_from_golden
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.machine import Machine
from dspctl.runtime.reference.golden import golden_from_policy
from tests.exporter.native.tools import needs
from tests.runtime.bundles import bundle_of, graph_of
from tests.runtime.native import tiny_bundle, tiny_library, tiny_policy
from tests.runtime.policies import make_policy, observations_of

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = ("torch", "gymnasium", "onnx", "onnxruntime", "matplotlib", "tensorrt", "tensorrt_rtx")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    needs("cc")
    return tiny_library(tmp_path_factory.mktemp("tiny"), tiny_policy(discrete=True))


def test_a_policy_file_runs_with_numpy(tmp_path: Path) -> None:
    policy = make_policy(rule="clip")
    path = save_policy(policy, tmp_path / "p.safetensors")
    x = observations_of(policy, 4)
    for backend in ("auto", "numpy"):
        with load(str(path), backend) as runner:
            assert runner.backend == "numpy"
            assert "policy file" in runner.why
            np.testing.assert_array_equal(runner(x), NumpyRunner(policy)(x))
    with pytest.raises(errors.BackendUnavailable, match="dspctl export"):
        load(path, "onnxruntime")


def test_explicit_backends(tmp_path: Path, library: bytes) -> None:
    policy = tiny_policy(discrete=True)
    path = tiny_bundle(tmp_path / "b", policy, library)
    x = observations_of(policy, 20)
    for backend in ("native", "onnxruntime", "numpy"):
        with load(path, backend) as runner:
            assert runner.backend == backend
            assert runner.why == f"{backend} was asked for"
            np.testing.assert_array_equal(runner(x), NumpyRunner(policy)(x))


def test_auto_tries_all_and_takes_the_fastest(tmp_path: Path, library: bytes) -> None:
    assert BACKENDS == ("native", "onnxruntime", "tensorrt", "numpy")
    path = tiny_bundle(tmp_path / "b", tiny_policy(discrete=True), library)
    with load(path) as runner:
        assert runner.backend == "native"
        for part in ("fastest", "native takes ", "onnxruntime takes", "numpy takes"):
            assert part in runner.why
        assert "tensorrt cannot be used (" in runner.why


def test_the_clock_decides_not_the_order(
    tmp_path: Path, library: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_bundle(tmp_path / "b", tiny_policy(discrete=True), library)
    latencies = {"native": 900.0, "onnxruntime": 850.0, "numpy": 700.0}
    monkeypatch.setattr(fastest, "latency_ns", lambda runner, policy: latencies[runner.backend])
    assert load(path).backend == "numpy"
    latencies["numpy"] = 850.0  # not clearly faster than the first: the order decides
    assert load(path).backend == "native"


def test_losers_are_closed(tmp_path: Path, library: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def close(self: OnnxRunner) -> None:
        closed.append(self.backend)

    monkeypatch.setattr(OnnxRunner, "close", close)
    load(tiny_bundle(tmp_path / "b", tiny_policy(discrete=True), library)).close()
    assert closed == ["onnxruntime"]


def test_auto_falls_back_where_packages_are_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle_of(tmp_path / "b", make_policy())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    runner = load(path)
    assert runner.backend == "numpy"
    assert "pip install 'dspctl[onnxruntime]'" in runner.why
    with pytest.raises(errors.MissingExtra):
        load(path, "onnxruntime")


def test_a_bundle_without_the_backends_files(tmp_path: Path) -> None:
    path = bundle_of(tmp_path / "b", make_policy(), {ONNX: b""})
    assert load(path).backend == "numpy"
    with pytest.raises(errors.BackendUnavailable, match=r"holds no policy\.onnx"):
        load(path, "onnxruntime")
    with pytest.raises(errors.BackendUnavailable, match="holds no native library"):
        load(path, "native")


def test_an_artefact_that_computes_something_else_is_not_used(
    tmp_path: Path, library: bytes
) -> None:
    """The hashes fit, it loads and runs: only comparing its answers finds it out."""
    policy = tiny_policy(discrete=True, start=5)  # the library starts at 0
    other = tiny_policy(discrete=True, mode="zero")
    golden = bytes_from_golden(golden_from_policy(policy, observations_of(policy, 5)))
    for name, files in (("edges", {}), ("golden", {GOLDEN: golden})):
        path = tiny_bundle(tmp_path / name, policy, library, files=files)
        with pytest.raises(errors.BackendUnavailable, match="does not compute what the policy"):
            load(path, "native")
        assert load(path).backend != "native"
    wrong = {ONNX: graph_of(tiny_policy(discrete=True, start=1))}
    path = bundle_of(tmp_path / "graph", other, wrong)
    with pytest.raises(errors.BackendUnavailable, match="does not compute what the policy"):
        load(path, "onnxruntime")


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
    def crash(self: OnnxRunner, *arguments: Any) -> Any:
        raise RuntimeError("no kernel for this device")

    for name in ("__call__", "act", "_act", "_outputs", "outputs"):
        monkeypatch.setattr(OnnxRunner, name, crash)
    path = bundle_of(tmp_path / "b", make_policy())
    with pytest.raises(errors.BackendUnavailable, match="no kernel for this device"):
        load(path, "onnxruntime")
    assert load(path).backend == "numpy"


def test_a_library_for_another_processor(tmp_path: Path, library: bytes) -> None:
    policy = tiny_policy(discrete=True)
    targets = {"jetson-orin": ("aarch64x", ("asimd",)), "future": ("x86_64", ("avx4096",))}
    path = tiny_bundle(tmp_path / "b", policy, library, targets=targets)
    with pytest.raises(errors.WrongProcessor) as caught:
        load(path, "native")
    for part in ("this machine is", "jetson-orin (aarch64x)", "avx4096", "--target cpu"):
        assert part in str(caught.value)
    assert load(path).backend in ("onnxruntime", "numpy")


def test_the_best_fitting_library_is_chosen() -> None:
    def build(architecture: str, *requires: str) -> Build:
        return Build(architecture, requires, "cc", ())

    builds = {
        "x86-64-v2": build("x86_64", "sse4_2"),
        "x86-64-v4": build("x86_64", "sse4_2", "avx2", "avx512f"),
        "x86-64-v3": build("x86_64", "sse4_2", "avx2"),
        "aarch64": build("aarch64", "asimd"),
        "jetson-xavier": build("aarch64", "asimd", "fphp"),
        "jetson-orin": build("aarch64", "asimd"),
    }
    available = dict.fromkeys(builds, b"")
    pc = Machine("x86_64", frozenset({"sse4_2", "avx2"}), "PC")
    assert choose_target(builds, available, pc) == "x86-64-v3"
    orin = Machine("aarch64", frozenset({"asimd", "fphp"}), "Orin", "tegra234")
    assert choose_target(builds, available, orin) == "jetson-orin"
    arm = Machine("aarch64", frozenset({"asimd", "fphp"}), "server")
    assert choose_target(builds, available, arm) == "jetson-xavier"
    with pytest.raises(errors.WrongProcessor, match="riscv64"):
        choose_target(builds, available, Machine("riscv64", frozenset(), "board"))
    with pytest.raises(errors.BackendUnavailable, match="no native library"):
        choose_target(builds, {}, pc)


def test_a_file_swapped_after_it_was_verified_is_not_what_runs(
    tmp_path: Path, library: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny_policy(discrete=True)
    path = tiny_bundle(tmp_path / "b", policy, library)
    opened = registry.OPENERS["native"]

    def swap_first(bundle: Any) -> Any:
        (path / "native" / "here" / "libtiny.so").write_bytes(b"something else")
        return opened(bundle)

    monkeypatch.setitem(registry.OPENERS, "native", swap_first)
    with load(path, "native") as runner:
        assert int(runner(np.array([1, 0, 0], np.float32))) == 0


def test_unknown_backends_and_missing_artefacts(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownBackend, match="auto, native, onnxruntime"):
        load(tmp_path, "cuda")
    with pytest.raises(errors.BundleNotFound):
        load(tmp_path / "nowhere")
    with pytest.raises(errors.PolicyNotFound):
        load(tmp_path / "nowhere.safetensors")


def test_the_base_installation_suffices(tmp_path: Path, library: bytes) -> None:
    """No torch, no onnx: as on a vehicle. In a process of its own, which cannot import them."""
    path = tiny_bundle(tmp_path / "b", tiny_policy(discrete=True), library)
    code = f"""
import sys
for name in {WITHOUT!r}: sys.modules[name] = None
import numpy as np
from pathlib import Path
from dspctl.runtime import load
from dspctl.runtime.verify import verify
assert verify(Path({str(path)!r})).passed
assert load({str(path)!r}).backend == "native"
print(int(load({str(path)!r}, "native")(np.array([0, 1, 0], np.float32))))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0\n"


def test_every_runner_says_why_it_was_chosen() -> None:
    assert BaseRunner.why == ""
