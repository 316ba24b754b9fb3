"""Files made wrong on purpose, near enough to valid ones to get past the first look.

A mutation takes a valid file and a source of random numbers. Those that know a format change one
thing in it and write the rest as it was, sizes and offsets included; random bytes alone would
rarely come further than the first four.
"""

import binascii
import io
import json
import lzma
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

NAMES = (
    "../../outside",
    "/etc/passwd",
    "C:\\x",
    "a\\..\\b",
    "\x1b[2J\x1b]0;title\x07",
    "\u202egnp.exe",
    "a\nb\r\nc",
    "\x00",
    "<script>alert(1)</script>",
    "'; DROP TABLE cells; --",
    "$(touch x)`touch y`",
    '*/ "); system("x"); /*',
    "[bold red]markup[/]",
    "x" * 70_000,
    "",
    "\u0663",
    "é\u0301",
)
"""Names that mean something to a file system, a terminal, HTML, SQL, a shell, C or rich."""

_NUMBERS = (0, -1, 1, 2, 2**31, 2**32 - 1, 2**53, 2**63, 2**64, -(2**63) - 1, 10**30)
_REALS = (0.0, -0.0, 0.5, -1.5, 1e308, -1e308, 5e-324, 1e-10)


class Raw(str):
    """JSON that is written as it is: what no encoder writes."""


_RAW = tuple(
    map(
        Raw,
        (
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "9" * 5000,
            "-0",
            "1.0000000000000000000000000001",
            '"\\ud800"',
            '"\\udc00\\ud800"',
            '{"a": 1, "a": 2}',
            "[" * 500 + "]" * 500,
            '{"a":' * 200 + "1" + "}" * 200,
            '"\\u0000"',
            '"\\u001b[31m"',
            "tru",
            "[1, 2",
        ),
    )
)


def hostile_value(value: Any, rng: random.Random) -> Any:
    """A value in place of *value*: often of the same type, sometimes of another."""
    if rng.random() < 0.2:
        return rng.choice(_RAW)
    same: Sequence[Any]
    if isinstance(value, bool):
        same = (not value, 0, 1, "true", None)
    elif isinstance(value, int):
        same = (*_NUMBERS, value + 1, value - 1, -value, float(value), str(value))
    elif isinstance(value, float):
        same = (*_REALS, -value, 10**400, str(value), True)
    elif isinstance(value, str):
        same = (*NAMES, value + "x", value[:-1], value.upper(), 0)
    elif isinstance(value, list):
        same = (
            [],
            value[:-1],
            value + value[-1:],
            [value],
            [None],
            value * 3,
            {},
            [[]],
            list(NAMES),
        )
    elif isinstance(value, dict):
        same = ({}, {**value, "unknown": 1}, [value], dict(list(value.items())[1:]), None)
    else:
        same = (0, "", [], {}, False)
    other: Sequence[Any] = (None, True, 0, 1.5, "text", [], {}, [1], {"a": 1})
    return rng.choice(same if rng.random() < 0.7 else other)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, child in value.items():
            found += _places(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value[:20]):
            found += _places(child, (*path, index))
    return found


def changed_value(value: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with one place in it changed."""
    value = json.loads(json.dumps(value))
    path = rng.choice(_places(value))
    if not path:
        return hostile_value(value, rng)
    parent = value
    for part in path[:-1]:
        parent = parent[part]
    last = path[-1]
    choice = rng.random()
    if choice < 0.1 and isinstance(parent, dict):
        del parent[last]
    elif choice < 0.2 and isinstance(parent, dict):
        parent[rng.choice(NAMES)] = parent.pop(last)
    elif choice < 0.25:
        parent[last] = hostile_value(hostile_value(parent[last], rng), rng)
    else:
        parent[last] = hostile_value(parent[last], rng)
    return value


def written(value: Any) -> str:
    """JSON, with `Raw` as it is; keys may come twice."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        pairs = (f"{json.dumps(str(key))}: {written(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value)


def json_changed(data: bytes, rng: random.Random) -> bytes:
    """One value of a JSON text changed."""
    return written(changed_value(json.loads(data), rng)).encode()


def lines_changed(data: bytes, rng: random.Random) -> bytes:
    """One line of JSON lines changed, doubled, dropped or cut."""
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = rng.choice(
        (json_changed(lines[at], rng), lines[at][: rng.randrange(len(lines[at]) + 1)], b"", b"{}")
    )
    return b"\n".join(lines)


def bytes_changed(data: bytes, rng: random.Random) -> bytes:
    """A few bytes flipped, put in, cut out, doubled or moved."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(found) + 1)
        size = rng.choice((1, 1, 2, 4, 8, 64))
        choice = rng.randrange(6)
        if choice == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif choice == 1 and at < len(found):
            found[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif choice == 2:
            found[at:at] = rng.randbytes(size)
        elif choice == 3:
            del found[at : at + size]
        elif choice == 4:
            found[at:at] = found[at : at + size]
        else:
            other = rng.randrange(len(found) + 1)
            found[at : at + size] = found[other : other + size]
    return bytes(found)


def cut(data: bytes, rng: random.Random) -> bytes:
    """The beginning, or the end."""
    at = rng.randrange(len(data) + 1)
    return data[:at] if rng.random() < 0.7 else data[at:]


def tensors_changed(data: bytes, rng: random.Random) -> bytes:
    """One value in the header of a safetensors file, or in the JSON inside it; sizes kept right."""
    size = int.from_bytes(data[:8], "little")
    header, content = json.loads(data[8 : 8 + size]), data[8 + size :]
    inner = header.get("__metadata__") or {}
    choice = rng.random()
    if inner and choice < 0.4:
        key = rng.choice(list(inner))
        header["__metadata__"] = {**inner, key: json_changed(inner[key].encode(), rng).decode()}
        text = json.dumps(header)
    elif choice < 0.6:
        names = [name for name in header if name != "__metadata__"]
        one, two = rng.choice(names), rng.choice(names)
        header[one], header[two] = header[two], header[one]
        text = json.dumps(header)
    elif choice < 0.75:
        name = rng.choice([name for name in header if name != "__metadata__"])
        header[name]["shape"] = rng.choice(_SHAPES)
        text = json.dumps(header)
    elif choice < 0.85:  # numbers inside
        floats = bytearray(content)
        at = 4 * rng.randrange(max(1, len(floats) // 4))
        floats[at : at + 4] = rng.choice(_FLOATS)
        content = bytes(floats)[: len(content)]
        text = json.dumps(header)
    else:
        text = written(changed_value(header, rng))
    return len(text.encode()).to_bytes(8, "little") + text.encode() + content


_SHAPES: tuple[list[Any], ...] = (
    [2**31, 2**31],
    [-1],
    [-2, -3],
    [0],
    [2**62, 0],
    [2**64 - 1, 0],
    [1] * 40,
    [],
    [2**40],
    [3, 0, 2**39],
)
_FLOATS = (b"\0\0\x80\x7f", b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"\xff\xff\x7f\x7f", b"\1\0\0\0")


def archive_changed(data: bytes, rng: random.Random) -> bytes:
    """One member of an archive changed, and its list, sizes and check sums right again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    choice = rng.randrange(5)
    content = members[name]
    if choice == 0:
        members[name] = _array_header(rng) + content[128:]
    elif choice == 1:
        members[rng.choice(NAMES)[:200] or "x"] = members.pop(name)
    elif choice == 2:
        members[name] = bytes_changed(content, rng)
    elif choice == 3:
        numbers = bytearray(content)
        if len(numbers) > 136:
            struct.pack_into("<q", numbers, 128, rng.choice((-1, 0, 2**62, -(2**63), 2**63 - 1)))
        members[name] = bytes(numbers)
    else:
        del members[name]
    out = io.BytesIO()
    kind = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(out, "w", kind) as archive:
        for member, inside in members.items():
            archive.writestr(zipfile.ZipInfo(member.replace("\0", "?")), inside, kind)
    return out.getvalue()


def _array_header(rng: random.Random) -> bytes:
    """The 128 bytes before an array's numbers."""
    shape = rng.choice(
        ("(9,)", "(4611686018427387904,)", "(2147483648, 2147483648)", "(-1,)", "()", "(1" * 40)
    )
    kind = rng.choice(("<i8", "|O", "<f8", "<U9", ">i8", "<M8[ns]", "|V9", "<c16"))
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00v\x00" + text.encode().ljust(117)[:117] + b"\n"


_TOML_VALUE = re.compile(r'"[^"\n]*"|-?\d[\d.e-]*|true|false|\[[^\[\]\n]*\]')
_TOML_HOSTILE = (
    *(
        "inf",
        "nan",
        "-inf",
        "9" * 5000,
        "1e999",
        "0x7fffffffffffffffffff",
        "1979-05-27",
        "[]",
        "{}",
    ),
    *('""', "true", '"\\u0000"', '"\\ud800"', '"../../x"', '"\\u202e"', '"' + "x" * 70_000 + '"'),
    *(
        "[" * 2000 + "]" * 2000,
        "[1, 'a']",
        "-1",
        "[0.5, 0.5]",
        "['base', 'base']",
        "1_0",
        "'\x1b[2J'",
    ),
)


def toml_changed(data: bytes, rng: random.Random) -> bytes:
    """One value of a TOML file changed, or a line doubled or moved."""
    text = data.decode()
    if rng.random() < 0.2:
        lines = text.splitlines()
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
        return "\n".join(lines).encode()
    found = rng.choice(list(_TOML_VALUE.finditer(text)))
    return (text[: found.start()] + rng.choice(_TOML_HOSTILE) + text[found.end() :]).encode()


def text_changed(data: bytes, rng: random.Random) -> bytes:
    """One line of a text changed, doubled, dropped or put elsewhere."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    choice = rng.randrange(5)
    if choice == 0:
        lines[at] = rng.choice(NAMES).encode(errors="surrogatepass")[:1000]
    elif choice == 1:
        lines.insert(rng.randrange(len(lines)), lines[at])
    elif choice == 2:
        del lines[at]
    elif choice == 3:
        lines[at] = rng.choice(NAMES).encode(errors="surrogatepass")[:500].hex().encode()
    else:
        lines[at] = bytes_changed(lines[at], rng)
    return b"\n".join(lines)


_PEM = re.compile(b"(-----BEGIN [^-]*-----)([^-]*)(-----END [^-]*-----)")
_LABELS = (
    *(b"PUBLIC KEY", b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY", b"RSA PRIVATE KEY"),
    *(b"CERTIFICATE", b"EC PRIVATE KEY", b"OPENSSH PRIVATE KEY", b"", b"X" * 5000),
)


def pem_changed(data: bytes, rng: random.Random) -> bytes:
    """What a key file holds changed, and in PEM again; or its label, or another one after it."""
    found = rng.choice(list(_PEM.finditer(data)))
    begin, text, end = found.groups()
    choice = rng.random()
    if choice < 0.15:
        label = rng.choice(_LABELS)
        begin, end = b"-----BEGIN " + label + b"-----", b"-----END " + label + b"-----"
    elif choice < 0.25:
        return data + data[: rng.randrange(len(data))]
    else:
        der = der_changed(binascii.a2b_base64(text), rng)
        coded = binascii.b2a_base64(der, newline=False)
        lines = [coded[at : at + 64] for at in range(0, len(coded), 64)]
        text = b"\n" + b"\n".join(lines) + b"\n"
    return data[: found.start()] + begin + text + end + data[found.end() :]


def der_changed(data: bytes, rng: random.Random) -> bytes:
    """A number in DER made large, with the lengths around it as they were; or a byte changed."""
    numbers = [at for at in range(len(data) - 3) if data[at] == 2 and data[at + 1] in (2, 3, 4)]
    if not numbers or rng.random() < 0.5:
        return bytes_changed(data, rng)
    at = rng.choice(numbers)
    size = data[at + 1]
    number = rng.choice((0, 1, 2 ** (8 * size - 1) - 1, rng.randrange(1 << 8 * size)))
    return data[: at + 2] + number.to_bytes(size, "big") + data[at + 2 + size :]


def signature_changed(data: bytes, rng: random.Random) -> bytes:
    """One digit of a key's id or of a signature another one, so that the file's form is right."""
    found = rng.choice(list(re.finditer(b'": "([A-Za-z0-9+/]{64,})', data)))
    at = rng.randrange(*found.span(1))
    digits = b"0123456789abcdef" if len(found[1]) == 64 else b"ABCDEFGHabcdefgh01234567+/"
    return data[:at] + bytes([rng.choice(digits)]) + data[at + 1 :]


BY_KIND: dict[str, tuple[Mutation, ...]] = {
    "json": (json_changed,) * 8 + (bytes_changed, cut),
    "lines": (lines_changed,) * 6 + (bytes_changed, cut),
    "tensors": (tensors_changed,) * 7 + (bytes_changed, bytes_changed, cut),
    "archive": (archive_changed,) * 5 + (bytes_changed,) * 4 + (cut,),
    "toml": (toml_changed,) * 8 + (bytes_changed, cut),
    "text": (text_changed,) * 6 + (bytes_changed, cut),
    "pem": (pem_changed,) * 7 + (bytes_changed, bytes_changed, cut),
    "signatures": (signature_changed,) * 5 + (json_changed,) * 5 + (bytes_changed, cut),
    "bytes": (bytes_changed,) * 4 + (cut,),
}


def mutated(data: bytes, kind: str, rng: random.Random) -> bytes:
    """*data* changed once or a few times; what is no longer of its kind is changed as bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutation = rng.choice(BY_KIND[kind])
        try:
            data = mutation(data, rng)
        except (ValueError, KeyError, IndexError, AttributeError, TypeError):
            data = bytes_changed(data, rng)
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            OverflowError,
            struct.error,
            RuntimeError,
            EOFError,
        ):
            data = bytes_changed(data, rng)
    return data
