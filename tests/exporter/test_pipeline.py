import errno
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl import errors
from dspctl.exporter import TARGETS, export, pipeline
from dspctl.runtime import Policy, load
from dspctl.runtime.bundle import GOLDEN, MANIFEST, ONNX, PARITY, POLICY, open_bundle
from dspctl.runtime.onnx_runner import OnnxRunner
from tests.runtime.bundles import graph_of
from tests.runtime.policies import assert_same_policy, make_policy, observations_of


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("target", "files"),
    [
        ("onnx", {MANIFEST, POLICY, ONNX, PARITY}),
        ("cpu", {MANIFEST, POLICY, ONNX, PARITY, GOLDEN}),
    ],
)
def test_a_bundle_holds_what_its_target_needs(tmp_path: Path, target: str, files: set[str]) -> None:
    policy = make_policy(rule="clip_unscale")
    out = tmp_path / "b"
    result = export(policy, target, out, observations=observations_of(policy, 30))
    written = contents(out)
    assert set(written) == files
    assert result.files == {name: len(data) for name, data in written.items()}
    assert result.size_bytes == sum(map(len, written.values()))
    assert_same_policy(open_bundle(out).policy, policy)
    (parity,) = result.parity
    assert parity.backend == "onnxruntime"
    assert parity.passed
    assert parity.observations > 200
    assert open_bundle(out).parity == result.parity
    assert result.to_json()["parity"][0]["disagreements"] == 0
    assert load(out).backend == "onnxruntime"


def test_every_target_exports(tmp_path: Path) -> None:
    for target in TARGETS:
        assert export(make_policy(), target, tmp_path / target).target == target


def test_golden_vectors_are_the_recording_and_the_reference(tmp_path: Path) -> None:
    policy = make_policy(rule="tanh_unscale")
    recorded = observations_of(policy, 1000).astype(np.float64)
    export(policy, "cpu", tmp_path / "b", observations=recorded)
    golden = open_bundle(tmp_path / "b").golden
    assert golden is not None
    assert golden.observations.shape == (128, 5)
    np.testing.assert_array_equal(golden.observations[0], recorded[0].astype(np.float32))
    np.testing.assert_array_equal(golden.observations[63], recorded[-1].astype(np.float32))
    assert (np.abs(golden.observations[64:]) >= 1e3).any()  # the edge cases
    np.testing.assert_allclose(
        golden.outputs, policy.outputs(golden.observations.astype(np.float64)), rtol=1e-12
    )


def test_exporting_twice_gives_identical_folders(tmp_path: Path) -> None:
    policy = make_policy(masks=True, unread=1)
    for name in ("one", "two"):
        export(policy, "cpu", tmp_path / name, observations=observations_of(policy, 20))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_force_replaces_a_bundle_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "b"
    first = export(make_policy(1), "cpu", out)
    with pytest.raises(errors.OutputExists, match="--force"):
        export(make_policy(2), "cpu", out)
    assert open_bundle(out).manifest.name == first.name
    second = export(make_policy(2), "onnx", out, force=True)
    assert open_bundle(out).manifest.name == second.name != first.name
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "keep").write_text("x")
    with pytest.raises(errors.OutputExists, match="will not delete"):
        export(make_policy(), "cpu", tmp_path / "data", force=True)
    assert (tmp_path / "data" / "keep").read_text() == "x"


def test_a_graph_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = graph_of(make_policy(2))

    def write_wrong(policy: Policy, recorded: Any) -> bytes:
        return wrong

    part = pipeline.Part(ONNX, write_wrong, OnnxRunner)
    monkeypatch.setitem(pipeline.TARGETS, "onnx", pipeline.Target("wrong", (part,)))
    with pytest.raises(errors.NotEquivalent, match="nothing was written"):
        export(make_policy(1), "onnx", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "b"
    export(make_policy(1), "cpu", out)
    before, calls = contents(out), []
    flush = os.fsync

    def fill_up(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fill_up)
    with pytest.raises(errors.WriteFailed, match="No space left"):
        export(make_policy(2), "cpu", out, force=True)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("observations", "error"),
    [
        (np.zeros((3, 4)), errors.ObservationShape),
        (np.zeros(5), errors.ObservationShape),
        (np.zeros((0, 5)), errors.ObservationShape),
        (np.zeros((3, 5), int), errors.ObservationShape),
        (np.full((3, 5), np.nan), errors.ObservationNotFinite),
        (np.full((3, 5), 1e300), errors.ObservationNotFinite),
    ],
)
def test_recordings_that_do_not_fit(
    tmp_path: Path, observations: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        export(make_policy(), "cpu", tmp_path / "b", observations=observations)
    assert list(tmp_path.iterdir()) == []


def test_unknown_targets_and_absent_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.UnknownTarget, match="onnx, cpu"):
        export(make_policy(), "toaster", tmp_path / "b")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(errors.MissingExtra, match="onnxruntime"):
        export(make_policy(), "cpu", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
