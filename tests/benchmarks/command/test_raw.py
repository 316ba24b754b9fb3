import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspctl.benchmarks.command.raw import MOST_NS, MOST_SAMPLES, read_samples
from dspctl.errors import BackendUnavailable
from tests.benchmarks.command.programs import samples_file

WHOLE = samples_file(5, 1000, [(10, 9), (3,), (1, 2, 3), (4, 5, 6)])


def test_samples_come_back_in_their_order() -> None:
    raw = read_samples(WHOLE)
    assert (raw.calls_per_block, raw.period_ns) == (5, 1000)
    assert raw.block_ns.tolist() == [10, 9]
    assert raw.single_ns.tolist() == [3]
    assert raw.wakeup_ns.tolist() == [1, 2, 3]
    assert raw.inference_ns.tolist() == [4, 5, 6]
    assert raw.wakeup_ns.dtype == np.int64


def test_no_samples_are_a_file_too() -> None:
    assert read_samples(samples_file()).single_ns.size == 0


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "it has 0 bytes"),
        (WHOLE[:63], "it has 63 bytes"),
        (WHOLE[:-1], "not 136"),
        (WHOLE + b"\0", "not 136"),
        (samples_file(magic=b"dspbench"), "another kind of file"),
        (samples_file(version=2), "its version is 2, this dspctl reads 1"),
        (samples_file(0, 0, [(1,), (), (), ()]), "does not say what"),
        (samples_file(0, 0, [(), (), (1,), (1,)]), "does not say what"),
        (samples_file(0, 9, [(), (), (1,), ()]), "1 wake-ups and 0 inferences"),
        (samples_file(1, 0, [(), (MOST_NS + 1,), (), ()]), "no measurement takes"),
        (samples_file(1, 0, [(), (2**64 - 1,), (), ()]), "no measurement takes"),
        (struct.pack("<8s7Q", b"DSPBENCH", 1, 1, 0, 0, MOST_SAMPLES + 1, 0, 0), "names more"),
        (struct.pack("<8s7Q", b"DSPBENCH", 1, 2**63, 0, 0, 0, 0, 0), "names more"),
    ],
)
def test_anything_else_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(BackendUnavailable, match=r"export the bundle again") as refusal:
        read_samples(data)
    assert sentence in str(refusal.value)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_read_or_refused_and_nothing_else(place: int, change: int) -> None:
    data = bytearray(WHOLE)
    data[place] ^= change
    try:
        raw = read_samples(bytes(data))
    except BackendUnavailable:
        return
    assert raw.block_ns.size == 2
    assert raw.wakeup_ns.size == raw.inference_ns.size == 3
