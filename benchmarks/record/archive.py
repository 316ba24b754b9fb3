"""Archives of raw samples, read without trusting them: what `numpy.savez` writes, and no more.

An archive may come from another machine. ``numpy.load`` makes an array of whatever shape a member
names before it looks how much of it is there, and zipfile reads as many members, and as much of
each, as a file claims. Here every size is known, and found to be small enough, before there is
room for it: vectors of 64-bit numbers, stored or deflated, whose sizes and check sums are right.
"""

import re
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.untrusted import check_name, read_bytes

LARGEST_FILE_BYTES = 1 << 29
LARGEST_UNPACKED_BYTES = 1 << 30
"""All members together: 60 million steps of a control loop, more than a day at 100 Hz."""
MOST_MEMBERS = 4096
_SMALL_BYTES, _MOST_TIMES = 1 << 24, 200
"""Samples become a tenth as long when they are packed; only equal numbers become a thousandth."""

Arrays = dict[str, NDArray[Any]]

_END = struct.Struct("<4s4H2IH")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED_OR_STREAMED = 0b1001
_WIDE_LOCATOR_BYTES = 20
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '<([if])8', 'fortran_order': False, 'shape': \(([0-9]{1,12}),\), \} *\n"
)
_LONGEST_HEADER_BYTES = 1 << 10


class _Member(NamedTuple):
    """An entry of the archive's list."""

    name: str
    method: int
    crc: int
    packed: int
    unpacked: int
    at: int


def read_archive(path: Path) -> Arrays:
    """Read the archive at *path*; a link is none, since archives are found by their names.

    Raises:
        OSError: it is not there, cannot be read, or is no plain file.
        ValueError: as `arrays_from_bytes`.
    """
    return arrays_from_bytes(read_bytes(path, LARGEST_FILE_BYTES, links=False))


def arrays_from_bytes(data: bytes) -> Arrays:
    """The arrays in an archive, by name: int64 [n] or float64 [n].

    Raises:
        ValueError: it is damaged, or anything else than `numpy.savez` writes for such arrays; has
            more than `MOST_MEMBERS` members, or more than `LARGEST_UNPACKED_BYTES` in all.
    """
    members = _members(data)
    unpacked = sum(member.unpacked for member in members)
    if unpacked > LARGEST_UNPACKED_BYTES or unpacked > max(_SMALL_BYTES, _MOST_TIMES * len(data)):
        raise ValueError(f"it unpacks to {unpacked} bytes, which no measurement gives")
    found: Arrays = {}
    for member in members:
        name = member.name.removesuffix(".npy")
        if name == member.name or name in found:
            raise ValueError(f"{name!r} is no array, or in it twice")
        found[name] = _array(_content(data, member), name)
    return found


def _members(data: bytes) -> list[_Member]:
    """The list at the archive's end, which must fill it: nothing lies behind or between."""
    at = len(data) - _END.size
    if at < 0:
        raise ValueError("it is cut off")
    magic, disk, first, here, count, size, start, comment = _END.unpack_from(data, at)
    wide = data[at - _WIDE_LOCATOR_BYTES : at - _WIDE_LOCATOR_BYTES + 4] == b"PK\x06\x07"
    if magic != b"PK\x05\x06" or disk or first or here != count or comment or wide:
        raise ValueError("it is cut off, or no archive that NumPy writes")
    if count > MOST_MEMBERS or start + size != at:
        raise ValueError(f"its list has {count} members in {size} bytes")
    found = []
    place = start
    for _ in range(count):
        if place + _ENTRY.size > at:
            raise ValueError("its list is cut off")
        entry = _ENTRY.unpack_from(data, place)
        flags, method, crc, packed, unpacked = entry[3], entry[4], *entry[7:10]
        name_bytes, extra_bytes, comment_bytes = entry[10:13]
        place += _ENTRY.size
        name = data[place : place + name_bytes].decode()
        place += name_bytes + extra_bytes + comment_bytes
        if entry[0] != b"PK\x01\x02" or place > at:
            raise ValueError("its list is damaged")
        if flags & _ENCRYPTED_OR_STREAMED or method not in (_STORED, _DEFLATED):
            raise ValueError("a member is encrypted, or packed in an unknown way")
        check_name(name, "the name of a member")
        found.append(_Member(name, method, crc, packed, unpacked, entry[16]))
    if place != at:
        raise ValueError("its list is longer than its members")
    return found


def _content(data: bytes, member: _Member) -> bytes:
    """A member's bytes; memory is taken for as many as the list says, and for no more."""
    if member.at + _LOCAL.size > len(data):
        raise ValueError(f"{member.name} lies outside")
    local = _LOCAL.unpack_from(data, member.at)
    begin = member.at + _LOCAL.size + local[9] + local[10]
    packed = memoryview(data)[begin : begin + member.packed]
    if local[0] != b"PK\x03\x04" or len(packed) != member.packed:
        raise ValueError(f"{member.name} is cut off")
    content = bytes(packed) if member.method == _STORED else _inflated(packed, member)
    if len(content) != member.unpacked or zlib.crc32(content) != member.crc:
        raise ValueError(f"{member.name} is damaged")
    return content


def _inflated(packed: memoryview, member: _Member) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # One byte more than there should be shows that there is more.
        content = inflater.decompress(packed, member.unpacked + 1)
    except zlib.error as error:
        raise ValueError(f"{member.name} is damaged ({error})") from error
    if not inflater.eof:
        raise ValueError(f"{member.name} is not as long as its list says")
    return content


def _array(content: bytes, name: str) -> NDArray[Any]:
    """The array in a ``.npy`` file, format 1.0."""
    start = len(_MAGIC) + 2
    length = int.from_bytes(content[len(_MAGIC) : start], "little")
    header = content[start : start + length]
    if not content.startswith(_MAGIC) or length > _LONGEST_HEADER_BYTES:
        raise ValueError(f"{name!r} is no array of NumPy's")
    described = _HEADER.fullmatch(header)
    if described is None or len(content) - start - length != 8 * int(described[2]):
        raise ValueError(f"{name!r} is not a vector of 64-bit numbers, or cut off")
    kind = np.dtype(np.int64) if described[1] == b"i" else np.dtype(np.float64)
    values: NDArray[Any] = np.frombuffer(content, kind.newbyteorder("<"), offset=start + length)
    return values.astype(kind)
