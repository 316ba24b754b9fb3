"""Keys, signing, and who is believed."""

import base64
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dspctl import errors
from dspctl.runtime import Trust, load, save_policy
from dspctl.runtime.bundle import GOLDEN, MANIFEST, ONNX, bytes_from_golden, open_bundle
from dspctl.runtime.bundle.manifest import SIGNATURES
from dspctl.runtime.bundle.signatures import (
    MOST_SIGNATURES,
    Signature,
    bytes_from_signatures,
    signatures_from_bytes,
)
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.reference.golden import golden_from_policy
from dspctl.runtime.trust import ed25519
from dspctl.runtime.trust.keys import (
    make_key,
    private_key_from_file,
    public_keys,
    revoked_keys,
)
from dspctl.runtime.trust.signing import sign_bundle
from dspctl.runtime.verify import verify
from tests.exporter.native.tools import needs
from tests.runtime.bundles import bundle_of
from tests.runtime.keys import Pair, pair_in
from tests.runtime.policies import make_policy, observations_of
from tests.runtime.test_bundle import reseal

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "signatures.md"


@pytest.fixture
def maker(tmp_path: Path) -> Pair:
    return pair_in(tmp_path / "keys")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    policy = make_policy()
    golden = golden_from_policy(policy, observations_of(policy, 5))
    sums = f"{sha256(bytes_from_policy(policy)).hexdigest()}  policy.safetensors\n".encode()
    files = {GOLDEN: bytes_from_golden(golden), ONNX: b"", "SHA256SUMS": sums}
    return bundle_of(tmp_path / "b", policy, files)


def trusting(*pairs: Pair, **more: Any) -> Trust:
    return Trust([pair.public for pair in pairs], **more)


def key_id(pair: Pair) -> str:
    return sha256(pair.raw_public).hexdigest()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the algorithm ----------------------------------------------------------------------------

RFC8032 = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
        "b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
        "c6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


@pytest.mark.parametrize(("private", "public", "message", "signature"), RFC8032)
def test_it_is_ed25519(private: str, public: str, message: str, signature: str) -> None:
    """Test vectors 1 and 3 of RFC 8032, section 7.1."""
    seed, raw, text = map(bytes.fromhex, (private, public, message))
    assert ed25519.public_of(seed) == raw
    assert ed25519.sign(seed, text).hex() == signature
    assert ed25519.holds(raw, bytes.fromhex(signature), text)
    assert not ed25519.holds(raw, bytes.fromhex(signature), text + b"x")


def test_what_is_signed_is_the_manifest_after_a_prefix(bundle: Path, maker: Pair) -> None:
    done = maker.sign(bundle)
    assert done.key_id == key_id(maker)
    assert done.digest == sha256((bundle / MANIFEST).read_bytes()).hexdigest()
    (held,) = signatures_from_bytes((bundle / SIGNATURES).read_bytes())
    assert held.key_id == key_id(maker)
    message = b"dspctl-bundle-signature-v1\n" + (bundle / MANIFEST).read_bytes()
    Ed25519PublicKey.from_public_bytes(maker.raw_public).verify(held.value, message)


def test_openssl_checks_a_signature_as_documented(
    bundle: Path, maker: Pair, tmp_path: Path
) -> None:
    """The commands of the document, in one folder with a bundle and a key of their names."""
    needs("openssl", "sed", "base64", "sha256sum")
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    (block,) = [each for each in blocks if "openssl pkeyutl" in each]
    maker.sign(bundle)
    folder = tmp_path / "elsewhere"
    shutil.copytree(bundle, folder / "bundle")
    shutil.copy(maker.public, folder / "maker.pem")

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-ec", block], cwd=folder, capture_output=True, text=True, check=False
        )

    done = run()
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
    assert key_id(maker) in done.stdout
    with (folder / "bundle" / MANIFEST).open("ab") as handle:
        handle.write(b"\n")
    assert run().returncode != 0


def test_openssl_keys_serve(bundle: Path, tmp_path: Path) -> None:
    needs("openssl")
    private, public = tmp_path / "o.key", tmp_path / "o.pem"
    for words in (
        ["genpkey", "-algorithm", "ed25519", "-out", str(private)],
        ["pkey", "-in", str(private), "-pubout", "-out", str(public)],
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    private.chmod(0o600)
    sign_bundle(bundle, private_key_from_file(private, lambda: None))
    assert len(open_bundle(bundle, trust=Trust([public])).signed_by) == 1


# --- who is believed --------------------------------------------------------------------------


def test_a_signed_bundle_passes_and_says_by_whom(bundle: Path, maker: Pair) -> None:
    maker.sign(bundle)
    for trust in (trusting(maker), trusting(maker, required=False), Trust([maker.public.parent])):
        assert open_bundle(bundle, trust=trust).signed_by == (key_id(maker),)
    assert open_bundle(bundle).signed_by == ()  # not asked, not answered
    found = verify(bundle, trusting(maker))
    assert found.passed
    assert found.to_json()["signed_by"] == [key_id(maker)]
    with load(bundle, "numpy", trust=trusting(maker)) as runner:
        assert runner.backend == "numpy"
    load(bundle, trust=trusting(maker)).close()


def test_what_is_not_signed(bundle: Path, maker: Pair, tmp_path: Path) -> None:
    with pytest.raises(errors.BundleUnsigned, match="dspctl sign BUNDLE --key KEY"):
        load(bundle, trust=trusting(maker))
    assert open_bundle(bundle, trust=trusting(maker, required=False)).signed_by == ()
    policy = save_policy(make_policy(), tmp_path / "p.safetensors")
    with pytest.raises(errors.BundleUnsigned, match="is a policy file"):
        load(policy, trust=trusting(maker))
    load(policy, trust=trusting(maker, required=False)).close()


def test_another_manifest_is_not_what_was_signed(bundle: Path, maker: Pair) -> None:
    """The digests fit, as somebody with intent would make them; the signature does not."""
    maker.sign(bundle)
    reseal(bundle, lambda value: value.update(version="9"))
    open_bundle(bundle)
    for required in (True, False):
        with pytest.raises(errors.BundleSignatureInvalid, match="do not use the bundle"):
            open_bundle(bundle, trust=trusting(maker, required=required))


def test_every_bit_of_a_signature_counts(bundle: Path, maker: Pair) -> None:
    maker.sign(bundle)
    (held,) = signatures_from_bytes((bundle / SIGNATURES).read_bytes())
    rng = np.random.default_rng(0)
    for bit in rng.choice(512, size=40, replace=False):
        flipped = bytearray(held.value)
        flipped[bit // 8] ^= 1 << int(bit % 8)
        (bundle / SIGNATURES).write_bytes(
            bytes_from_signatures([Signature(held.key_id, bytes(flipped))])
        )
        with pytest.raises(errors.BundleSignatureInvalid):
            open_bundle(bundle, trust=trusting(maker))


def test_a_bit_flipped_among_two_signatures(bundle: Path, maker: Pair, tmp_path: Path) -> None:
    """It spoils the maker's, the file's form, or the other one, which nobody here can check.

    One bit anywhere in a bundle is the matter of ``tests/attacks/test_flips.py``.
    """
    maker.sign(bundle)
    pair_in(tmp_path / "keys", "other").sign(bundle)
    rng, trust = np.random.default_rng(0), trusting(maker)
    path, refused = bundle / SIGNATURES, 0
    content = path.read_bytes()
    for _ in range(100):
        flipped = bytearray(content)
        flipped[rng.integers(len(flipped))] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            assert open_bundle(bundle, trust=trust).signed_by == (key_id(maker),)
        except errors.BundleProblem:
            refused += 1
    assert 50 < refused < 100


def test_files_swapped_between_two_signed_bundles_are_refused(maker: Pair, tmp_path: Path) -> None:
    one, two = (bundle_of(tmp_path / f"b{seed}", make_policy(seed)) for seed in (1, 2))
    for bundle in (one, two):
        maker.sign(bundle)
        open_bundle(bundle, trust=trusting(maker))
    names = [path.name for path in one.iterdir() if path.name != SIGNATURES]
    assert {MANIFEST, ONNX, "policy.safetensors"} <= set(names)
    swapped = set()
    for name in names:
        mine, others = (one / name).read_bytes(), (two / name).read_bytes()
        if mine == others:
            continue
        (one / name).write_bytes(others)
        wanted = errors.BundleSignatureInvalid if name == MANIFEST else errors.BundleTampered
        with pytest.raises(wanted, match=re.escape(str(one))):
            load(one, trust=trusting(maker))
        (one / name).write_bytes(mine)
        swapped.add(name)
    assert {MANIFEST, ONNX, "policy.safetensors"} <= swapped
    # The manifest with its signature is another matter: it is a signed manifest, of other files.
    for name in (MANIFEST, SIGNATURES):
        shutil.copy(two / name, one / name)
    with pytest.raises(errors.BundleTampered, match="is not the file that was exported"):
        load(one, trust=trusting(maker))


def test_a_stranger_is_not_believed(bundle: Path, maker: Pair, tmp_path: Path) -> None:
    stranger = pair_in(tmp_path / "keys", "stranger")
    stranger.sign(bundle)
    for required in (True, False):
        with pytest.raises(errors.KeyUntrusted, match=key_id(stranger)):
            open_bundle(bundle, trust=trusting(maker, required=required))


def test_a_signature_under_the_makers_name_is_not_the_makers(
    bundle: Path, maker: Pair, tmp_path: Path
) -> None:
    pair_in(tmp_path / "keys", "stranger").sign(bundle)
    (held,) = signatures_from_bytes((bundle / SIGNATURES).read_bytes())
    (bundle / SIGNATURES).write_bytes(bytes_from_signatures([Signature(key_id(maker), held.value)]))
    with pytest.raises(errors.BundleSignatureInvalid):
        open_bundle(bundle, trust=trusting(maker))


def test_a_revoked_key_is_not_believed(bundle: Path, maker: Pair, tmp_path: Path) -> None:
    maker.sign(bundle)
    revoked = tmp_path / "revoked"
    revoked.write_text("# none yet\n")
    trust = trusting(maker, revoked=revoked)
    open_bundle(bundle, trust=trust)
    revoked.write_text(f"# lost on a train\n\n  {key_id(maker).upper()}  # laptop\n")
    for required in (True, False):
        with pytest.raises(errors.KeyRevoked, match="key that is in use"):
            open_bundle(bundle, trust=trusting(maker, revoked=revoked, required=required))
    with pytest.raises(errors.KeyRevoked):
        load(bundle, trust=trust)


def test_keys_can_be_rotated(bundle: Path, maker: Pair, tmp_path: Path) -> None:
    """Signed with the old and the new: whoever trusts either is served, until the old one goes."""
    new = pair_in(tmp_path / "keys", "new")
    first, second = maker.sign(bundle), new.sign(bundle)
    assert (first.changed, second.changed) == (True, True)
    assert second.signers == tuple(sorted([key_id(maker), key_id(new)]))
    assert open_bundle(bundle, trust=trusting(maker)).signed_by == (key_id(maker),)
    assert open_bundle(bundle, trust=trusting(new)).signed_by == (key_id(new),)
    both = open_bundle(bundle, trust=trusting(maker, new))
    assert set(both.signed_by) == {key_id(maker), key_id(new)}
    (tmp_path / "revoked").write_text(key_id(maker))
    trust = trusting(maker, new, revoked=tmp_path / "revoked")
    assert open_bundle(bundle, trust=trust).signed_by == (key_id(new),)
    with pytest.raises(errors.KeyRevoked):
        open_bundle(bundle, trust=trusting(maker, revoked=tmp_path / "revoked"))
    # One that holds is enough; a second one that does not must not take that away, or anybody
    # could make a bundle useless by adding a line. The file's bytes can be ruined anyway.
    signatures = signatures_from_bytes((bundle / SIGNATURES).read_bytes())
    broken = [
        each if each.key_id == key_id(new) else Signature(each.key_id, bytes(64))
        for each in signatures
    ]
    (bundle / SIGNATURES).write_bytes(bytes_from_signatures(broken))
    assert open_bundle(bundle, trust=trusting(maker, new)).signed_by == (key_id(new),)


def test_the_signature_is_looked_at_before_the_manifest(bundle: Path, maker: Pair) -> None:
    maker.sign(bundle)
    (bundle / MANIFEST).write_bytes(b"[" * 99)
    with pytest.raises(errors.BundleSignatureInvalid):
        open_bundle(bundle, trust=trusting(maker))


def test_trust_is_a_list_of_paths(maker: Pair) -> None:
    for wrong in (str(maker.public), maker.public):
        with pytest.raises(TypeError, match="list of paths"):
            Trust(wrong)  # type: ignore[arg-type]


# --- signing ----------------------------------------------------------------------------------


def test_signing_again_changes_nothing(bundle: Path, maker: Pair) -> None:
    maker.sign(bundle)
    before, stamp = contents(bundle), (bundle / SIGNATURES).stat().st_mtime_ns
    again = maker.sign(bundle)
    assert not again.changed
    assert (contents(bundle), (bundle / SIGNATURES).stat().st_mtime_ns) == (before, stamp)


def test_a_signature_of_an_earlier_manifest_is_replaced(bundle: Path, maker: Pair) -> None:
    maker.sign(bundle)
    reseal(bundle, lambda value: value.update(version="9"))
    assert maker.sign(bundle).changed
    assert open_bundle(bundle, trust=trusting(maker)).manifest.version == "9"


def test_what_is_damaged_is_not_signed(bundle: Path, maker: Pair) -> None:
    data = (bundle / "policy.safetensors").read_bytes()
    (bundle / "policy.safetensors").write_bytes(data[:-1] + b"?")
    with pytest.raises(errors.BundleTampered):
        maker.sign(bundle)
    (bundle / "policy.safetensors").write_bytes(data)
    (bundle / "extra").touch()
    with pytest.raises(errors.BundleTampered, match="extra not listed"):
        maker.sign(bundle)
    assert not (bundle / SIGNATURES).exists()


def test_a_manifest_that_changes_meanwhile_is_not_signed(
    bundle: Path, maker: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is signed is read again, once all of the bundle was compared with it."""
    manifest = (bundle / MANIFEST).read_bytes()
    elsewhere = bundle.with_name("elsewhere")
    elsewhere.write_bytes(manifest)

    def changes() -> None:
        (bundle / MANIFEST).write_bytes(manifest + b" ")

    def leads_elsewhere() -> None:
        (bundle / MANIFEST).unlink()
        (bundle / MANIFEST).symlink_to(elsewhere)

    for change in (changes, leads_elsewhere, (bundle / MANIFEST).unlink):
        monkeypatch.setattr(
            "dspctl.runtime.trust.signing._check_policy", lambda _, change=change: change()
        )
        with pytest.raises(errors.BundleTampered, match="changed while it was verified"):
            maker.sign(bundle)
        (bundle / MANIFEST).unlink(missing_ok=True)
        (bundle / MANIFEST).write_bytes(manifest)
    assert not (bundle / SIGNATURES).exists()


def test_a_policy_that_does_not_answer_its_golden_vectors_is_not_signed(
    maker: Pair, tmp_path: Path
) -> None:
    other = make_policy(2)
    golden = bytes_from_golden(golden_from_policy(other, observations_of(other, 9)))
    wrong = bundle_of(tmp_path / "w", make_policy(1), {GOLDEN: golden, ONNX: b""})
    open_bundle(wrong)
    with pytest.raises(errors.BundleUnfit, match="export it again"):
        maker.sign(wrong)
    assert not (wrong / SIGNATURES).exists()


def test_a_full_disk_or_a_kill_leaves_the_bundle_whole(
    bundle: Path, maker: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair_in(tmp_path / "keys", "first").sign(bundle)
    before = contents(bundle)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(errors.WriteFailed, match="No space left"):
            maker.sign(bundle)
    assert contents(bundle) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "keys"]

    def killed(source: Any, target: Any) -> None:
        raise SystemExit  # nothing after the write happens, as if the process were gone

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        patch.setattr(os, "unlink", lambda path: None)
        with pytest.raises(SystemExit):
            maker.sign(bundle)
    assert contents(bundle) == before  # what is left lies beside the bundle, not in it
    open_bundle(bundle)


def test_no_more_signatures_than_are_read(bundle: Path, maker: Pair) -> None:
    others = [Signature(f"{i:064x}", b"\x01" * 64) for i in range(MOST_SIGNATURES)]
    (bundle / SIGNATURES).write_bytes(bytes_from_signatures(others))
    before = contents(bundle)
    with pytest.raises(errors.TooManySignatures, match="remove"):
        maker.sign(bundle)
    assert contents(bundle) == before


# --- key files --------------------------------------------------------------------------------


def test_a_new_pair(bundle: Path, tmp_path: Path) -> None:
    os.umask(os.umask(0o022))
    made = make_key(tmp_path / "k" / "ops.v2")
    assert (made.private.name, made.public.name) == ("ops.v2.key", "ops.v2.pem")
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o600
    key = serialization.load_pem_private_key(made.private.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    assert made.key_id == sha256(key.public_key().public_bytes_raw()).hexdigest()
    assert public_keys([made.public]) == {made.key_id: key.public_key().public_bytes_raw()}
    sign_bundle(bundle, private_key_from_file(made.private, lambda: None))
    assert open_bundle(bundle, trust=Trust([made.public])).signed_by == (made.key_id,)
    before = contents(tmp_path / "k")
    with pytest.raises(errors.OutputExists, match="never replaced"):
        make_key(tmp_path / "k" / "ops.v2")
    assert contents(tmp_path / "k") == before
    assert make_key(tmp_path / "k" / "b").key_id != made.key_id
    for wrong in ("/", "..", "."):
        with pytest.raises(errors.KeyFormat, match="no name for a key"):
            make_key(Path(wrong))


def test_half_a_pair_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 2:  # the file and the folder of the private key
            raise OSError(28, "No space left on device")
        flush(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(errors.WriteFailed):
            make_key(tmp_path / "ops")
    assert list(tmp_path.iterdir()) == []
    make_key(tmp_path / "ops")


def test_an_encrypted_key(tmp_path: Path) -> None:
    made = make_key(tmp_path / "ops", "correct horse")
    assert b"ENCRYPTED PRIVATE KEY" in made.private.read_bytes()
    with pytest.raises(errors.KeyPassphrase, match="--passphrase-env"):
        private_key_from_file(made.private, lambda: None)
    for wrong in ("", "correct", "é"):
        with pytest.raises(errors.KeyPassphrase, match="does not open"):
            private_key_from_file(made.private, lambda word=wrong: word)  # type: ignore[misc]
    private = private_key_from_file(made.private, lambda: "correct horse")
    assert ed25519.key_id_of(ed25519.public_of(private)) == made.key_id
    with pytest.raises(errors.KeyPassphrase, match="--encrypt"):
        make_key(tmp_path / "other", "")
    assert not (tmp_path / "other.key").exists()


def der(tag: int, *parts: bytes) -> bytes:
    """One element of DER."""
    content = b"".join(parts)
    size = len(content)
    long = b"" if size < 128 else size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(long) if long else size]) + long + content


def number(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


PBES2, PBKDF2 = (bytes.fromhex(f"06092a864886f70d0105{last}") for last in ("0d", "0c"))
SCRYPT = bytes.fromhex("06092b06010401da47040b")
AES_256 = bytes.fromhex("060960864801650304012a")


def encrypted(way: bytes, *numbers: int) -> bytes:
    """An encrypted key whose passphrase takes so much work; what it holds is noise (RFC 8018)."""
    derive = der(0x30, way, der(0x30, der(4, bytes(16)), *map(number, numbers)))
    how = der(0x30, PBES2, der(0x30, derive, der(0x30, AES_256, der(4, bytes(16)))))
    text = base64.encodebytes(der(0x30, how, der(4, bytes(64)))).decode()
    name = "ENCRYPTED PRIVATE KEY"
    return f"-----BEGIN {name}-----\n{text}-----END {name}-----\n".encode()


COSTLY = [
    encrypted(PBKDF2, (1 << 20) + 1),
    encrypted(PBKDF2, 2**31, 32),
    encrypted(PBKDF2, 2**2000),
    encrypted(SCRYPT, 1 << 20, 8, 1),
    encrypted(SCRYPT, 1 << 14, 8, 1 << 20),
    encrypted(SCRYPT, 2, 2**40, 1, 32),
]
FORMLESS = [
    encrypted(PBKDF2, 2048)[:100],
    encrypted(PBKDF2, 2048) * 2,
    encrypted(PBKDF2, 2048).replace(b"MI", b"!!"),
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n\n-----END ENCRYPTED PRIVATE KEY-----\n",
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIAwgDCA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n-----END EC PRIVATE KEY-----\n",
]


@pytest.mark.parametrize(
    ("data", "said"),
    [*((data, "in reasonable time") for data in COSTLY), *((data, "keygen") for data in FORMLESS)],
)
def test_a_passphrase_that_takes_for_ever_is_not_tried(
    data: bytes, said: str, tmp_path: Path
) -> None:
    """A key of somebody else's must not keep this machine busy for a day, or fill its memory."""
    path = tmp_path / "x.key"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(errors.KeyFormat, match=said):
        private_key_from_file(path, lambda: pytest.fail("nobody is asked"))


@pytest.mark.parametrize("data", [encrypted(PBKDF2, 1 << 15), encrypted(SCRYPT, 1 << 10, 8, 1, 32)])
def test_a_passphrase_that_takes_a_moment_is(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.key"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(errors.KeyPassphrase, match="does not open"):
        private_key_from_file(path, lambda: "wrong")


@pytest.mark.parametrize(
    "how",
    [[], ["-iter", "300000"], ["-scrypt"], ["-v2prf", "hmacWithSHA512"], ["-v1", "PBE-SHA1-3DES"]],
)
def test_keys_that_openssl_encrypted_serve(how: list[str], tmp_path: Path) -> None:
    needs("openssl")
    pair = pair_in(tmp_path)
    path = tmp_path / "encrypted.key"
    words = [
        "pkcs8",
        "-topk8",
        "-in",
        str(pair.private),
        "-out",
        str(path),
        "-passout",
        "pass:correct",
        *how,
    ]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    path.chmod(0o600)
    private = private_key_from_file(path, lambda: "correct")
    assert ed25519.public_of(private) == pair.raw_public


def test_nobody_is_asked_for_what_is_not_needed(maker: Pair) -> None:
    private_key_from_file(maker.private, lambda: pytest.fail("the key is not encrypted"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o777])
def test_a_key_that_others_can_read_is_refused(maker: Pair, mode: int) -> None:
    maker.private.chmod(mode)
    with pytest.raises(errors.KeyExposed, match=f"chmod 600 {re.escape(str(maker.private))}"):
        private_key_from_file(maker.private, lambda: None)
    for good in (0o600, 0o400, 0o700):
        maker.private.chmod(good)
        private_key_from_file(maker.private, lambda: None)


def test_a_link_does_not_hide_the_mode(maker: Pair, tmp_path: Path) -> None:
    maker.private.chmod(0o644)
    (tmp_path / "link").symlink_to(maker.private)
    with pytest.raises(errors.KeyExposed):
        private_key_from_file(tmp_path / "link", lambda: None)


def pem_of(key: Any) -> bytes:
    data: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return data


OTHERS: list[Callable[[], Any]] = [
    lambda: ec.generate_private_key(ec.SECP256R1()),
    x25519.X25519PrivateKey.generate,
]


def test_other_keys_and_garbage_are_refused(maker: Pair, tmp_path: Path) -> None:
    wrong = [pem_of(make()) for make in OTHERS]
    public = [
        make()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        for make in OTHERS
    ]
    garbage = [b"", b"ssh-ed25519 AAAA", b"-----BEGIN PUBLIC KEY-----\n", bytes(100)]
    path = tmp_path / "x.pem"
    for data in [*wrong, *garbage, maker.public.read_bytes()]:
        path.write_bytes(data)
        path.chmod(0o600)
        with pytest.raises(errors.KeyFormat, match="dspctl keygen"):
            private_key_from_file(path, lambda: None)
    for data in [*public, *garbage]:
        path.write_bytes(data)
        with pytest.raises(errors.KeyFormat, match="no public Ed25519 key"):
            public_keys([path])
    path.write_bytes(maker.private.read_bytes())
    with pytest.raises(errors.KeyFormat, match="is a private key"):
        public_keys([path])
    path.write_bytes(bytes(1 << 17))
    with pytest.raises(errors.KeyFormat, match="too large"):
        public_keys([path])


def test_keys_that_are_not_there(bundle: Path, maker: Pair, tmp_path: Path) -> None:
    for path in (tmp_path / "gone.pem", Path(os.devnull)):
        with pytest.raises(errors.KeyNotFound, match="cannot be read"):
            public_keys([path])
        with pytest.raises(errors.KeyNotFound, match="cannot be read"):
            private_key_from_file(path, lambda: None)
    os.mkfifo(tmp_path / "pipe.pem")  # opening it would wait for a writer
    with pytest.raises(errors.KeyNotFound, match="it is no plain file"):
        public_keys([tmp_path / "pipe.pem"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.KeyNotFound, match=r"holds no \.pem file"):
        public_keys([tmp_path / "empty"])
    with pytest.raises(errors.KeyNotFound, match="no public key"):
        open_bundle(bundle, trust=Trust([]))


def test_a_folder_of_too_many_keys(maker: Pair, tmp_path: Path) -> None:
    for index in range(1001):
        (tmp_path / "keys" / f"{index}.pem").touch()
    with pytest.raises(errors.KeyFormat, match="at most 1000"):
        public_keys([tmp_path / "keys"])


def test_a_folder_of_keys(maker: Pair, tmp_path: Path) -> None:
    other = pair_in(tmp_path / "keys", "other")
    (tmp_path / "keys" / "README").write_text("whose they are")
    found = public_keys([tmp_path / "keys", maker.public])
    assert dict(found) == {key_id(pair): pair.raw_public for pair in (maker, other)}


@pytest.mark.parametrize("text", ["abc", "g" * 64, "0" * 63, "0" * 65, "# ok\nnot a key id"])
def test_a_list_of_revoked_keys_that_cannot_be_understood(tmp_path: Path, text: str) -> None:
    """What is skipped would go on being trusted."""
    (tmp_path / "revoked").write_text(text)
    with pytest.raises(errors.KeyFormat, match=r"revoked, line \d"):
        revoked_keys(tmp_path / "revoked")


def test_a_list_of_revoked_keys_that_is_gone(bundle: Path, maker: Pair, tmp_path: Path) -> None:
    maker.sign(bundle)
    with pytest.raises(errors.KeyNotFound):
        open_bundle(bundle, trust=trusting(maker, revoked=tmp_path / "gone"))
    (tmp_path / "revoked").write_bytes(b"\n#\n  # x\n")
    assert revoked_keys(tmp_path / "revoked") == frozenset()


# --- what is loaded ---------------------------------------------------------------------------

PROGRAM = """
import json, sys
from pathlib import Path
absent, path, keys = sys.argv[1] == "absent", Path(sys.argv[2]), sys.argv[3:]
if absent:
    sys.modules["cryptography"] = None
from dspctl.runtime import load
load(path, "numpy").close()
quiet = [name for name in sys.modules if name.startswith(("cryptography", "dspctl.runtime.trust"))]
outcome = "loaded"
from dspctl.runtime import Trust
try:
    load(path, "numpy", trust=Trust(keys)).close()
except Exception as error:
    outcome = f"{type(error).__name__}: {error}"
print(json.dumps([[name for name in quiet if sys.modules[name]], outcome]))
"""


@pytest.mark.parametrize("state", ["absent", "present"])
def test_only_a_check_needs_cryptography(bundle: Path, maker: Pair, state: str) -> None:
    maker.sign(bundle)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, state, bundle, maker.public],
        capture_output=True,
        text=True,
        check=True,
    )
    quiet, outcome = json.loads(done.stdout)
    assert quiet == []
    if state == "absent":
        assert outcome.startswith("MissingExtra: checking a signature needs")
        assert "pip install 'dspctl[sign]'" in outcome
    else:
        assert outcome == "loaded"
