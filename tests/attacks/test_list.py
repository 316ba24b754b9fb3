"""The list of attacks on signed bundles: what is done, and the error that must come.

An attack is a line: its name, how it is made, the error, and a piece of what is said. The bundles
and keys are those of `scene.Scene`. Each is tried by every way into a vehicle's program, and
by the command, which exits 2 with a sentence; nothing may have changed on the vehicle, nor anywhere
else. Attacks on other files, and the largest ones, are in ``tests/fuzz/test_attacks.py``; single
bits in ``test_flips.py``; what comes before the last rename of a deployment in
``tests/runtime/test_deploy.py``.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519

from dspctl import errors
from dspctl.runtime.bundle import GOLDEN, MANIFEST, POLICY, open_bundle
from dspctl.runtime.bundle.manifest import SIGNATURES
from dspctl.runtime.deploy import deploy, rollback
from dspctl.runtime.digest import sha256
from dspctl.runtime.trust.keys import public_keys
from tests.attacks.making import (
    Attack,
    before,
    by,
    by_link,
    damaged_and_replayed,
    entry,
    folder_instead,
    from_other,
    hard_linked,
    in_its_place,
    key_file,
    key_path,
    lander_before,
    linked,
    listing,
    manifest,
    nested,
    offering,
    other_kind,
    pem_of,
    plus_order,
    pointing,
    raw_entry,
    release_by_link,
    removed,
    renamed,
    revoked_list,
    revoking,
    root_of,
    signature,
    signatures,
    signed_anew,
    signed_text,
    small_order,
    special,
    text,
    trusting,
    weak_key,
    written,
)
from tests.attacks.scene import (
    PROGRAM,
    README,
    WAYS,
    Scene,
    build,
    copied,
    put_file,
    put_signatures,
    sealed,
    signature_of,
    state,
    value_of,
    verified_by_command,
)
from tests.cli.conftest import Call
from tests.cli.test_errors import assert_sentence
from tests.fuzz.targets import TARGETS
from tests.fuzz.test_attacks import VECTOR, archive, array, tensors
from tests.fuzz.test_attacks import one as tensor

DEEP = b"[" * 100_000 + b"]" * 100_000
LONG = b"9" * 5000
HUGE = tensors({"a": tensor([2**31, 2**31], 0, 4)}, bytes(4))

# --- bundles ---------------------------------------------------------------------------------

T, F, S = errors.BundleTampered, errors.BundleFormat, errors.BundleSignatureInvalid
K, N = errors.KeyFormat, errors.KeyNotFound

SIGNED = (
    Attack("signature stripped", removed(SIGNATURES), errors.BundleUnsigned, "dspctl sign BUNDLE"),
    Attack("another's signature", from_other(SIGNATURES), S, "do not use the bundle"),
    Attack("another's manifest", from_other(MANIFEST), S, "do not use the bundle"),
    Attack("another's manifest and signature", from_other(MANIFEST, SIGNATURES), T, "copy the"),
    Attack("another's network", from_other(POLICY), T, f"{POLICY} is not the file"),
    Attack("another's golden vectors", from_other(GOLDEN), T, f"{GOLDEN} is not the file"),
    Attack(
        "all of another but its golden vectors",
        from_other(MANIFEST, SIGNATURES, POLICY),
        T,
        f"{GOLDEN} is not the file",
    ),
    Attack("signed by a thief", by("thief"), errors.KeyUntrusted, "--public-key"),
    Attack("a thief's, in the maker's name", by("thief", under="maker"), S, "do not use"),
    Attack("signature and S + L", signature(plus_order), S, "do not use"),
    Attack("signature of zeros", signature(lambda _: bytes(64)), S, "do not use"),
    Attack("signature of the neutral point", signature(lambda _: b"\1" + bytes(63)), S, "not one"),
    Attack("halves of a signature swapped", signature(lambda s: s[32:] + s[:32]), S, "not one of"),
    Attack("signature of the manifest alone", signed_text(lambda m: m), S, "not one of"),
    Attack(
        "signature of its hash",
        signed_text(lambda m: b"dspctl-bundle-signature-v1\n" + sha256(m).encode()),
        S,
        "not one of",
    ),
    Attack("signature of nothing", signed_text(lambda m: b""), S, "not one of"),
    Attack(
        "a space in the manifest",
        lambda scene: (scene.bundle / MANIFEST).write_bytes(
            (scene.bundle / MANIFEST).read_bytes() + b" "
        ),
        S,
        "copy it again from where it was made",
    ),
    Attack(
        "a later version, sealed again",
        lambda scene: (scene.bundle / MANIFEST).write_bytes(
            sealed({**value_of(scene.bundle), "version": "9"})
        ),
        S,
        "do not use",
    ),
    Attack("signatures: empty", signatures(lambda _: b""), F, "not valid JSON"),
    Attack("signatures: nested", signatures(lambda _: DEEP[:8000] + DEEP[-8000:]), F, "too deep"),
    Attack("signatures: a gigabyte", signatures(lambda s: s + bytes(1 << 15)), F, "too large"),
    Attack(
        "signatures: a long number",
        signatures(lambda s: s.replace(b": 1", b": " + LONG)),
        F,
        "more than 64 bits",
    ),
    Attack(
        "signatures: another schema", signatures(lambda s: s.replace(b": 1", b": 2")), F, "schema 2"
    ),
    Attack(
        "signatures: a key twice",
        signatures(lambda s: s.replace(b'"schema"', b'"schema": 1,\n  "schema"')),
        F,
        "twice",
    ),
    Attack(
        "signatures: another algorithm",
        signatures(lambda s: s.replace(b"ed25519", b"none")),
        F,
        "'none' is not ed25519",
    ),
    Attack(
        "signatures: in another form",
        signatures(lambda s: s.replace(b"  ", b" ")),
        F,
        "not in the form",
    ),
    Attack(
        "signatures: one twice",
        lambda scene: put_signatures(
            scene.bundle, *[(scene.pairs["maker"].raw_public, signature_of(scene.bundle))] * 2
        ),
        F,
        "lists one twice",
    ),
    Attack(
        "signatures: seventeen",
        lambda scene: put_signatures(
            scene.bundle, *((bytes([i]) * 32, bytes(64)) for i in range(17))
        ),
        F,
        "1 to 16",
    ),
    Attack("signatures: a link", linked(SIGNATURES), T, "is a link or a special file"),
    Attack("signatures: a pipe", special(SIGNATURES, "pipe"), T, "is a link or a special file"),
    Attack("signatures: a folder", special(SIGNATURES, "folder"), T, "is a link or a special"),
)
"""Signatures."""

KEYS = (
    Attack("the wrong key", trusting("thief"), errors.KeyUntrusted, "--public-key"),
    Attack("revoked", revoking("maker"), errors.KeyRevoked, "a key that is in use"),
    Attack(
        "revoked, signed by a thief too",
        revoking("maker", more=lambda s: s.pairs["thief"].sign(s.bundle)),
        errors.KeyRevoked,
        "a key that is in use",
    ),
    Attack(
        "two signed, both revoked",
        revoking(
            "maker",
            "second",
            more=lambda s: (trusting("maker", "second")(s), s.pairs["second"].sign(s.bundle)),
        ),
        errors.KeyRevoked,
        "a key that is in use",
    ),
    Attack(
        "revoked, and the thief's in the other's name",
        revoking(
            "maker", more=lambda s: (trusting("maker", "second")(s), by("thief", under="second")(s))
        ),
        S,
        "do not use",
    ),
    Attack("revoked ones: gone", revoked_list(None), N, "check the path"),
    Attack("revoked ones: text", revoked_list(b"the maker's\n"), K, "line 1"),
    Attack("revoked ones: cut off", revoked_list(b"0" * 64 + b"\n" + b"0" * 63), K, "line 2"),
    Attack("revoked ones: UTF-16", revoked_list("\ufeff".encode("utf-16")), K, "line 1"),
    Attack("revoked ones: too many", revoked_list(b"#" * (1 << 20) + b"\n"), K, "too large"),
    Attack(
        "revoked ones: a folder",
        revoked_list(Path.mkdir),
        N,
        "no plain file",
    ),
    Attack(
        "revoked ones: a pipe",
        revoked_list(os.mkfifo),
        N,
        "no plain file",
    ),
    Attack("key: gone", key_path(lambda path: None), N, "check the path"),
    Attack("key: a pipe", key_path(os.mkfifo), N, "no plain file"),
    Attack("key: an empty folder", key_path(Path.mkdir), N, "put public keys there"),
    Attack("key: cut off", key_file(lambda pem: pem[:60]), K, "dspctl keygen"),
    Attack("key: 31 bytes", key_file(lambda _: pem_of(b"x" * 31)), K, "dspctl keygen"),
    Attack("key: empty", key_file(lambda _: b""), K, "dspctl keygen"),
    Attack("key: a megabyte", key_file(lambda pem: pem + bytes(1 << 20)), K, "too large"),
    Attack(
        "key: the private one",
        lambda s: s.keys.__setitem__(0, s.pairs["maker"].private),
        K,
        "is a private key",
    ),
    Attack("key: P-256", other_kind(lambda: ec.generate_private_key(ec.SECP256R1())), K, "keygen"),
    Attack("key: RSA", other_kind(lambda: rsa.generate_private_key(65537, 2048)), K, "keygen"),
    Attack("key: X25519", other_kind(x25519.X25519PrivateKey.generate), K, "keygen"),
    Attack("key: Ed448", other_kind(ed448.Ed448PrivateKey.generate), K, "keygen"),
    *(
        Attack(f"key: of small order, {index}", weak_key(raw), K, "with which anybody can sign")
        for index, raw in enumerate(small_order())
    ),
)
"""Keys, and the list of revoked ones."""

FILES = (
    Attack("a file added", written("extra"), T, "extra not listed"),
    Attack("a hidden file added", written(".extra"), T, "not listed"),
    Attack("a library added", written("native/x/libpole.so", b"\x7fELF"), T, "not listed"),
    Attack("a second manifest", written("sub/manifest.json", b"{}"), T, "not listed"),
    Attack("name in other case", written("Manifest.json", b"{}"), T, "not listed"),
    Attack("name of a look-alike", written("p\u043elicy.safetensors"), T, "not listed"),
    Attack("name with an accent", written("poli\u0107y.safetensors"), T, "not listed"),
    Attack("name of a wide letter", written("\uff50olicy.safetensors"), T, "not listed"),
    Attack("name that ends in a space", written(f"{POLICY} "), T, "not listed"),
    Attack("name that ends in a line", written(f"{POLICY}\n"), T, "not listed"),
    Attack("name that clears the screen", written("\x1b[2J"), T, "\ufffd[2J not listed"),
    Attack("name that is read backwards", written("\u202exyz"), T, "\ufffdxyz not listed"),
    Attack("name that is not UTF-8", written(b"\xff\xfe"), T, "not listed"),
    Attack("a file removed", removed(README), errors.BundleIncomplete, "copy the bundle again"),
    Attack("the network removed", removed(POLICY), errors.BundleIncomplete, "is missing"),
    Attack("the manifest removed", removed(MANIFEST), errors.BundleNotFound, "dspctl export"),
    Attack("a file renamed in case", renamed(README, "readme.md"), T, "readme.md not listed"),
    Attack("a file emptied", written(README), T, "is not the file that was exported"),
    Attack("a byte added", written(README, b"# what it is\n\n"), T, "is not the file"),
    Attack("a byte less", written(README, b"# what it is"), T, "is not the file"),
    Attack("a byte changed", written(PROGRAM, b"\x7fELG"), T, f"{PROGRAM} is not the file"),
    Attack("a link to the same bytes", linked(README), T, "is a link or a special file"),
    Attack("the network by a link", linked(POLICY), T, "is a link or a special file"),
    Attack("the manifest by a link", linked(MANIFEST), errors.BundleIncomplete, "it is a link"),
    Attack("a folder by a link", linked("native"), T, "native is a link or a special file"),
    Attack("a link to nothing", lambda s: (s.bundle / "x").symlink_to("gone"), T, "is a link"),
    Attack("a link to itself", lambda s: (s.bundle / "x").symlink_to("x"), T, "is a link"),
    Attack("a folder in its place", special(README, "folder"), errors.BundleIncomplete, "missing"),
    Attack("a pipe in its place", special(README, "pipe"), T, "is a link or a special file"),
    Attack("a pipe for a network", special(POLICY, "pipe"), T, "is a link or a special file"),
    Attack("a pipe for a manifest", special(MANIFEST, "pipe"), errors.BundleNotFound, "export"),
    Attack("a socket in its place", special(README, "socket"), T, "is a link or a special file"),
    Attack("a device in its place", special(README, "device"), T, "is a link or a special file"),
    Attack("a hard link, changed outside", hard_linked, T, "is not the file that was exported"),
)
"""Files."""

MANIFESTS = (
    *(
        Attack(f"file name {name[:12]!a}", listing(name), F, "unsafe file name")
        for name in (
            *(
                "/etc/passwd",
                "../outside/precious",
                "a/../../outside/x",
                "a\\..\\x",
                "C:\\x",
                "C:/x",
            ),
            *("./x", "a//b", "a/", "/", "", ".", "..", "~/x", ".ssh/x", "x\0", "x\n", "\u202ex"),
            *("p\u043elicy.onnx", "e\u0301", "x" * 201, MANIFEST, "MANIFEST.json", SIGNATURES),
        )
    ),
    Attack("two names but for case", listing("readme.MD"), F, "differ in case alone"),
    Attack("a file in a file", listing(f"{README}/x"), errors.BundleIncomplete, "is missing"),
    Attack(
        "a thousand and one files",
        manifest(lambda v: v["files"].update({f"f{i}": v["files"][README] for i in range(999)})),
        F,
        "more than 1000 files",
    ),
    Attack("a file of terabytes", entry(size_bytes=1 << 42), F, "no valid size"),
    Attack(
        "files of terabytes",
        manifest(
            lambda v: v["files"].update(
                {f"f{i}": {**v["files"][README], "size_bytes": 1 << 30} for i in range(3)}
            )
        ),
        F,
        "more than 2147483648 bytes",
    ),
    Attack("a file of -1 bytes", entry(size_bytes=-1), F, "no valid size"),
    Attack("a file of 13.0 bytes", entry(size_bytes=13.0), F, "must be an integer"),
    Attack("a file of true bytes", entry(size_bytes=True), F, "must be an integer"),
    Attack("a file of 2**64 bytes", raw_entry("18446744073709551616"), F, "more than 64 bits"),
    Attack("a file of 5000 digits", raw_entry(LONG.decode()), F, "more than 64 bits"),
    Attack("a file of 1e999 bytes", raw_entry("1e999"), F, "out of range"),
    Attack("a file of NaN bytes", raw_entry("NaN"), F, "not allowed"),
    Attack("a hash of another length", entry(sha256="0" * 63), F, "no valid size and SHA-256"),
    Attack(
        "a key of an entry twice",
        text(lambda m: m.replace(b'"size_bytes": 13', b'"size_bytes": 13,\n"size_bytes": 13')),
        F,
        "a key appears twice",
    ),
    Attack(
        "a file twice",
        text(lambda m: m.replace(b'"README.md": {', b'"README.md": {},\n"README.md": {')),
        F,
        "a key appears twice",
    ),
    Attack(
        "a field twice",
        text(lambda m: m.replace(b'"name"', b'"name": 1,\n  "name"', 1)),
        F,
        "a key appears twice",
    ),
    Attack("nested lists", text(lambda _: DEEP), F, "nested too deep"),
    Attack(
        "nested in the lineage",
        manifest(lambda v: v.update(lineage={"a": nested(200)})),
        F,
        "nested deeper",
    ),
    Attack(
        "a million values", text(lambda _: b"[" + b"0," * 500_000 + b"0]"), F, "not a JSON object"
    ),
    Attack("two megabytes", text(lambda m: m + b" " * (1 << 21)), F, "too large"),
    Attack("empty", text(lambda _: b""), F, "not valid JSON"),
    Attack("a list", text(lambda _: b"[]"), F, "not a JSON object"),
    Attack("UTF-16", text(lambda m: m.decode().encode("utf-16")), F, "UTF-8"),
    Attack("a byte order mark", text(lambda m: b"\xef\xbb\xbf" + m), F, "not valid JSON"),
    Attack(
        "half a character",
        text(lambda m: m.replace(b'"dspctl": "0"', b'"dspctl": "\\ud800"')),
        F,
        "half a character",
    ),
    Attack("another form", text(lambda m: m.replace(b"  ", b" ")), T, "not the one that was"),
    Attack("an unknown field", manifest(lambda v: v.update(run="rm -rf /")), F, "unknown fields"),
    Attack("a field less", manifest(lambda v: v.pop("files")), F, "lacks the field 'files'"),
    Attack("another schema", manifest(lambda v: v.update(schema=3)), F, "schema 3"),
    Attack("a name that is a path", manifest(lambda v: v.update(name="../../x")), F, "not of the"),
    Attack("a version that is a path", manifest(lambda v: v.update(version="1/../2")), F, "not of"),
    Attack("a target that is a path", manifest(lambda v: v.update(targets=["../x"])), F, "not of"),
    Attack(
        "an environment that acts on a terminal",
        manifest(lambda v: v.update(environment="\x1b[2J")),
        F,
        "control character",
    ),
    Attack("no network", manifest(lambda v: v["files"].pop(POLICY)), F, "lists no policy"),
    Attack(
        "another network's description",
        manifest(lambda v: v["observation"]["features"].pop()),
        F,
        "another policy",
    ),
    Attack(
        "a network of petabytes",
        lambda s: put_file(s, POLICY, HUGE),
        errors.PolicyTruncated,
        "copy it again",
    ),
    Attack(
        "a network that is a pickle",
        lambda s: put_file(s, POLICY, b"\x80\x04\x95" * 9),
        errors.PolicyFormat,
        "not a policy file",
    ),
    Attack("golden vectors of petabytes", lambda s: put_file(s, GOLDEN, HUGE), F, "copy the"),
    Attack("golden vectors of none", lambda s: put_file(s, GOLDEN, b""), F, "copy the bundle"),
    Attack("comparisons nested", lambda s: put_file(s, "parity.json", DEEP), F, "nested too deep"),
)
"""What somebody could sign who has the maker's key: the signature holds, the rest is refused."""

BUNDLES = (*SIGNED, *KEYS, *FILES, *MANIFESTS)

# --- vehicles ---

LATER, NOWHERE = errors.VersionNotLater, errors.NoDeployment

ONTO_THE_VEHICLE = (
    Attack("an older one replayed", offering("old"), LATER, "--allow-downgrade"),
    Attack("an older one replayed, what runs is damaged", damaged_and_replayed, LATER, "older 1"),
    Attack("the same version, another network", signed_anew("2"), LATER, "another 2"),
    Attack(
        "the same version, made earlier",
        signed_anew("2", "2001-01-01T00:00:00Z"),
        LATER,
        "another 2",
    ),
    Attack(
        "the same version, made later", signed_anew("2", "2099-01-01T00:00:00Z"), LATER, "another 2"
    ),
    Attack("the same version, written otherwise", signed_anew("2.0.0"), LATER, "another 2.0.0"),
    Attack("an older one with zeros", signed_anew("01.9.9"), LATER, "older 01.9.9"),
    Attack("for another purpose", offering("lander"), errors.OtherPolicy, "a folder of its own"),
    Attack("the pointer leads out", pointing("current", "../outside"), NOWHERE, "did not put it"),
    Attack("the pointer leads to /", pointing("current", "/"), NOWHERE, "did not put it"),
    Attack(
        "the pointer leads through",
        pointing("current", "releases/../../outside"),
        NOWHERE,
        "did not put it",
    ),
    Attack(
        "the pointer to a version of dots",
        pointing("current", "releases/pole-..-0123456789abcdef"),
        NOWHERE,
        "did not put it",
    ),
    Attack(
        "the pointer to a version of five parts",
        pointing("current", "releases/pole-0.0.0.0.0-0123456789abcdef"),
        NOWHERE,
        "did not put",
    ),
    Attack(
        "the pointer acts on a terminal",
        pointing("current", "releases/\x1b[2J"),
        NOWHERE,
        "releases/\ufffd[2J",
    ),
    Attack(
        "the pointer is a folder",
        folder_instead("current"),
        NOWHERE,
        "is not a link",
    ),
    Attack("releases lie outside", by_link("releases"), NOWHERE, "is a link"),
    Attack("the lock lies outside", by_link(".lock"), errors.WriteFailed, "check its permissions"),
    Attack(
        "the lock is a folder",
        folder_instead(".lock"),
        errors.WriteFailed,
        "check its permissions",
    ),
    Attack("a file of somebody's", lambda s: (s.to / "thesis.txt").touch(), NOWHERE, "thesis.txt"),
    Attack(
        "a file that acts on a terminal", lambda s: (s.to / "\x1b[2J").touch(), NOWHERE, "\ufffd[2J"
    ),
)
"""``dspctl deploy``."""

BACK = (
    Attack(
        "back: a byte changed",
        lambda s: (before(s) / README).write_bytes(b"x"),
        T,
        "cannot run again",
    ),
    Attack("back: a file added", lambda s: (before(s) / "x").touch(), T, "x not listed"),
    Attack(
        "back: a program changed",
        lambda s: (before(s) / PROGRAM).write_bytes(b"\x7fELG"),
        T,
        "cannot run again",
    ),
    Attack(
        "back: its signature stripped",
        lambda s: (before(s) / SIGNATURES).unlink(),
        errors.BundleUnsigned,
        "cannot run again",
    ),
    Attack("back: gone", lambda s: shutil.rmtree(before(s)), errors.BundleNotFound, "cannot run"),
    Attack(
        "back: a later one in its place",
        lambda s: in_its_place(s, s.other),
        T,
        "another bundle than was installed there",
    ),
    Attack(
        "back: one for another purpose in its place",
        lambda s: in_its_place(s, s.lander),
        T,
        "another bundle than was installed there",
    ),
    Attack("back: its folder lies outside", release_by_link, T, "is a link"),
    Attack("back: to another purpose", lander_before, errors.OtherPolicy, "never ran there"),
    Attack("back: its key is revoked", revoking("maker"), errors.KeyRevoked, "cannot run again"),
    Attack("back: the wrong key", trusting("thief"), errors.KeyUntrusted, "cannot run again"),
    Attack(
        "back: the pointer leads out", pointing("previous", "../outside"), NOWHERE, "no release"
    ),
    Attack(
        "back: the pointer leads to nothing",
        pointing("previous", "releases/pole-1-0123456789abcdef"),
        errors.BundleNotFound,
        "cannot run again",
    ),
    Attack(
        "back: no pointer",
        lambda s: (s.to / "previous").unlink(),
        errors.NoPrevious,
        "deploy the bundle that you want",
    ),
    Attack(
        "back: to what runs",
        lambda s: pointing("previous", os.fspath((s.to / "current").readlink()))(s),
        errors.NoPrevious,
        "deploy the bundle that you want",
    ),
    Attack("back: releases lie outside", by_link("releases"), NOWHERE, "is a link"),
    Attack("back: the lock lies outside", by_link(".lock"), errors.WriteFailed, "permissions"),
)
"""``dspctl rollback``."""

VEHICLES = (*ONTO_THE_VEHICLE, *BACK)


# --- tried ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return build(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def scene(built: Scene, tmp_path: Path) -> Scene:
    return copied(built, tmp_path / "scene")


def test_without_an_attack_every_way_is_open(scene: Scene, call: Call) -> None:
    """Else the list would show that everything is refused."""
    for way in WAYS.values():
        way(scene)
    done = verified_by_command(call, scene)
    assert done.code == 0, done.stderr
    assert open_bundle(scene.to / "current", trust=scene.trust).manifest.version == "3"


@pytest.mark.parametrize("attack", BUNDLES, ids=lambda attack: ascii(attack.name))
def test_a_bundle_is_refused(attack: Attack, scene: Scene, call: Call) -> None:
    attack.make(scene)
    before = state(scene.to), state(scene.outside)
    for way, enter in WAYS.items():
        with pytest.raises(errors.DspctlError) as caught:
            enter(scene)
        assert isinstance(caught.value, attack.error), (way, caught.value)
        assert attack.says in str(caught.value), (way, caught.value)
    assert_sentence(verified_by_command(call, scene), attack.says)
    assert (state(scene.to), state(scene.outside)) == before


def test_the_names_of_attacks_are_their_own() -> None:
    names = [attack.name for attack in (*BUNDLES, *VEHICLES)]
    assert len(set(names)) == len(names) > 150


def test_what_looks_like_an_attack(scene: Scene) -> None:
    """A second name outside, an empty list, one of two keys revoked: these bundles are sound."""
    os.link(scene.bundle / README, scene.folder / "second name")
    revoked_list(b"")(scene)
    WAYS["load"](scene)
    trusting("maker", "second")(scene)
    scene.pairs["second"].sign(scene.bundle)
    revoking("maker")(scene)
    assert len(open_bundle(scene.bundle, trust=scene.trust).signed_by) == 1
    done = deploy(scene.bundle, scene.to, trust=scene.trust)
    # What is installed is a copy: changed by that second name, it would run.
    (scene.folder / "second name").write_bytes(b"changed")
    assert open_bundle(done.path, trust=scene.trust).manifest.version == "3"
    assert (done.path / README).stat().st_nlink == 1
    with pytest.raises(errors.BundleTampered):
        WAYS["load"](scene)


def test_points_of_small_order_are_such_points() -> None:
    """By the curve's own arithmetic: eight times each is the neutral element."""
    prime = 2**255 - 19
    root = pow(2, (prime - 1) // 4, prime)
    d = -121665 * pow(121666, -1, prime) % prime
    for raw in small_order():
        y = (int.from_bytes(raw, "little") & (1 << 255) - 1) % prime
        x = root_of((y * y - 1) * pow(d * y * y + 1, -1, prime), prime, root)
        for _ in range(3):
            t = d * x * x * y * y % prime
            x, y = (
                2 * x * y * pow(1 + t, -1, prime) % prime,
                (y * y + x * x) * pow(1 - t, -1, prime) % prime,
            )
        assert (x, y) == (0, 1)


def test_other_points_are_keys(built: Scene) -> None:
    for pair in built.pairs.values():
        assert list(public_keys([pair.public]).values()) == [pair.raw_public]


@pytest.mark.parametrize("attack", VEHICLES, ids=lambda attack: ascii(attack.name))
def test_a_vehicle_goes_on_with_what_it_runs(attack: Attack, scene: Scene, call: Call) -> None:
    attack.make(scene)
    now = state(scene.folder)
    back = attack in BACK
    act: Callable[..., object] = rollback if back else partial(deploy, scene.bundle)
    with pytest.raises(attack.error) as caught:
        act(scene.to, trust=scene.trust)
    assert attack.says in str(caught.value)
    words = ["rollback", scene.to] if back else ["deploy", scene.bundle, "--to", scene.to]
    assert_sentence(call(*words, *scene.flags), attack.says)
    assert state(scene.folder) == now


# --- bombs in other files ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "bomb",
    [
        archive({"single:a.npy": bytes(256 << 20)}),
        archive({"single:a.npy": array(VECTOR % "4611686018427387904")}),
        archive({f"{number}.npy": b"" for number in range(5000)}),
    ],
    ids=["zeros", "shape", "members"],
)
def test_a_zip_bomb_from_a_board(bomb: bytes, tmp_path: Path) -> None:
    """Bundles hold no archives; a board's result does."""
    with pytest.raises(errors.HostAnswer):
        TARGETS["board-archive"].read(bomb, tmp_path)
