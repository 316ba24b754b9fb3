"""A strict reader of safetensors files, in NumPy: what a vehicle has to read a policy with.

The format (https://github.com/huggingface/safetensors): 8 bytes, little-endian, the length of the
header; the header, a JSON object that says of every tensor its type, shape and place; then the
data. This reader refuses what the `safetensors` package refuses; the tests hold the two against
each other. In addition it refuses what the package reads over: duplicate keys, unknown fields, a
header that does not begin with ``{``, more than 32 dimensions or 10,000 tensors, types that NumPy
lacks, lengths that only an empty tensor can have. Writing is left to the package, which takes
0.8 MB of memory.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from dspctl.runtime.records import record
from dspctl.runtime.strict_json import Fields, value_from_json
from dspctl.runtime.untrusted import visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADER_LIMIT_BYTES = 1 << 20
"""Files that dspctl writes have headers of kilobytes; the limit keeps a wrong file from being
parsed before it is refused."""

_PREFIX_BYTES = 8
_MOST_DIMENSIONS = 32
_MOST_TENSORS = 10_000
_LONGEST = 1 << 40
"""Of one dimension. What holds data is shorter than its file; a tensor without any could else be
of a shape that NumPy cannot make."""

_TYPES = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U64": "u8",
    "U32": "u4",
    "U16": "u2",
    "U8": "u1",
    "BOOL": "?",
}
_TYPES_OUTSIDE_NUMPY = ("BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4", "C64")


class NotSafetensors(ValueError):
    """The bytes are not one whole safetensors file."""


class HeaderProblem(ValueError):
    """The header is too large, or is not JSON that can be read in one way only."""


class UnusualType(ValueError):
    """A tensor has a type that the format knows and policies do not use."""


@record(frozen=True)
class _Place:
    """Where a tensor lies, counted from the first byte of the data."""

    begin: int
    end: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def tensors_from_bytes(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors of a file by name, and its metadata.

    Args:
        data: the whole file.

    Returns:
        Arrays of their own, C-ordered, in this machine's byte order; and the texts of the header's
        ``__metadata__``, empty where there are none.

    Raises:
        NotSafetensors: cut off; bytes left over; tensors that overlap, leave a gap, or do not
            have the size that their shape and type give; a field that is missing or wrong.
        HeaderProblem: the header is too large, not JSON, nested too deep, or has a key twice.
        UnusualType: a type such as BF16.
    """
    size = int.from_bytes(data[:_PREFIX_BYTES], "little")
    start = _PREFIX_BYTES + size
    if len(data) < _PREFIX_BYTES or (size <= HEADER_LIMIT_BYTES and len(data) < start):
        raise NotSafetensors("it is cut off")
    if size > HEADER_LIMIT_BYTES:
        raise HeaderProblem(f"the header would be {size} bytes long")
    try:
        header = value_from_json(data[_PREFIX_BYTES:start], "the header")
    except ValueError as error:
        raise HeaderProblem(str(error)) from error
    if data[_PREFIX_BYTES : _PREFIX_BYTES + 1] != b"{":
        raise NotSafetensors("the header is no JSON object")
    metadata = _metadata(header.pop("__metadata__", None))
    if len(header) > _MOST_TENSORS:
        raise NotSafetensors(f"it has {len(header)} tensors, more than any file of dspctl's")
    try:
        places = [_place(name, value) for name, value in header.items()]
    except UnusualType:
        raise
    except ValueError as error:
        raise NotSafetensors(str(error)) from error
    end = 0
    for place in sorted(places, key=lambda place: (place.begin, place.end, place.name)):
        if place.begin != end:
            raise NotSafetensors(
                f"tensor '{visible(place.name)[:80]}' does not begin where the one before ends"
            )
        end = place.end
    if start + end != len(data):
        raise NotSafetensors(f"{len(data) - start} bytes of data, but tensors of {end}")
    return {place.name: _array(data, start, place) for place in places}, metadata


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise NotSafetensors("its metadata are not texts")
    return value


def _place(name: str, value: Any) -> _Place:
    where = f"tensor '{visible(name)[:80]}'"
    fields = Fields(value, where)
    kind = fields.text("dtype")
    shape = _sizes(fields.take("shape"), f"the shape of {where}")
    offsets = _sizes(fields.take("data_offsets"), f"the offsets of {where}")
    fields.finish()
    if kind in _TYPES_OUTSIDE_NUMPY:
        raise UnusualType(kind)
    if kind not in _TYPES or len(offsets) != 2 or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"{where} has no valid type, shape and offsets")
    dtype = np.dtype(_TYPES[kind])
    if max(shape, default=0) > _LONGEST:
        raise ValueError(f"{where} is longer than any file")
    count = 1
    for length in shape:
        count *= length
    if offsets[1] - offsets[0] != count * dtype.itemsize:
        raise ValueError(f"{where} does not have the size of its shape and type")
    return _Place(offsets[0], offsets[1], name, _TYPES[kind], shape)


def _sizes(value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(each) is int and each >= 0 for each in value):
        raise ValueError(f"{where} are not whole numbers")
    return tuple(value)


def _array(data: bytes, start: int, place: _Place) -> NDArray[Any]:
    if place.begin == place.end:
        return _empty(place)
    # Copied as bytes: so it is aligned, may be written to, and does not hold the whole file.
    content = bytearray(memoryview(data)[start + place.begin : start + place.end])
    # NumPy's own object for the type, not an equal one: runners compare types by identity.
    array = np.frombuffer(content, np.dtype(place.dtype)).reshape(place.shape)
    return array if sys.byteorder == "little" else array.byteswap()


def _empty(place: _Place) -> NDArray[Any]:
    """A tensor without elements; NumPy refuses some shapes of these."""
    try:
        return np.zeros(place.shape, place.dtype)
    except ValueError as error:
        raise NotSafetensors(f"tensor '{visible(place.name)[:80]}' cannot be made") from error
