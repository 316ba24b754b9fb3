"""The reader of safetensors files, held against the package that defines the format."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dspctl.runtime.tensors import (
    HEADER_LIMIT_BYTES,
    HeaderProblem,
    NotSafetensors,
    UnusualType,
    tensors_from_bytes,
)

KINDS = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
U8 = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, NDArray[Any]]:
    # Without any tensor the package (0.8.0) writes a header that is not JSON.
    valid = st.text(max_size=8).filter(lambda text: text != "__metadata__")
    names = draw(st.lists(valid, min_size=1, max_size=5, unique=True))
    found = {}
    for name in names:
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
        kind = np.dtype(draw(st.sampled_from(KINDS)))
        size = int(np.prod(shape)) * kind.itemsize
        data = draw(st.binary(min_size=size, max_size=size))
        if kind.kind == "b":
            data = bytes(byte & 1 for byte in data)
        found[name] = np.frombuffer(bytearray(data), kind).reshape(shape)
    return found


@given(tensors(), st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3))
def test_what_the_package_writes_is_read(
    wanted: dict[str, NDArray[Any]], metadata: dict[str, str]
) -> None:
    found, texts = tensors_from_bytes(save(wanted, metadata=metadata))
    assert texts == metadata
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        assert (tensor.dtype, tensor.shape) == (wanted[name].dtype, wanted[name].shape)
        assert tensor.tobytes() == wanted[name].tobytes()
        assert tensor.dtype is np.dtype(tensor.dtype.name)  # what runners look for
        assert tensor.flags.aligned
        assert tensor.flags.carray  # it may be written to


def test_what_the_package_refuses_is_refused() -> None:
    """Flipped bits, bytes cut out and bytes put in; where both read a file, they read the same."""
    rng = np.random.default_rng(0)
    data = save(
        {
            "weight": rng.standard_normal((3, 2)).astype(np.float32),
            "empty": np.zeros((0, 3), np.int64),
            "mask": np.ones(5, np.uint8),
            "deep": np.zeros((2, 1, 2)),
        },
        metadata={"a": "b"},
    )
    header = 8 + int.from_bytes(data[:8], "little")
    read = refused = 0
    for _ in range(3000):
        at = int(rng.integers(header if rng.random() < 0.9 else len(data)))
        byte = bytes([int(rng.integers(256))])
        change = int(rng.integers(4))
        if change == 0:
            changed = data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]
        elif change == 1:
            changed = data[:at] + byte + data[at + 1 :]
        elif change == 2:
            changed = data[:at] + data[at + 1 :]
        else:
            changed = data[:at] + byte + data[at:]
        try:
            found, _ = tensors_from_bytes(changed)
        except ValueError:
            refused += 1
            continue
        read += 1
        wanted = load(changed)  # raises if the package refuses it
        assert found.keys() == wanted.keys()
        for name, tensor in found.items():
            assert (tensor.dtype, tensor.shape) == (wanted[name].dtype, wanted[name].shape)
            assert tensor.tobytes() == wanted[name].tobytes()
    assert read > 50
    assert refused > 1000


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotSafetensors),
        (b"\2\0\0\0\0\0\0", NotSafetensors),
        (file_of(b"{}")[:-1], NotSafetensors),
        ((HEADER_LIMIT_BYTES + 1).to_bytes(8, "little"), HeaderProblem),
        (b"\xff" * 8, HeaderProblem),
        (file_of(b""), HeaderProblem),
        (file_of(b" {}"), NotSafetensors),
        (file_of(b"[]"), NotSafetensors),
        (file_of(b"\xff{}"), HeaderProblem),
        (file_of(b'{"a": NaN}'), HeaderProblem),
        (file_of(b'{"__metadata__": {"a": "x", "a": "y"}}'), HeaderProblem),
        (file_of({"__metadata__": {"a": 1}}), NotSafetensors),
        (file_of({"__metadata__": []}), NotSafetensors),
        (file_of({}, b"x"), NotSafetensors),
        (file_of({"a": U8}, b"x"), NotSafetensors),
        (file_of({"a": U8}, b"xyz"), NotSafetensors),
        (file_of({"a": {**U8, "shape": [3]}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "shape": [2.0]}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "shape": [True, 2]}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "shape": [-1, -2]}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "shape": [2**62, 2**62]}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "shape": 2}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "shape": [1] * 40 + [2]}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "data_offsets": [0]}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "data_offsets": [0, 2, 2]}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "data_offsets": [1, 3]}}, b"xyz"), NotSafetensors),
        (file_of({"a": {**U8, "data_offsets": [2, 0]}}, b"xy"), NotSafetensors),
        (file_of({"a": U8, "b": U8}, b"xy"), NotSafetensors),  # one over the other
        (file_of({"a": U8, "b": {**U8, "data_offsets": [1, 3]}}, b"xyz"), NotSafetensors),
        (file_of({"a": U8, "b": {**U8, "data_offsets": [3, 5]}}, b"xy-xy"), NotSafetensors),
        (file_of({"a": {**U8, "more": 1}}, b"xy"), NotSafetensors),
        (file_of({"a": {"dtype": "U8", "shape": [2]}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "dtype": "u1"}}, b"xy"), NotSafetensors),
        (file_of({"a": {**U8, "dtype": 8}}, b"xy"), NotSafetensors),
        (file_of({"a": 1}), NotSafetensors),
        (file_of({"a": {**U8, "dtype": "BF16", "shape": [1]}}, b"xy"), UnusualType),
    ],
)
def test_malformed_files(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        tensors_from_bytes(data)
    # Only what is listed at the top of the reader does it refuse beyond the package.
    words = (b"BF16", b"more", b'"a": "y"', b" {}", b"1, 1, 1, 1")
    beyond = any(word in data for word in words)
    if not beyond:
        with pytest.raises((SafetensorError, KeyError, ValueError)):
            load(data)


def test_unaligned_data_are_read_aligned() -> None:
    header = json.dumps({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    for padding in range(8):
        data = file_of(header + b" " * padding, np.array([1.5]).tobytes())
        (tensor,) = tensors_from_bytes(data)[0].values()
        assert tensor.tolist() == [1.5]
        assert tensor.flags.aligned
