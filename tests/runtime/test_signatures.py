"""``signatures.json``: what is written, what is read, and what opening a bundle makes of it."""

import base64
import json
import os
from collections.abc import Callable
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dspctl import errors
from dspctl.runtime.bundle import MANIFEST, open_bundle
from dspctl.runtime.bundle.manifest import SIGNATURES
from dspctl.runtime.bundle.signatures import (
    LARGEST_BYTES,
    MOST_SIGNATURES,
    PREFIX,
    Signature,
    bytes_from_signatures,
    message_of,
    signatures_from_bytes,
)
from tests.runtime.bundles import bundle_of
from tests.runtime.policies import make_policy

SCHEMA = json.loads(
    resources("dspctl.runtime.bundle").joinpath("signatures.schema.json").read_text()
)
ONE, TWO = Signature("1" * 64, bytes(range(64))), Signature("2" * 64, b"\xff" * 64)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "b", make_policy(), {"policy.onnx": b""})


def written(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def test_the_file_as_documented() -> None:
    """Against the format's text, put together here by other means."""
    data = bytes_from_signatures([TWO, ONE])
    entries = [
        {
            "algorithm": "ed25519",
            "key_id": each.key_id,
            "signature": base64.b64encode(each.value).decode(),
        }
        for each in (ONE, TWO)
    ]
    assert data == written({"schema": 1, "signatures": entries})
    assert signatures_from_bytes(data) == (ONE, TWO)
    Draft202012Validator(SCHEMA).validate(json.loads(data))


def test_what_is_signed_begins_with_what_it_is() -> None:
    assert message_of(b"{}") == b"dspctl-bundle-signature-v1\n{}"
    assert PREFIX.isascii()


def test_a_bundle_may_have_it_and_nothing_else_unlisted(bundle: Path) -> None:
    assert open_bundle(bundle).signatures == ()
    (bundle / SIGNATURES).write_bytes(bytes_from_signatures([ONE]))
    opened = open_bundle(bundle)
    assert opened.signatures == (ONE,)
    assert opened.signed_by == ()  # nobody was asked for
    assert SIGNATURES not in opened.data
    for name in ("signatures.json.bak", "Signatures.json", "sub/signatures.json", ".signatures"):
        (bundle / name).parent.mkdir(exist_ok=True)
        (bundle / name).write_bytes(bytes_from_signatures([ONE]))
        with pytest.raises(errors.BundleTampered, match="not listed"):
            open_bundle(bundle)
        (bundle / name).unlink()
    open_bundle(bundle)


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    lambda value: value.pop("schema"),
    lambda value: value.update(schema=2),
    lambda value: value.update(schema=True),
    lambda value: value.update(extra=1),
    lambda value: value.update(signatures=[]),
    lambda value: value.update(signatures={}),
    lambda value: value["signatures"].append(value["signatures"][0]),
    lambda value: value["signatures"][0].update(algorithm="rsa"),
    lambda value: value["signatures"][0].update(algorithm=None),
    lambda value: value["signatures"][0].update(key_id="A" * 64),
    lambda value: value["signatures"][0].update(key_id="1" * 63),
    lambda value: value["signatures"][0].update(signature=""),
    lambda value: value["signatures"][0].update(signature="A" * 88),
    lambda value: value["signatures"][0].update(signature="é" * 88),
    lambda value: value["signatures"][0].update(
        signature=value["signatures"][0]["signature"].replace("Pw==", "Px==")
    ),
    lambda value: value["signatures"][0].update(
        signature=value["signatures"][0]["signature"] + "\n"
    ),
    lambda value: value["signatures"][0].update(name="me"),
    lambda value: value["signatures"][0].pop("key_id"),
    lambda value: value["signatures"].reverse(),
    lambda value: value.update(
        signatures=[{**value["signatures"][0], "key_id": f"{i:064x}"} for i in range(17)]
    ),
]
OWN_RULES = (14, 18)
"""What only the reader refuses: other unused bits in base64, and another order."""


@pytest.mark.parametrize("index", range(len(CHANGES)))
def test_what_is_malformed_is_refused_by_reader_and_schema(bundle: Path, index: int) -> None:
    value = json.loads(bytes_from_signatures([ONE, TWO]))
    before = json.dumps(value)
    CHANGES[index](value)
    assert json.dumps(value) != before
    with pytest.raises(ValueError, match=SIGNATURES):
        signatures_from_bytes(written(value))
    assert Draft202012Validator(SCHEMA).is_valid(value) == (index in OWN_RULES)
    (bundle / SIGNATURES).write_bytes(written(value))
    with pytest.raises(errors.BundleFormat, match=SIGNATURES):
        open_bundle(bundle)


def test_one_exact_form(bundle: Path) -> None:
    data = bytes_from_signatures([ONE])
    for wrong in (data + b"\n", data.replace(b": ", b":"), b"", b"[]", b"{", b"\xff", b"[" * 9999):
        (bundle / SIGNATURES).write_bytes(wrong)
        with pytest.raises(errors.BundleFormat, match=SIGNATURES):
            open_bundle(bundle)


def test_its_size_and_number_are_bounded(bundle: Path) -> None:
    most = [Signature(f"{i:064x}", b"\x01" * 64) for i in range(MOST_SIGNATURES)]
    data = bytes_from_signatures(most)
    assert len(data) < LARGEST_BYTES
    (bundle / SIGNATURES).write_bytes(data)
    assert open_bundle(bundle).signatures == tuple(most)
    with pytest.raises(ValueError, match="1 to 16"):
        bytes_from_signatures([*most, Signature("f" * 64, b"\x01" * 64)])
    with (bundle / SIGNATURES).open("wb") as handle:
        handle.truncate(1 << 40)  # must not be read into memory
    with pytest.raises(errors.BundleFormat, match="too large"):
        open_bundle(bundle)


def test_a_link_or_a_pipe_is_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(bytes_from_signatures([ONE]))
    (bundle / SIGNATURES).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.BundleTampered, match=f"{SIGNATURES} is a link"):
        open_bundle(bundle)
    (bundle / SIGNATURES).unlink()
    os.mkfifo(bundle / SIGNATURES)  # reading it would never end
    with pytest.raises(errors.BundleTampered, match="special"):
        open_bundle(bundle)


def test_the_digest_names_the_manifest(bundle: Path) -> None:
    import hashlib

    opened = open_bundle(bundle)
    assert opened.digest == hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest()
    (bundle / SIGNATURES).write_bytes(bytes_from_signatures([ONE]))
    assert open_bundle(bundle).digest == opened.digest


def test_a_link_to_a_bundle_is_followed_once(bundle: Path, tmp_path: Path) -> None:
    """What is read later is read from where the link led when the bundle was opened."""
    other = bundle_of(tmp_path / "other", make_policy(2))
    (tmp_path / "link").symlink_to(bundle)
    opened = open_bundle(tmp_path / "link", hold=lambda name: False)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(other)
    assert opened.path == bundle
    assert opened.data["policy.safetensors"] == (bundle / "policy.safetensors").read_bytes()
