import hashlib
from pathlib import Path

import pytest

from dspctl.runtime.digest import sha256, sha256_of_file, sha256_of_parts


@pytest.mark.parametrize("size", [0, 1, 55, 56, 64, 16383, 16384, 16385, 100_000])
def test_digests_are_those_of_hashlib(tmp_path: Path, size: int) -> None:
    data = bytes(index * 7 % 251 for index in range(size))
    wanted = hashlib.sha256(data).hexdigest()
    assert sha256(data) == wanted
    assert sha256_of_parts(data[at : at + 999] for at in range(0, size, 999)) == wanted
    (tmp_path / "file").write_bytes(data)
    assert sha256_of_file(tmp_path / "file") == (wanted, size)


def test_a_known_answer() -> None:
    """FIPS 180-4, appendix B.1."""
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
