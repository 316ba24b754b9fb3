"""What an export refuses, and that it leaves nothing behind then."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl import errors
from dspctl.exporter import export, native_parts
from dspctl.exporter.native.build import build_all
from dspctl.exporter.targets import plan_of
from dspctl.runtime import Policy
from dspctl.runtime.bundle import POLICY, open_bundle
from dspctl.runtime.reference.golden import golden_from_policy
from tests.exporter.conftest import Exported, contents
from tests.exporter.native.tools import needs
from tests.runtime.bundles import graph_of
from tests.runtime.policies import make_policy, observations_of


def test_a_thousand_flipped_bits_are_refused(discrete: Exported, tmp_path: Path) -> None:
    """Half of them spread over the files by number, half over the bytes."""
    bundle = Path(shutil.copytree(discrete.path, tmp_path / "bundle"))
    rng, original = np.random.default_rng(0), contents(bundle)
    names = sorted(original)
    sizes = np.array([len(original[name]) for name in names])
    by_number = rng.integers(len(names), size=500)
    by_size = rng.choice(len(names), size=500, p=sizes / sizes.sum())
    for index in np.concatenate([by_number, by_size]):
        name = names[index]
        flipped = bytearray(original[name])
        flipped[rng.integers(len(flipped))] ^= 1 << int(rng.integers(8))
        (bundle / name).write_bytes(flipped)
        with pytest.raises(errors.BundleProblem):
            open_bundle(bundle)
        (bundle / name).write_bytes(original[name])
    assert set(by_number) == set(range(len(names)))
    open_bundle(bundle)


def test_force_replaces_a_bundle_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "b"
    export(make_policy(1), "onnx", out)
    before = contents(out)
    with pytest.raises(errors.OutputExists, match="--force"):
        export(make_policy(2), "onnx", out)
    assert contents(out) == before
    export(make_policy(2), "onnx", out, force=True)
    assert contents(out)[POLICY] != before[POLICY]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "keep").write_text("x")
    with pytest.raises(errors.OutputExists, match="will not delete"):
        export(make_policy(), "onnx", tmp_path / "data", force=True)
    assert (tmp_path / "data" / "keep").read_text() == "x"


def test_a_graph_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = graph_of(make_policy(2))
    monkeypatch.setattr("dspctl.exporter.onnx.bytes_from_model", lambda model: wrong)
    with pytest.raises(errors.NotEquivalent, match="nothing was written"):
        export(make_policy(1), "onnx", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_native_code_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("cc")

    def build_other(policy: Policy, *arguments: Any, **options: Any) -> Any:
        return build_all(make_policy(2), *arguments, **options)

    monkeypatch.setattr(native_parts, "build_all", build_other)
    with pytest.raises(errors.NotEquivalent, match="native/"):
        export(make_policy(1), "cpu", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "b"
    export(make_policy(1), "onnx", out)
    before, calls = contents(out), []
    flush = os.fsync

    def fill_up(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fill_up)
    with pytest.raises(errors.WriteFailed, match="No space left"):
        export(make_policy(2), "onnx", out, force=True)
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
        export(make_policy(), "onnx", tmp_path / "b", observations=observations)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"targets": "toaster"}, errors.UnknownTarget),
        ({"targets": []}, errors.UnknownTarget),
        ({"name": "int"}, errors.InvalidName),
        ({"name": "a; rm -rf"}, errors.InvalidName),
        ({"version": "latest"}, errors.InvalidVersion),
        ({"rate_hz": 0.0}, errors.InvalidRate),
        ({"rate_hz": float("nan")}, errors.InvalidRate),
        ({"on_invalid": "stop"}, errors.UnknownInvalidMode),
        ({"safe_action": 9}, errors.InvalidSafeAction),
    ],
)
def test_arguments_that_cannot_be_used(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception]
) -> None:
    chosen = arguments.pop("targets", "onnx")
    with pytest.raises(error):
        export(make_policy(), chosen, tmp_path / "b", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_the_flash(tmp_path: Path) -> None:
    needs("cc")
    with pytest.raises(errors.TargetTooSmall, match="--flash-limit"):
        export(make_policy(), "cpu", tmp_path / "b", flash_limit_bytes=100)
    assert list(tmp_path.iterdir()) == []


def test_without_compilers_and_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(errors.CompilerMissing, match="apt-get install gcc"):
            export(make_policy(), "cpu", tmp_path / "b")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(errors.MissingExtra, match="onnxruntime"):
        export(make_policy(), "onnx", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_does_not_run_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dspctl.exporter.compare import compare_command

    (target,) = plan_of("cpu").native
    figures = dict.fromkeys(("rows", "ties", "largest_output_error", "largest_bound_share"), 1)
    different = {"passed": False, "differences": 4, **figures}
    failing: tuple[Callable[[], bytes], ...] = (
        lambda: b"#!/bin/sh\nexit 3\n",
        lambda: b"not a program",
        lambda: b"#!/bin/sh\necho '{}'\n",
        lambda: f"#!/bin/sh\necho '{json.dumps(different)}'\n".encode(),
    )
    for make in failing:
        with pytest.raises(errors.NotEquivalent, match="nothing was written"):
            compare_command("native/x/policy", make(), target)
    monkeypatch.setenv("PATH", str(tmp_path))
    arm = plan_of("aarch64").native[0]
    artefact = compare_command("native/x/policy", b"", arm)
    assert (artefact.ran, artefact.passed) == ("not run", None)
    assert "qemu-user" in artefact.note


def test_a_board_that_finds_a_difference_is_an_error(
    continuous: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dspctl.exporter.compare import compare_board
    from dspctl.exporter.draft import Draft

    policy = continuous.policy
    golden = golden_from_policy(policy, observations_of(policy, 5))
    draft = Draft(policy, "arm", False, None, golden, golden)
    (target,) = plan_of("cortex-m7").native
    good = compare_board("native/cortex-m7/libarm.a", draft, target)
    assert (good.ran, good.figures["rows"]) == ("emulated", 5)
    golden.actions[3] += 1
    with pytest.raises(errors.NotEquivalent, match=r"board mps2-an500 \(\d+ differences"):
        compare_board("native/cortex-m7/libarm.a", draft, target)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "qemu-system-arm" in compare_board("native/cortex-m7/libarm.a", draft, target).note
