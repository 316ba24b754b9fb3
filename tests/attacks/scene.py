"""A vehicle, its maker and what lies between them: what the attacks of ``test_attack_list.py`` are
made in, and the ways by which a bundle gets in."""

import base64
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dspctl.runtime import Trust, load
from dspctl.runtime.bundle import GOLDEN, MANIFEST, POLICY, manifest_of, open_bundle, write_bundle
from dspctl.runtime.bundle.manifest import SIGNATURES, canonical_json
from dspctl.runtime.deploy import deploy
from dspctl.runtime.digest import sha256
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.reference.golden import bytes_from_golden, golden_from_policy
from dspctl.runtime.verify import verify
from tests.cli.conftest import Call, Outcome
from tests.runtime.keys import Pair, pair_in
from tests.runtime.policies import make_policy, observations_of

README, PROGRAM = "README.md", "native/x/policy"


@dataclass
class Scene:
    """Everything an attacker may touch, and what the vehicle was told.

    Attributes:
        folder: all of it; ``outside`` in it belongs to somebody else.
        keys: what ``--public-key`` names.
        revoked: what ``--revoked`` names.
    """

    folder: Path
    pairs: Mapping[str, Pair]
    keys: list[Path] = field(default_factory=list)
    revoked: Path | None = None

    @property
    def bundle(self) -> Path:
        """Version 3, signed by the maker: the one that is to be installed."""
        return self.folder / "bundle"

    @property
    def other(self) -> Path:
        """Version 4 of another network, signed by the maker as well."""
        return self.folder / "other"

    @property
    def old(self) -> Path:
        """Version 1, signed by the maker, which ran on the vehicle once."""
        return self.folder / "old"

    @property
    def lander(self) -> Path:
        """A bundle for another purpose, signed by the maker."""
        return self.folder / "lander"

    @property
    def to(self) -> Path:
        """The vehicle: version 2 runs, and version 1 ran before."""
        return self.folder / "vehicle"

    @property
    def outside(self) -> Path:
        """A folder that nobody may touch."""
        return self.folder / "outside"

    @property
    def trust(self) -> Trust:
        """What the flags say."""
        return Trust(self.keys, self.revoked)

    @property
    def flags(self) -> list[str | Path]:
        """The same as words of a command line."""
        words: list[str | Path] = ["--require-signature"]
        for each in self.keys:
            words += ["--public-key", each]
        return words if self.revoked is None else [*words, "--revoked", self.revoked]


def build(folder: Path) -> Scene:
    """Make everything; the maker's key is the trusted one."""
    pairs = {name: pair_in(folder / "keys" / name, name) for name in ("maker", "second", "thief")}
    scene = Scene(folder, pairs)
    for path, version, seed, name in (
        (scene.bundle, "3", 3, "pole"),
        (scene.other, "4", 4, "pole"),
        (scene.old, "1", 1, "pole"),
        (folder / "running", "2", 2, "pole"),
        (scene.lander, "9", 9, "lander"),
    ):
        make_bundle(path, version, seed, name)
        pairs["maker"].sign(path)
    trust = Trust([pairs["maker"].public])
    for path in (scene.old, folder / "running"):
        deploy(path, scene.to, trust=trust)
    scene.outside.mkdir()
    (scene.outside / "precious").write_bytes(b"keep")
    return scene


def copied(scene: Scene, to: Path) -> Scene:
    """The same in another folder, to be spoilt."""
    shutil.copytree(scene.folder, to, symlinks=True)
    pairs = {name: replaced(pair, scene.folder, to) for name, pair in scene.pairs.items()}
    return Scene(to, pairs, [pairs["maker"].public])


def replaced(pair: Pair, was: Path, now: Path) -> Pair:
    return pair._replace(
        private=now / pair.private.relative_to(was), public=now / pair.public.relative_to(was)
    )


def make_bundle(
    path: Path, version: str, seed: int, name: str = "pole", *, created: str | None = None
) -> Path:
    """An unsigned bundle with a program in it."""
    policy = make_policy(seed, sizes=(3, 4, 2))
    if created is not None:
        policy = policy.with_lineage(created=created)
    golden = golden_from_policy(policy, observations_of(policy, 3))
    files = {
        POLICY: bytes_from_policy(policy),
        GOLDEN: bytes_from_golden(golden),
        PROGRAM: b"\x7fELF",
        README: b"# what it is\n",
    }
    manifest = manifest_of(policy, files, name=name, version=version, targets=("cpu",), dspctl="0")
    path.mkdir()
    write_bundle(path, manifest, files)
    return path


# --- what an attacker writes ------------------------------------------------------------------


def value_of(bundle: Path) -> Any:
    """The manifest's JSON."""
    return json.loads((bundle / MANIFEST).read_bytes())


def sealed(value: dict[str, Any]) -> bytes:
    """A manifest whose digest of itself fits."""
    bare = {key: entry for key, entry in value.items() if key != "manifest_sha256"}
    return canonical_json({**bare, "manifest_sha256": sha256(canonical_json(bare))})


def sign_raw(pair: Pair, message: bytes) -> bytes:
    """A signature of anything."""
    key: Any = load_pem_private_key(pair.private.read_bytes(), None)
    signature: bytes = key.sign(message)
    return signature


def put_signatures(bundle: Path, *signatures: tuple[bytes, bytes]) -> None:
    """Write ``signatures.json`` from raw public keys and signatures, whether they hold or not."""
    entries = [
        {
            "algorithm": "ed25519",
            "key_id": sha256(public),
            "signature": base64.b64encode(value).decode(),
        }
        for public, value in signatures
    ]
    entries.sort(key=lambda each: each["key_id"])
    text = json.dumps({"schema": 1, "signatures": entries}, indent=2, sort_keys=True)
    (bundle / SIGNATURES).write_text(text + "\n")


def signature_of(bundle: Path) -> bytes:
    """The first signature that lies in a bundle."""
    entry = json.loads((bundle / SIGNATURES).read_bytes())["signatures"][0]
    return base64.b64decode(entry["signature"])


def put_manifest(scene: Scene, data: bytes) -> None:
    """Another manifest with a signature that holds: by somebody who has the maker's key."""
    maker = scene.pairs["maker"]
    (scene.bundle / MANIFEST).write_bytes(data)
    message = b"dspctl-bundle-signature-v1\n" + data
    put_signatures(scene.bundle, (maker.raw_public, sign_raw(maker, message)))


def put_file(scene: Scene, name: str, data: bytes) -> None:
    """Another file, a manifest that lists it, and a signature of that."""
    path = scene.bundle / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    value = value_of(scene.bundle)
    entry = {"sha256": sha256(data), "size_bytes": len(data), "executable": False}
    value["files"][name] = entry
    put_manifest(scene, sealed(value))


# --- the ways in ------------------------------------------------------------------------------

WAYS: dict[str, Callable[[Scene], object]] = {
    "load": lambda scene: load(scene.bundle, "numpy", trust=scene.trust),
    "load auto": lambda scene: load(scene.bundle, trust=scene.trust),
    "open_bundle": lambda scene: open_bundle(scene.bundle, trust=scene.trust),
    "verify": lambda scene: verify(scene.bundle, scene.trust),
    "deploy": lambda scene: deploy(scene.bundle, scene.to, trust=scene.trust),
}
"""How a bundle gets into a vehicle's program, by the API."""


def verified_by_command(call: Call, scene: Scene) -> Outcome:
    """``dspctl verify``."""
    return call("verify", scene.bundle, *scene.flags)


def state(folder: Path) -> dict[str, bytes]:
    """Every file and link of a folder; the lock is left out."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()).encode()
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and path.name != ".lock"
    }
