import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from dspctl import errors
from dspctl.exporter import export
from dspctl.runtime.bundle import (
    GOLDEN,
    MANIFEST,
    ONNX,
    PARITY,
    POLICY,
    bytes_from_golden,
    bytes_from_parity,
    open_bundle,
    write_bundle,
)
from dspctl.runtime.parity import golden_from_policy
from dspctl.runtime.policy_file import bytes_from_policy
from tests.runtime.policies import assert_same_policy, make_policy, observations_of

POLICY_UNDER_TEST = make_policy(masks=True, unread=2)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "cpu"
    export(POLICY_UNDER_TEST, "cpu", path, observations=observations_of(POLICY_UNDER_TEST, 10))
    return path


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def reseal(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and make its digest fit again, as somebody with intent would."""
    value = json.loads((path / MANIFEST).read_text())
    del value["manifest_sha256"]
    change(value)
    text = json.dumps(value, indent=2, sort_keys=True) + "\n"
    value["manifest_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (path / MANIFEST).write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def relist(path: Path, name: str, data: bytes) -> None:
    """Replace a file and its entry."""
    (path / name).write_bytes(data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    reseal(path, lambda value: value["files"].update({name: entry}))


def test_a_bundle_opens_and_survives_a_copy(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert_same_policy(opened.policy, POLICY_UNDER_TEST)
    assert opened.manifest.target == "cpu"
    assert opened.manifest.environment == "Test-v1"
    assert set(opened.data) == {POLICY, ONNX, GOLDEN, PARITY}
    assert opened.manifest.name.startswith("test-v1-cpu-")
    assert opened.size_bytes == sum((bundle / name).stat().st_size for name in opened.data)
    assert opened.golden is not None
    np.testing.assert_array_equal(
        opened.golden.observations[:10], observations_of(POLICY_UNDER_TEST, 10)
    )
    assert [record.backend for record in opened.parity] == ["onnxruntime"]


def test_the_manifest_lists_true_hashes_and_no_time(bundle: Path) -> None:
    value = json.loads((bundle / MANIFEST).read_text())
    for name, entry in value["files"].items():
        data = (bundle / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    assert not {"time", "date", "created"} & set(value)


def test_any_flipped_byte_is_refused(bundle: Path) -> None:
    rng, refused = np.random.default_rng(0), 0
    for path in sorted(bundle.iterdir()):
        data = path.read_bytes()
        positions = {0, len(data) - 1, *rng.integers(0, len(data), 60).tolist()}
        for position in positions:
            flipped = bytearray(data)
            flipped[position] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(flipped))
            with pytest.raises(errors.BundleProblem):
                open_bundle(bundle)
            refused += 1
        path.write_bytes(data)
    assert refused > 200
    open_bundle(bundle)


def test_flips_outside_the_manifest_are_named_tampering(bundle: Path) -> None:
    data = bytearray((bundle / ONNX).read_bytes())
    data[100] ^= 1
    (bundle / ONNX).write_bytes(data)
    with pytest.raises(errors.BundleTampered, match=f"{ONNX} is not the file that was exported"):
        open_bundle(bundle)


def test_missing_folders_and_files(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.BundleNotFound, match="dspctl export"):
        open_bundle(tmp_path / "nowhere")
    with pytest.raises(errors.BundleNotFound):
        open_bundle(bundle / POLICY)
    (bundle / GOLDEN).unlink()
    with pytest.raises(errors.BundleIncomplete, match=f"{GOLDEN} is missing"):
        open_bundle(bundle)
    (bundle / MANIFEST).unlink()
    with pytest.raises(errors.BundleNotFound):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "sub/file", "policy.onnx.bak"])
def test_extra_files_are_refused(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"")
    with pytest.raises(errors.BundleTampered, match="not listed"):
        open_bundle(bundle)


def test_links_and_special_files_are_refused(bundle: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    (bundle / ONNX).rename(moved)
    (bundle / ONNX).symlink_to(moved)
    with pytest.raises(errors.BundleTampered, match="link"):
        open_bundle(bundle)
    (bundle / ONNX).unlink()
    os.mkfifo(bundle / ONNX)
    with pytest.raises(errors.BundleTampered, match="special"):
        open_bundle(bundle)


def test_an_unreadable_file_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def deny(self: Path) -> bytes:
        if self.name == ONNX:
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", deny)
    with pytest.raises(errors.BundleIncomplete, match="Permission denied"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/../b", "", ".", "a//b", "a\\b", "~x", ".ssh", MANIFEST]
)
def test_unsafe_names_are_refused(bundle: Path, name: str) -> None:
    entry = {"sha256": "0" * 64, "size_bytes": 0}
    reseal(bundle, lambda value: value["files"].update({name: entry}))
    with pytest.raises(errors.BundleFormat, match="unsafe file name"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("target"),
        lambda value: value.update(schema="1"),
        lambda value: value.update(schema=2),
        lambda value: value.update(extra=1),
        lambda value: value.update(files=[]),
        lambda value: value.update(tools={"numpy": 2}),
        lambda value: value.update(tools=None),
        lambda value: value.update(environment="Other-v1"),
        lambda value: value["files"].pop(POLICY),
        lambda value: value["files"][POLICY].update(sha256="A" * 64),
        lambda value: value["files"][POLICY].update(size_bytes=-1),
        lambda value: value["files"][POLICY].update(size_bytes="9"),
        lambda value: value["files"][POLICY].update(mode=0o777),
    ],
)
def test_malformed_manifests(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    reseal(bundle, change)
    with pytest.raises((errors.BundleFormat, errors.BundleTampered), match=str(bundle)):
        open_bundle(bundle)


def test_a_manifest_with_other_spacing_or_a_wrong_digest_is_refused(bundle: Path) -> None:
    text = (bundle / MANIFEST).read_text()
    for wrong in (
        text + "\n",
        text.replace(": ", ":"),
        text.replace('"target": "cpu"', '"target": "gpu"'),
    ):
        assert wrong != text
        (bundle / MANIFEST).write_text(wrong)
        with pytest.raises(errors.BundleTampered, match=MANIFEST):
            open_bundle(bundle)
    for garbage in (b"", b"[]", b"{", b"\xff" * 9, b"[" * 99999, b'{"schema": 1, "schema": 1}'):
        (bundle / MANIFEST).write_bytes(garbage)
        with pytest.raises(errors.BundleFormat):
            open_bundle(bundle)
    (bundle / MANIFEST).write_bytes(b" " * (1 << 21))
    with pytest.raises(errors.BundleFormat, match="too large"):
        open_bundle(bundle)


def test_a_large_swapped_file_is_refused_unread(bundle: Path) -> None:
    with (bundle / ONNX).open("wb") as handle:
        handle.truncate(1 << 40)
    with pytest.raises(errors.BundleTampered, match=ONNX):
        open_bundle(bundle)


def test_a_listed_but_broken_policy_is_a_policy_problem(bundle: Path) -> None:
    relist(bundle, POLICY, (bundle / POLICY).read_bytes()[:-8])
    with pytest.raises(errors.PolicyProblem):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("actions"),
        lambda tensors: tensors.pop("observations"),
        lambda tensors: tensors.update(extra=np.zeros(1)),
        lambda tensors: tensors.update(outputs=tensors["outputs"].astype(np.float32)),
        lambda tensors: tensors.update(outputs=tensors["outputs"][:, :2]),
        lambda tensors: tensors.update(actions=tensors["actions"][:-1]),
        lambda tensors: tensors.update({name: t[:0] for name, t in tensors.items()}),
        lambda tensors: tensors.update(outputs=np.full_like(tensors["outputs"], np.nan)),
    ],
)
def test_golden_vectors_that_do_not_fit(
    bundle: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    golden = golden_from_policy(POLICY_UNDER_TEST, observations_of(POLICY_UNDER_TEST, 4))
    tensors: dict[str, Any] = {
        "observations": golden.observations,
        "outputs": golden.outputs,
        "actions": golden.actions,
    }
    relist(bundle, GOLDEN, save(tensors))
    open_bundle(bundle)
    change(tensors)
    relist(bundle, GOLDEN, save(tensors))
    with pytest.raises(errors.BundleFormat, match=GOLDEN):
        open_bundle(bundle)


@pytest.mark.parametrize("data", [b"{}", b'{"backends": {}}', b'{"backends": [1]}', b"no"])
def test_malformed_parity(bundle: Path, data: bytes) -> None:
    relist(bundle, PARITY, data)
    with pytest.raises(errors.BundleFormat):
        open_bundle(bundle)
    relist(bundle, PARITY, bytes_from_parity([]))
    assert open_bundle(bundle).parity == ()


def test_files_in_folders_and_a_policy_alone(tmp_path: Path) -> None:
    policy = make_policy()
    golden = golden_from_policy(policy, observations_of(policy, 2))
    files = {
        POLICY: bytes_from_policy(policy),
        GOLDEN: bytes_from_golden(golden),
        "source/policy.c": b"int x;\n",
    }
    write_bundle(
        tmp_path / "b", files, target="t", environment="Test-v1", version="1", tools={"gcc": "12"}
    )
    opened = open_bundle(tmp_path / "b")
    assert opened.data["source/policy.c"] == b"int x;\n"
    assert opened.manifest.tools == {"gcc": "12"}
    assert opened.onnx is None
    assert opened.parity == ()
