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
from dspctl.runtime.bundle import (
    GOLDEN,
    MANIFEST,
    ONNX,
    PARITY,
    POLICY,
    bytes_from_golden,
    manifest_of,
    open_bundle,
    write_bundle,
)
from dspctl.runtime.bundle.artefacts import Artefact, bytes_from_artefacts
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.reference.golden import golden_from_policy
from tests.runtime.bundles import bundle_of
from tests.runtime.policies import assert_same_policy, make_policy, observations_of

POLICY_UNDER_TEST = make_policy(masks=True, unread=2)
GOLDEN_UNDER_TEST = golden_from_policy(POLICY_UNDER_TEST, observations_of(POLICY_UNDER_TEST, 10))
COMMAND = "native/somewhere/policy"
ARTEFACTS = (
    Artefact(ONNX, "here", "ONNX Runtime", True, {"largest_output_error": 1e-7}),
    Artefact(COMMAND, "not run", "another processor"),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        GOLDEN: bytes_from_golden(GOLDEN_UNDER_TEST),
        PARITY: bytes_from_artefacts(ARTEFACTS),
        COMMAND: b"#!/bin/sh\n",
        "README.md": b"# Test\n",
    }
    return bundle_of(tmp_path_factory.mktemp("bundles") / "b", POLICY_UNDER_TEST, files)


@pytest.fixture
def bundle(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "bundle"))


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
    digest = hashlib.sha256(data).hexdigest()
    entry = {"sha256": digest, "size_bytes": len(data), "executable": False}
    reseal(path, lambda value: value["files"].update({name: entry}))


def test_a_bundle_opens_and_survives_a_copy(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert_same_policy(opened.policy, POLICY_UNDER_TEST)
    assert opened.manifest.targets == ("cpu",)
    assert opened.manifest.environment == "Test-v1"
    assert opened.manifest.lineage == POLICY_UNDER_TEST.lineage
    assert set(opened.data) == {POLICY, ONNX, GOLDEN, PARITY, COMMAND, "README.md"}
    assert opened.size_bytes == sum((bundle / name).stat().st_size for name in opened.data)
    assert opened.golden is not None
    np.testing.assert_array_equal(opened.golden.outputs, GOLDEN_UNDER_TEST.outputs)
    assert opened.artefacts == ARTEFACTS
    assert opened.libraries == {}


def test_the_manifest_lists_true_hashes(bundle: Path) -> None:
    value = json.loads((bundle / MANIFEST).read_text())
    for name, entry in value["files"].items():
        data = (bundle / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["size_bytes"] == len(data)


def test_modes_are_written_but_not_verified(tmp_path: Path) -> None:
    policy = make_policy()
    files = {POLICY: bytes_from_policy(policy), COMMAND: b"\x7fELF"}
    manifest = manifest_of(
        policy, files, name="t", targets=("cpu",), dspctl="1", executables=frozenset({COMMAND})
    )
    write_bundle(tmp_path / "b", manifest, files)
    assert (tmp_path / "b" / COMMAND).stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "b" / POLICY).stat().st_mode & 0o777 == 0o644
    (tmp_path / "b" / COMMAND).chmod(0o600)
    assert open_bundle(tmp_path / "b").data[COMMAND] == b"\x7fELF"


def test_flipped_bits_are_refused(bundle: Path) -> None:
    """Spread over all files by their number, not their size, so that small ones are hit too."""
    rng = np.random.default_rng(0)
    paths = sorted(path for path in bundle.rglob("*") if path.is_file())
    contents = {path: path.read_bytes() for path in paths}
    hit = set()
    for _ in range(300):
        path = paths[rng.integers(len(paths))]
        flipped = bytearray(contents[path])
        flipped[rng.integers(len(flipped))] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with pytest.raises(errors.BundleProblem):
            open_bundle(bundle)
        path.write_bytes(contents[path])
        hit.add(path)
    assert hit == set(paths)
    open_bundle(bundle)


def nothing(name: str) -> bool:
    return False


def test_what_is_not_held_is_verified_all_the_same(bundle: Path) -> None:
    """One flipped bit in every file, at its ends and in the middle."""
    held, unheld = open_bundle(bundle), open_bundle(bundle, hold=nothing)
    assert dict(unheld.data) == dict(held.data)
    assert_same_policy(unheld.policy, held.policy)
    for name, content in held.data.items():
        for at in {0, len(content) // 2, len(content) - 1}:
            flipped = bytearray(content)
            flipped[at] ^= 4
            (bundle / name).write_bytes(flipped)
            with pytest.raises(errors.BundleTampered, match=f"{name} is not the file"):
                open_bundle(bundle, hold=nothing)
        for other in (content + b"x", content[:-1]):
            (bundle / name).write_bytes(other)
            with pytest.raises(errors.BundleTampered, match=f"{name} is not the file"):
                open_bundle(bundle, hold=nothing)
        (bundle / name).write_bytes(content)
    open_bundle(bundle, hold=nothing)


def test_what_is_not_held_is_verified_again_when_it_is_read(bundle: Path, tmp_path: Path) -> None:
    held, unheld = open_bundle(bundle), open_bundle(bundle, hold=nothing)
    content = (bundle / ONNX).read_bytes()
    (bundle / ONNX).write_bytes(content[:-1] + b"?")
    with pytest.raises(errors.BundleTampered, match=ONNX):
        _ = unheld.onnx
    (bundle / ONNX).unlink()
    with pytest.raises(errors.BundleIncomplete, match=f"{ONNX} cannot be read"):
        _ = unheld.onnx
    (tmp_path / "elsewhere").write_bytes(content)
    (bundle / ONNX).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.BundleTampered, match=ONNX):
        _ = unheld.onnx
    (bundle / ONNX).unlink()
    (bundle / ONNX).write_bytes(content)
    assert unheld.onnx == content
    assert held.onnx == content  # all along
    assert "other" not in unheld.data
    with pytest.raises(KeyError):
        unheld.data["other"]


def test_links_to_folders_are_refused_and_empty_folders_are_not(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (bundle / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.BundleTampered, match="sub is a link"):
        open_bundle(bundle)
    (bundle / "sub").unlink()
    deep = bundle.joinpath(*["d"] * 50)
    deep.mkdir(parents=True)
    open_bundle(bundle)
    (deep / "file").write_bytes(b"")
    with pytest.raises(errors.BundleTampered, match="d/d/file not listed"):
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
    opened = os.open

    def deny(path: Path, *flags: int) -> int:
        if path.name == ONNX:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *flags)

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(errors.BundleIncomplete, match="Permission denied"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/passwd",
        "a/../b",
        "",
        ".",
        "a//b",
        "a\\b",
        "~x",
        ".ssh",
        MANIFEST,
        "signatures.json",
    ],
)
def test_unsafe_names_are_refused(bundle: Path, name: str) -> None:
    entry = {"sha256": "0" * 64, "size_bytes": 0, "executable": False}
    reseal(bundle, lambda value: value["files"].update({name: entry}))
    with pytest.raises(errors.BundleFormat, match="unsafe file name"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(environment="Other-v1"),
        lambda value: value["lineage"].update(seed=99),
        lambda value: value["observation"]["features"][0].update(name="y"),
        lambda value: value["observation"]["features"][0].update(low=0.0),
        lambda value: value["observation"]["features"].pop(),
        lambda value: value["observation"]["inputs"].pop(),
        lambda value: value["observation"].update(on_invalid="hold"),
        lambda value: value["action"].update(safe_action=[1]),
        lambda value: value["action"]["components"][0].update(high=9.0),
    ],
)
def test_a_manifest_that_describes_another_policy(
    bundle: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    reseal(bundle, change)
    with pytest.raises(errors.BundleFormat, match="describes another policy"):
        open_bundle(bundle)


def test_units_and_rate_are_the_manifests_own(bundle: Path) -> None:
    reseal(bundle, lambda value: value["observation"].update(rate_hz=125.5))
    reseal(bundle, lambda value: value["observation"]["features"][1].update(unit="rad/s"))
    observation = open_bundle(bundle).manifest.observation
    assert observation.rate_hz == 125.5
    assert observation.features[1].unit == "rad/s"


@pytest.mark.parametrize("schema", [1, 3])
def test_other_schemas_are_refused(bundle: Path, schema: int) -> None:
    reseal(bundle, lambda value: value.update(schema=schema))
    with pytest.raises(errors.BundleFormat, match=f"schema {schema}, but this dspctl reads 2"):
        open_bundle(bundle)


def test_a_manifest_with_other_spacing_or_a_wrong_digest_is_refused(bundle: Path) -> None:
    text = (bundle / MANIFEST).read_text()
    for wrong in (
        text + "\n",
        text.replace(": ", ":"),
        text.replace('"cpu"', '"gpu"'),
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
        "status": golden.status,
        "output_bound": golden.output_bound,
        "tie_gap": golden.tie_gap,
    }
    relist(bundle, GOLDEN, save(tensors))
    open_bundle(bundle)
    change(tensors)
    relist(bundle, GOLDEN, save(tensors))
    with pytest.raises(errors.BundleFormat, match=GOLDEN):
        open_bundle(bundle)


GOOD = {"artefact": "x", "ran": "here", "note": "", "passed": True, "figures": {"n": 1}}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"artefacts": {}},
        {"artefacts": [1]},
        {"artefacts": [{**GOOD, "ran": "there"}]},
        {"artefacts": [{**GOOD, "passed": None}]},
        {"artefacts": [{**GOOD, "passed": 1}]},
        {"artefacts": [{**GOOD, "ran": "not run"}]},
        {"artefacts": [{**GOOD, "figures": {"n": None}}]},
        {"artefacts": [{**GOOD, "extra": 1}]},
        {"artefacts": [GOOD], "extra": 1},
    ],
)
def test_malformed_parity(bundle: Path, value: Any) -> None:
    relist(bundle, PARITY, json.dumps({"artefacts": [GOOD]}).encode())
    (artefact,) = open_bundle(bundle).artefacts
    assert artefact.to_json() == GOOD
    relist(bundle, PARITY, json.dumps(value).encode())
    with pytest.raises(errors.BundleFormat, match=PARITY):
        open_bundle(bundle)


def test_a_policy_alone(tmp_path: Path) -> None:
    policy = make_policy()
    files = {POLICY: bytes_from_policy(policy)}
    manifest = manifest_of(
        policy, files, name="t", targets=("onnx",), dspctl="1", tools={"gcc": "12"}
    )
    write_bundle(tmp_path / "b", manifest, files)
    opened = open_bundle(tmp_path / "b")
    assert opened.manifest.tools == {"gcc": "12"}
    assert opened.onnx is None
    assert opened.golden is None
    assert opened.artefacts == ()
