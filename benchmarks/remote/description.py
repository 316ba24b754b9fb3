"""The records of another machine, from a tree that `snapshot` made of it."""

import re
from dataclasses import replace
from pathlib import Path

from dspctl.benchmarks.device.files import read_int, read_text
from dspctl.benchmarks.record.machine import Machine, describe_machine
from dspctl.benchmarks.remote.snapshot import CORES, MACHINE, SYSTEM
from dspctl.runtime.machine import Machine as Processor
from dspctl.runtime.machine import this_machine

_UNKNOWN = "unknown"
_SAME = {"amd64": "x86_64", "arm64": "aarch64"}
_WORD = re.compile(r"[^\x20-\x7e]+")


def processor_of(tree: Path) -> Processor:
    """The processor, with the architecture that its kernel runs programs of."""
    found = this_machine(tree)
    name = _text(tree / MACHINE).lower()
    return replace(found, architecture=_SAME.get(name, name or found.architecture))


def machine_of(tree: Path) -> Machine:
    """The machine's record without Python: the bundle's program needs none.

    Whatever `describe_machine` takes from this machine, and not from the tree, is replaced.
    """
    found = describe_machine(tree)
    architecture = _text(tree / MACHINE) or _UNKNOWN
    named = this_machine(tree).model != _UNKNOWN
    return replace(
        found,
        cpu=found.cpu if named else architecture,
        architecture=architecture,
        cores=read_int(tree / CORES) or 1,
        system=_text(tree / SYSTEM) or _UNKNOWN,
        load_average=_load_average(tree),
        python="",
        libraries={},
        threads={},
    )


def _load_average(tree: Path) -> tuple[float, float, float] | None:
    try:
        one, five, fifteen = map(float, _text(tree / "proc/loadavg").split()[:3])
    except ValueError:
        return None
    return one, five, fifteen


def _text(path: Path) -> str:
    return _WORD.sub("", read_text(path) or "")
