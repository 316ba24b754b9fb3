"""A line of ``tegrastats``, whichever board and release printed it.

The program prints ``NAME value`` and ``name@temperature`` fields with one blank between. Names,
units and how many values stand in a field differ by board and release, so fields are told by their
form, and whatever has an unknown form is kept as it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

_MIB = 1 << 20
_HZ_PER_MHZ = 1_000_000
_SWITCHED_OFF_C = -256.0  # what a sensor reads while its part of the chip has no power

_N = r"[0-9]{1,9}"  # bounded: Python refuses to convert numbers of thousands of digits
_TOKEN = re.compile(r"\([^()]*\)|\S+")
_DATE = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4}")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}")
_MEMORY = re.compile(rf"({_N})/({_N})MB")
_CPUS = re.compile(rf"\[([^\[\]]*)\](?:@({_N}))?")
_CPU = re.compile(rf"({_N})%(?:@({_N}))?")
_ENGINE = re.compile(rf"(?:({_N})%)?(?:@(?:({_N})|\[({_N}(?:,{_N})*)\]))?")
_TEMPERATURE = re.compile(r"([A-Za-z][\w.-]*)@(-?[0-9]{1,4}(?:\.[0-9]{1,9})?)C(?:/\S*)?")
_RAIL_NAME = re.compile(r"[A-Z0-9][A-Z0-9_]*")
_RAIL = re.compile(rf"({_N})(?:mW(?:/\S*)?|/{_N}(?:/{_N})*)")


@dataclass
class _Draft:
    """What a line has given so far."""

    date: str | None = None
    time: str | None = None
    ram: tuple[int, int] | None = None
    cpu_load: list[float | None] = field(default_factory=list)
    cpu_hz: list[int | None] = field(default_factory=list)
    emc: tuple[float | None, tuple[int, ...]] = (None, ())
    gpu: tuple[float | None, tuple[int, ...]] = (None, ())
    temperatures: dict[str, float] = field(default_factory=dict)
    rails: dict[str, float] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    understood: bool = False


@dataclass(frozen=True)
class Reading:
    """What one line says; None, or an empty collection, for what it does not say.

    Attributes:
        at: the board's local time as printed, such as ``07-25-2026 09:08:28``.
        rails_w: power now by rail, watts. Averages since the program started, which stand behind
            the first value, are not kept: they mix what was before a measurement into it.
        temperatures_c: by sensor, without those that are switched off.
        gpu_load_share: in [0, 1].
        gpu_hz: one clock per graphics cluster.
        emc_load_share: of the memory controller, in [0, 1].
        emc_hz: its clock.
        cpu_load_share: per CPU in [0, 1]; None for one that is off.
        cpu_hz: per CPU; None where it is off or no clock is printed.
        ram_used_bytes: of the memory that CPU and GPU share.
        ram_total_bytes: all of it.
        unknown: words of the line that were not understood, in order.
    """

    at: str | None
    rails_w: dict[str, float]
    temperatures_c: dict[str, float]
    gpu_load_share: float | None
    gpu_hz: tuple[int, ...]
    emc_load_share: float | None
    emc_hz: int | None
    cpu_load_share: tuple[float | None, ...]
    cpu_hz: tuple[int | None, ...]
    ram_used_bytes: int | None
    ram_total_bytes: int | None
    unknown: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the attributes above that this line does not tell, in their order."""
        told = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        del told["unknown"]
        return tuple(name for name, value in told.items() if value in (None, (), {}))


def parse_tegrastats(line: str) -> Reading | None:
    """Read a line; None where nothing in it is a field of tegrastats. Never raises."""
    draft = _Draft()
    words = _TOKEN.findall(line)
    position = 0
    while position < len(words):
        following = words[position + 1] if position + 1 < len(words) else ""
        used = _single(draft, words[position]) or _pair(draft, words[position], following)
        if not used:
            draft.unknown.append(words[position])
        position += max(used, 1)
    return _finished(draft) if draft.understood else None


def _single(draft: _Draft, word: str) -> int:
    """Read a field of one word; how many words it was, 0 for none."""
    if _DATE.fullmatch(word) and draft.date is None:
        draft.date = word
        return 1
    if _TIME.fullmatch(word) and draft.time is None:
        draft.time = word
        return 1
    found = _TEMPERATURE.fullmatch(word)
    if not found:
        return 0
    draft.understood = True
    if float(found[2]) > _SWITCHED_OFF_C:
        draft.temperatures[found[1]] = float(found[2])
    return 1


def _pair(draft: _Draft, name: str, value: str) -> int:
    """Read a field of a name and a value; how many words it was, 0 for none."""
    if name == "RAM" and (found := _MEMORY.fullmatch(value)):
        draft.ram = (int(found[1]) * _MIB, int(found[2]) * _MIB)
    elif name == "CPU" and (found := _CPUS.fullmatch(value)):
        _add_cpus(draft, found[1], found[2])
    elif name == "EMC_FREQ" and value and (found := _ENGINE.fullmatch(value)):
        draft.emc = _engine(found)
    elif name == "GR3D_FREQ" and value and (found := _ENGINE.fullmatch(value)):
        draft.gpu = _engine(found)
    elif _RAIL_NAME.fullmatch(name) and (found := _RAIL.fullmatch(value)):
        draft.rails[name] = int(found[1]) / 1e3
    else:
        return 0
    draft.understood = True
    return 2


def _add_cpus(draft: _Draft, listed: str, common_mhz: str | None) -> None:
    """``23%@2201,off`` per CPU; older releases print one clock for all behind the bracket."""
    for entry in listed.split(","):
        found = _CPU.fullmatch(entry.strip())
        if found:
            draft.cpu_load.append(int(found[1]) / 100)
            draft.cpu_hz.append(next(_hertz(found[2] or common_mhz), None))
        elif entry.strip() == "off":
            draft.cpu_load.append(None)
            draft.cpu_hz.append(None)
        elif entry.strip():
            draft.unknown.append(entry.strip())


def _engine(found: re.Match[str]) -> tuple[float | None, tuple[int, ...]]:
    """Load and clocks of ``12%``, ``10%@1300``, ``12%@[1300,1300]`` or ``@[1000,1000]``."""
    load = None if found[1] is None else int(found[1]) / 100
    return load, tuple(_hertz(found[2] or found[3]))


def _hertz(megahertz: str | None) -> Iterator[int]:
    return (int(value) * _HZ_PER_MHZ for value in (megahertz or "").split(",") if value)


def _finished(draft: _Draft) -> Reading:
    used, total = draft.ram or (None, None)
    return Reading(
        at=" ".join(part for part in (draft.date, draft.time) if part) or None,
        rails_w=draft.rails,
        temperatures_c=draft.temperatures,
        gpu_load_share=draft.gpu[0],
        gpu_hz=draft.gpu[1],
        emc_load_share=draft.emc[0],
        emc_hz=next(iter(draft.emc[1]), None),
        cpu_load_share=tuple(draft.cpu_load),
        cpu_hz=tuple(draft.cpu_hz),
        ram_used_bytes=used,
        ram_total_bytes=total,
        unknown=tuple(draft.unknown),
    )
