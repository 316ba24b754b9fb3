"""A thousand single bits of a signed bundle flipped: in every file, more in a larger one."""

import random
from collections import Counter
from pathlib import Path

import pytest

from dspctl import errors
from dspctl.exporter import export
from dspctl.runtime import Trust
from dspctl.runtime.bundle import MANIFEST
from dspctl.runtime.bundle.manifest import SIGNATURES
from dspctl.runtime.bundle.signatures import signatures_from_bytes
from dspctl.runtime.verify import verify
from tests.cli.conftest import Call
from tests.cli.test_errors import assert_sentence
from tests.runtime.keys import Pair, pair_in
from tests.runtime.policies import make_policy

FLIPS, FEWEST = 1000, 25
"""Of all files, and of each."""


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pair]:
    """A bundle as it is exported, with graph, golden vectors, bill of materials and documents."""
    folder = tmp_path_factory.mktemp("flips")
    bundle = export(make_policy(), "onnx", folder / "bundle").path
    maker = pair_in(folder / "keys")
    maker.sign(bundle)
    return bundle, maker


def drawn(bundle: Path) -> list[tuple[Path, int]]:
    """Files and the bits to flip in them, the same each time."""
    rng = random.Random(20_000)
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    sizes = [path.stat().st_size for path in files]
    which = [*files * FEWEST, *rng.choices(files, sizes, k=FLIPS - FEWEST * len(files))]
    return [(path, rng.randrange(8 * path.stat().st_size)) for path in which]


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def wanted(path: Path, data: bytes, key_id: str) -> type[errors.DspctlError]:
    """The error that names what happened."""
    if path.name == MANIFEST:
        return errors.BundleSignatureInvalid
    if path.name != SIGNATURES:
        return errors.BundleTampered
    try:
        (held,) = signatures_from_bytes(data)
    except ValueError:
        return errors.BundleFormat
    return errors.BundleSignatureInvalid if held.key_id == key_id else errors.KeyUntrusted


def test_a_thousand_flipped_bits(signed: tuple[Path, Pair], call: Call) -> None:
    bundle, maker = signed
    trust = Trust([maker.public])
    (held,) = verify(bundle, trust).bundle.signatures
    refused: Counter[str] = Counter()
    for index, (path, bit) in enumerate(drawn(bundle)):
        content = path.read_bytes()
        changed = flipped(content, bit)
        path.write_bytes(changed)
        try:
            with pytest.raises(errors.BundleProblem) as caught:
                verify(bundle, trust)
            assert type(caught.value) is wanted(path, changed, held.key_id), (path, bit)
            if index % 100 == 0:
                done = call("verify", bundle, "--public-key", maker.public)
                assert_sentence(done, str(caught.value)[:80])
        finally:
            path.write_bytes(content)
        refused[path.relative_to(bundle).as_posix()] += 1
    assert refused.total() == FLIPS
    assert min(refused.values()) >= FEWEST
    assert set(refused) == {*verify(bundle, trust).bundle.data, MANIFEST, SIGNATURES}
