"""What is in a compiled object: sizes, symbols, calls and stack use. The one user of pyelftools."""

import io
import re
from dataclasses import dataclass
from typing import Any

from dspctl.errors import MissingExtra

_ALLOCATED = 0x2
_WRITABLE = 0x1
_EXECUTABLE = 0x4
_NOT_A_NAME = frozenset({"", "_GLOBAL_OFFSET_TABLE_"})
_CLONE = re.compile(r"(\.\d+|\.localalias|\.cold)+$")


@dataclass(frozen=True)
class Sizes:
    """Bytes of an object's sections, as the program ``size`` counts them.

    Attributes:
        code_bytes: instructions.
        rodata_bytes: constants, and unwinding tables where there are any.
        data_bytes: variables with a first value.
        bss_bytes: variables that start as zero.
    """

    code_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int

    @property
    def text_bytes(self) -> int:
        """What ``size`` calls text: instructions and constants."""
        return self.code_bytes + self.rodata_bytes

    @property
    def flash_bytes(self) -> int:
        """What a microcontroller's flash holds of it."""
        return self.text_bytes + self.data_bytes


@dataclass(frozen=True)
class ObjectFile:
    """A relocatable object.

    Attributes:
        sizes: of its sections.
        defined: names that other objects may use, sorted.
        undefined: names that it expects from elsewhere, sorted.
        calls: function → functions that it refers to.
        stack: function → bytes of its own frame, where the object tells (``.stack_sizes``).
    """

    sizes: Sizes
    defined: tuple[str, ...]
    undefined: tuple[str, ...]
    calls: dict[str, frozenset[str]]
    stack: dict[str, int]


def read_object(data: bytes) -> ObjectFile:
    """Read an object that was compiled with ``-ffunction-sections``.

    Raises:
        MissingExtra: pyelftools is not installed.
    """
    elf = _open(data)
    symbols = list(elf.get_section_by_name(".symtab").iter_symbols())
    functions = _functions(symbols)
    return ObjectFile(
        sizes=_sizes(elf),
        defined=_names(symbols, defined=True),
        undefined=_names(symbols, defined=False),
        calls=_calls(elf, symbols, functions),
        stack=_stack(elf, symbols, functions),
    )


def needed_libraries(data: bytes) -> tuple[str, ...]:
    """The shared libraries that a shared library asks for, sorted; empty for ours."""
    dynamic = _open(data).get_section_by_name(".dynamic")
    return tuple(sorted(tag.needed for tag in dynamic.iter_tags("DT_NEEDED")))


def _open(data: bytes) -> Any:
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise MissingExtra("pyelftools", "export", "measuring native code") from error
    return ELFFile(io.BytesIO(data))


def _sizes(elf: Any) -> Sizes:
    code = constants = data = zero = 0
    for section in elf.iter_sections():
        flags, size = section["sh_flags"], section["sh_size"]
        if not flags & _ALLOCATED:
            continue
        if section["sh_type"] == "SHT_NOBITS":
            zero += size
        elif flags & _WRITABLE:
            data += size
        elif flags & _EXECUTABLE:
            code += size
        else:
            constants += size
    return Sizes(code, constants, data, zero)


def _names(symbols: list[Any], *, defined: bool) -> tuple[str, ...]:
    return tuple(
        sorted(
            symbol.name
            for symbol in symbols
            if symbol["st_info"]["bind"] in ("STB_GLOBAL", "STB_WEAK")
            and (symbol["st_shndx"] != "SHN_UNDEF") == defined
            and symbol.name not in _NOT_A_NAME
        )
    )


def _functions(symbols: list[Any]) -> dict[int, str]:
    """Section index → the function in it. gcc's local aliases (``act.localalias``) and rarely
    used parts (``act.cold``, in a section of its own) count as the function that they belong to;
    copies of a function (``act.constprop.0``) go without their number, as in its ``.su`` file."""
    functions: dict[int, str] = {}
    for symbol in symbols:
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
            functions[symbol["st_shndx"]] = _CLONE.sub("", symbol.name)
    return functions


def _calls(elf: Any, symbols: list[Any], functions: dict[int, str]) -> dict[str, frozenset[str]]:
    """References between functions. Each has a section of its own, so that every call from one
    to another is a relocation; a call inside a section would be one of a function to itself."""
    calls: dict[str, set[str]] = {name: set() for name in functions.values()}
    for section in elf.iter_sections():
        if section["sh_type"] not in ("SHT_REL", "SHT_RELA"):
            continue
        caller = functions.get(section["sh_info"])
        if caller is None:
            continue
        for relocation in section.iter_relocations():
            callee = functions.get(symbols[relocation["r_info_sym"]]["st_shndx"])
            if callee is not None and callee != caller:
                calls[caller].add(callee)
    return {name: frozenset(found) for name, found in calls.items()}


def _stack(elf: Any, symbols: list[Any], functions: dict[int, str]) -> dict[str, int]:
    """LLVM's ``.stack_sizes``: per function an address, relocated, and the size as ULEB128."""
    found: dict[str, int] = {}
    sections = list(elf.iter_sections())
    width = elf.elfclass // 8
    for index, section in enumerate(sections):
        if section.name != ".stack_sizes":
            continue
        data = section.data()
        targets = {
            relocation["r_offset"]: functions[symbols[relocation["r_info_sym"]]["st_shndx"]]
            for other in sections
            if other["sh_type"] in ("SHT_REL", "SHT_RELA") and other["sh_info"] == index
            for relocation in other.iter_relocations()
        }
        at = 0
        while at < len(data):
            name = targets[at]
            at, found[name] = _uleb128(data, at + width)
    return found


def _uleb128(data: bytes, at: int) -> tuple[int, int]:
    """The next index, and the number that starts at *at*."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return at, value
