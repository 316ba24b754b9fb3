"""SHA-256 by the interpreter's own module.

``hashlib`` loads OpenSSL, 3.6 MB in a process whose policy needs 20 KB. CPython carries an
implementation of its own, under a name that depends on its version; where neither is there,
``hashlib`` computes the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dspctl.runtime.untrusted import open_plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

try:
    from _sha2 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]  # 3.12
except ImportError:
    try:
        from _sha256 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]
    except ImportError:  # another Python than CPython, or one built without it
        from hashlib import sha256 as _sha256

_CHUNK_BYTES = 1 << 14
"""A buffer of this size is what hashing a file takes, however large the file is."""


def sha256(data: bytes) -> str:
    """Hex SHA-256 of *data*."""
    digest: str = _sha256(data).hexdigest()
    return digest


def sha256_of_parts(parts: Iterable[bytes]) -> str:
    """Hex SHA-256 of *parts*, one after the other."""
    state: Any = _sha256()
    for part in parts:
        state.update(part)
    return str(state.hexdigest())


def sha256_of_file(path: Path, *, links: bool = True) -> tuple[str, int]:
    """Hex SHA-256 and size in bytes of what reading a file gives, which is not kept.

    Args:
        path: where it is.
        links: as `open_plain` takes it.

    Raises:
        OSError: it cannot be read.
    """
    state: Any = _sha256()
    size = 0
    buffer = bytearray(_CHUNK_BYTES)
    view = memoryview(buffer)
    with open_plain(path, links=links) as file:
        while count := file.readinto(buffer):  # type: ignore[attr-defined]  # unbuffered
            state.update(view[:count])
            size += count
    return str(state.hexdigest()), size
