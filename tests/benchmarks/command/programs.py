"""A program that answers as ``policy bench`` does, without measuring anything."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.command.answer import Answer

CALL_NS = 40
CLOCK_NS = 25


def samples_file(
    calls: int = 0,
    period_ns: int = 0,
    kinds: Sequence[Sequence[int]] = ((), (), (), ()),
    *,
    magic: bytes = b"DSPBENCH",
    version: int = 1,
) -> bytes:
    """The file as ``sample_file.h`` describes it, written here a second time."""
    header = struct.pack("<8sQQQ", magic, version, calls, period_ns)
    counts = struct.pack("<4Q", *(len(kind) for kind in kinds))
    return header + counts + b"".join(struct.pack(f"<{len(kind)}Q", *kind) for kind in kinds)


def option(arguments: Sequence[str], name: str, default: str) -> str:
    """The value after an option."""
    words = list(arguments)
    return words[words.index(name) + 1] if name in words else default


class FakeProgram:
    """Keeps what it was asked; `call_ns` of a label is what one call takes there."""

    def __init__(self, **call_ns: int) -> None:
        self.call_ns = call_ns
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.settled = True
        self.scheduling: dict[str, Any] = {"cpu": None, "fifo": None, "mlock": None}
        self.dropped = 0

    def __call__(self, label: str, arguments: Sequence[str]) -> Answer:
        self.asked.append((label, tuple(arguments)))
        run = len(self.asked)
        if "--paced" in arguments:
            return self._paced(label, arguments, run)
        return self._back_to_back(label, arguments, run)

    def _back_to_back(self, label: str, arguments: Sequence[str], run: int) -> Answer:
        call_ns = self.call_ns[label]
        calls = int(option(arguments, "--block-calls", str(100_000 // call_ns)))
        # The first run is measured by the clock: as many blocks as it happened to make.
        blocks = int(option(arguments, "--blocks", str(7 + run)))
        singles = int(option(arguments, "--singles", "3"))
        # The last sample of a run says which run it was.
        single = [call_ns + CLOCK_NS] * (blocks * singles - 1) + [call_ns + run]
        found = {
            "singles_per_block": singles,
            "block": {"dropped": 0},
            "single": {"dropped": self.dropped},
        }
        data = samples_file(calls, 0, [[calls * call_ns] * blocks, single, (), ()])
        return Answer(self._report("back_to_back", found, call_ns), data)

    def _paced(self, label: str, arguments: Sequence[str], run: int) -> Answer:
        steps = int(option(arguments, "--steps", "0"))
        period_ns = int(1e9 / float(option(arguments, "--hz", "0")) + 0.5)
        kinds = [(), (), [run] * steps, [self.call_ns[label]] * steps]
        found = {"dropped": 0}
        data = samples_file(0, period_ns, kinds)
        return Answer(self._report("paced", found, self.call_ns[label]), data)

    def _report(self, mode: str, found: dict[str, Any], call_ns: int) -> dict[str, Any]:
        warm_up = {"calls": 1000, "call_ns": call_ns + 0.5, "settled": self.settled}
        return {
            "clock": {"step_ns": 1, "cost_ns": {"p50": CLOCK_NS, "mean": CLOCK_NS + 1.0}},
            "scheduling": self.scheduling,
            mode: {"warm_up": warm_up, **found},
        }


def unique(samples: NDArray[np.int64]) -> list[int]:
    """Every value once, sorted."""
    return [int(value) for value in np.unique(samples)]
