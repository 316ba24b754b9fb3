"""How the attacks of ``test_list.py`` are made: each function gives one that spoils a scene."""

import base64
import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization

from dspctl import errors
from dspctl.runtime.bundle import MANIFEST, open_bundle
from dspctl.runtime.bundle.manifest import SIGNATURES
from dspctl.runtime.digest import sha256
from tests.attacks.scene import (
    README,
    Scene,
    make_bundle,
    put_manifest,
    put_signatures,
    sealed,
    sign_raw,
    signature_of,
    value_of,
)


class Attack(NamedTuple):
    """One line of the list.

    Attributes:
        name: what is done.
        make: does it.
        error: what must be raised.
        says: a piece of what is said.
    """

    name: str
    make: Callable[[Scene], Any]
    error: type[errors.DspctlError]
    says: str


Make = Callable[[Scene], Any]


def manifest(change: Callable[[dict[str, Any]], Any]) -> Make:
    """The manifest changed, its digest right again, and signed by who has the maker's key."""

    def make(scene: Scene) -> None:
        value = value_of(scene.bundle)
        change(value)
        put_manifest(scene, sealed(value))

    return make


def text(change: Callable[[bytes], bytes]) -> Make:
    """The bytes of the manifest changed, and signed by who has the maker's key."""
    return lambda scene: put_manifest(scene, change((scene.bundle / MANIFEST).read_bytes()))


def listing(name: str) -> Make:
    """A manifest that lists a file of this name."""
    entry = {"sha256": "0" * 64, "size_bytes": 0, "executable": False}
    return manifest(lambda value: value["files"].update({name: entry}))


def entry(**fields: Any) -> Make:
    """A manifest that says something else of a file."""
    return manifest(lambda value: value["files"][README].update(fields))


def raw_entry(number: str) -> Make:
    """A manifest with a size that no encoder writes."""

    def change(data: bytes) -> bytes:
        return data.replace(b'"size_bytes": 13', b'"size_bytes": ' + number.encode())

    return text(change)


def from_other(*names: str) -> Make:
    """Files of the other bundle in their places."""

    def make(scene: Scene) -> None:
        for name in names:
            shutil.copy(scene.other / name, scene.bundle / name)

    return make


def written(name: str | bytes, data: bytes = b"") -> Make:
    """A file with these bytes."""

    def make(scene: Scene) -> None:
        path = scene.bundle / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    return make


def removed(*names: str) -> Make:
    """Files taken away."""

    def make(scene: Scene) -> None:
        for name in names:
            (scene.bundle / name).unlink()

    return make


def linked(name: str) -> Make:
    """A link to the very same bytes, outside."""

    def make(scene: Scene) -> None:
        (scene.bundle / name).rename(scene.folder / "moved")
        (scene.bundle / name).symlink_to(scene.folder / "moved")

    return make


def special(name: str, kind: str) -> Make:
    """Something else than a file in a file's place."""

    def make(scene: Scene) -> None:
        path = scene.bundle / name
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                here = os.open(path.parent, os.O_RDONLY)  # a socket's path is short
                bound.bind(f"/proc/self/fd/{here}/{path.name}")
                os.close(here)
        elif kind == "device":
            try:
                os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
            except PermissionError:
                path.symlink_to("/dev/zero")

    return make


def hard_linked(scene: Scene) -> None:
    """A file that has a second name outside, by which it is changed later."""
    os.link(scene.bundle / README, scene.folder / "second name")
    with (scene.folder / "second name").open("r+b") as file:
        file.write(b"!")


def renamed(old: str, new: str) -> Make:
    return lambda scene: (scene.bundle / old).rename(scene.bundle / new)


def by(who: str, *, under: str | None = None) -> Make:
    """Signed by another one, perhaps under somebody's name."""

    def make(scene: Scene) -> None:
        (scene.bundle / SIGNATURES).unlink()
        pair = scene.pairs[who]
        pair.sign(scene.bundle)
        if under is not None:
            named = scene.pairs[under].raw_public
            put_signatures(scene.bundle, (named, signature_of(scene.bundle)))

    return make


def signature(change: Callable[[bytes], bytes]) -> Make:
    """The maker's signature, changed."""

    def make(scene: Scene) -> None:
        held = signature_of(scene.bundle)
        put_signatures(scene.bundle, (scene.pairs["maker"].raw_public, change(held)))

    return make


ORDER = 2**252 + 27742317777372353535851937790883648493
"""L, of the group that Ed25519 works in."""


def plus_order(held: bytes) -> bytes:
    """S + L in place of S, which a careless verifier takes for another signature that holds."""
    return held[:32] + (int.from_bytes(held[32:], "little") + ORDER).to_bytes(32, "little")


def signed_text(message: Callable[[bytes], bytes]) -> Make:
    """A signature that the maker made of something else."""

    def make(scene: Scene) -> None:
        maker = scene.pairs["maker"]
        value = sign_raw(maker, message((scene.bundle / MANIFEST).read_bytes()))
        put_signatures(scene.bundle, (maker.raw_public, value))

    return make


def signatures(change: Callable[[bytes], bytes]) -> Make:
    """The bytes of ``signatures.json`` changed."""

    def make(scene: Scene) -> None:
        path = scene.bundle / SIGNATURES
        path.write_bytes(change(path.read_bytes()))

    return make


def trusting(*who: str) -> Make:
    return lambda scene: scene.keys.__setitem__(
        slice(None), [scene.pairs[each].public for each in who]
    )


def revoking(*who: str, more: Make | None = None) -> Make:
    """A list of revoked keys; before that something else."""

    def make(scene: Scene) -> None:
        if more is not None:
            more(scene)
        scene.revoked = scene.folder / "revoked"
        ids = [sha256(scene.pairs[each].raw_public) for each in who]
        scene.revoked.write_text("".join(f"{each}  # stolen\n" for each in ids))

    return make


def revoked_list(data: bytes | Callable[[Path], Any] | None) -> Make:
    """A list of revoked keys with these bytes; or something else; None for one that is gone."""

    def make(scene: Scene) -> None:
        scene.revoked = scene.folder / "revoked"
        if isinstance(data, bytes):
            scene.revoked.write_bytes(data)
        elif data is not None:
            data(scene.revoked)

    return make


def key_file(change: Callable[[bytes], bytes]) -> Make:
    """The trusted key's file, changed."""
    return lambda scene: scene.keys[0].write_bytes(change(scene.keys[0].read_bytes()))


def key_path(change: Callable[[Path], Any]) -> Make:
    """Something else in its place."""

    def make(scene: Scene) -> None:
        scene.keys[0].unlink()
        change(scene.keys[0])

    return make


def other_kind(make: Callable[[], Any]) -> Make:
    """A key of another algorithm."""
    return key_file(
        lambda _: (
            make()
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
    )


PEM_OF_ED25519 = bytes.fromhex("302a300506032b6570032100")
"""What comes before the 32 bytes of a public key (RFC 8410)."""


def pem_of(raw: bytes) -> bytes:
    text = base64.b64encode(PEM_OF_ED25519 + raw)
    return b"-----BEGIN PUBLIC KEY-----\n" + text + b"\n-----END PUBLIC KEY-----\n"


def weak_key(raw: bytes) -> Make:
    """A key of small order among the trusted ones, and the signature that holds with it."""

    def make(scene: Scene) -> None:
        scene.keys[0].write_bytes(pem_of(raw))
        put_signatures(scene.bundle, (raw, bytes([1]) + bytes(63)))

    return make


def small_order() -> list[bytes]:
    """Every way to write one of the eight points of small order, the less common ones too."""
    prime = 2**255 - 19
    root = pow(2, (prime - 1) // 4, prime)  # of -1
    d = -121665 * pow(121666, -1, prime) % prime
    # Doubled, a point with x² = -y² ends at y = 0: d·y⁴ + 2·y² - 1 = 0.
    eights = []
    for sign in (1, -1):
        square = (-1 + sign * root_of(1 + d, prime, root)) * pow(d, -1, prime) % prime
        if pow(square, (prime - 1) // 2, prime) == 1:
            y = root_of(square, prime, root)
            eights += [y, prime - y]
    assert len(eights) == 2
    ys = [0, 1, prime - 1, *eights, prime, prime + 1]
    return [(y | top << 255).to_bytes(32, "little") for y in ys for top in (0, 1)]


def root_of(square: int, prime: int, root_of_minus_one: int) -> int:
    """A square root modulo a prime that is 5 modulo 8."""
    found = pow(square, (prime + 3) // 8, prime)
    if found * found % prime != square % prime:
        found = found * root_of_minus_one % prime
    assert found * found % prime == square % prime
    return found


def pointing(link: str, target: str) -> Make:
    """A pointer of the folder of deployments that leads elsewhere."""

    def make(scene: Scene) -> None:
        (scene.to / link).unlink()
        (scene.to / link).symlink_to(target)

    return make


def folder_instead(name: str) -> Make:
    """A folder in the place of a part of the folder of deployments."""

    def make(scene: Scene) -> None:
        (scene.to / name).unlink()
        (scene.to / name).mkdir()

    return make


def before(scene: Scene) -> Path:
    """The bundle that ran before, as it is installed."""
    return (scene.to / "previous").resolve()


def in_its_place(scene: Scene, source: Path) -> None:
    """Another bundle in the folder of the one that ran before."""
    shutil.rmtree(before(scene))
    shutil.copytree(source, scene.to / (scene.to / "previous").readlink())


def offering(path: str) -> Make:
    """An attacker hands over a bundle that the maker signed once."""

    def make(scene: Scene) -> None:
        shutil.rmtree(scene.bundle)
        shutil.copytree(scene.folder / path, scene.bundle)

    return make


def signed_anew(version: str, created: str | None = None) -> Make:
    """One of this version, signed by the maker."""

    def make(scene: Scene) -> None:
        shutil.rmtree(scene.bundle)
        make_bundle(scene.bundle, version, 7, created=created)
        scene.pairs["maker"].sign(scene.bundle)

    return make


def by_link(name: str) -> Make:
    """A part of the folder that lies outside."""

    def make(scene: Scene) -> None:
        if (scene.to / name).exists():
            (scene.to / name).rename(scene.folder / "moved")
        (scene.to / name).unlink(missing_ok=True)
        (scene.to / name).symlink_to(scene.folder / "moved")

    return make


def release_by_link(scene: Scene) -> None:
    inside = before(scene)
    inside.rename(scene.folder / "moved")
    inside.symlink_to(scene.folder / "moved")


def damaged_and_replayed(scene: Scene) -> None:
    """What runs is damaged, so that its manifest cannot say which version it is."""
    (scene.to / "current" / MANIFEST).write_text("{}")
    offering("old")(scene)


def lander_before(scene: Scene) -> None:
    """The way back leads to a bundle for another purpose, which the maker signed."""
    digest = open_bundle(scene.lander).digest[:16]
    shutil.copytree(scene.lander, scene.to / "releases" / f"lander-9-{digest}")
    pointing("previous", f"releases/lander-9-{digest}")(scene)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value
