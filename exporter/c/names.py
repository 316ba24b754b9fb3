"""Names and text that reach C: restricted, never pasted.

A policy file is untrusted. Whatever it says of itself (environment id, feature names) becomes an
identifier, a comment or a string literal only through the functions here.
"""

import re
from functools import cache
from pathlib import Path

from dspctl.errors import InvalidName

LONGEST = 40
"""Longest prefix: with the longest suffix it stays within C99's 63 significant characters."""

# C and C++ keywords, names that the bundle's own programs use, and targets that CMake has itself.
_RESERVED = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|"
    "inline|int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|"
    "union|unsigned|void|volatile|while|asm|and|or|not|xor|bool|class|delete|new|namespace|this|"
    "template|try|catch|throw|using|main|policy|control_loop|all|clean|help|install|package|test"
)

# Headers of C, of POSIX, and of compilers and C libraries underneath: NAME.h lies on the path on
# which a program's #include <math.h> is looked for, and would be taken for it.
_SYSTEM_HEADERS = re.compile(
    "assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|"
    "stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath|"
    "threads|time|uchar|wchar|wctype|"
    "aio|cpio|dirent|dlfcn|fcntl|fmtmsg|fnmatch|ftw|getopt|glob|grp|iconv|langinfo|libgen|"
    "monetary|mqueue|ndbm|netdb|nl_types|poll|pthread|pwd|regex|sched|search|semaphore|spawn|"
    "strings|stropts|syslog|tar|termios|trace|ulimit|unistd|utime|utmpx|wordexp|"
    "alloca|byteswap|cpuid|endian|features|libio|malloc|memory|mm_malloc|unwind|values|xlocale|"
    "arm_[a-z0-9_]+|[a-z0-9]+intrin"
)

# Libraries that linkers add by themselves, or that programs for boards ask for: with the bundle's
# folder on its path, a linker would take libNAME.a for them.
_SYSTEM_LIBRARIES = re.compile(
    "anl|asan|atomic|bsd|c|c_nano|compiler_rt|crypt|dl|g|g_nano|gcc|gcc_eh|gcc_s|gloss|gomp|itm|"
    "lsan|m|mvec|nosys|nsl|omp|pthread|quadmath|rdimon|resolv|rt|semihost|ssp|supc|thread_db|tsan|"
    "ubsan|unwind|util"
)

_GENERATED_HEADERS = frozenset({"golden", "policy_bindings"})


@cache
def _own_headers() -> frozenset[str]:
    """Headers of the command and of the boards' check, and what their include guards call them."""
    written = (Path(__file__).parents[1] / "native").glob("*/*.h")
    stems = _GENERATED_HEADERS | {path.stem for path in written}
    return stems | {f"policy_{stem}" for stem in stems}


def is_reserved(name: str) -> bool:
    """Whether a policy of that name would be in the way of its own build, or of its users'."""
    return (
        _RESERVED.fullmatch(name) is not None
        or _SYSTEM_HEADERS.fullmatch(name) is not None
        or _SYSTEM_LIBRARIES.fullmatch(name) is not None
        or name in _own_headers()
    )


def identifier_from_environment(environment: str) -> str:
    """A C identifier for an environment id: ``LunarLander-v3`` becomes ``lunarlander_v3``.

    Names without one usable character become ``policy_``, and reserved ones end in ``_``.
    """
    name = re.sub(r"[^a-z0-9]+", "_", environment.lower()).strip("_")[:LONGEST].rstrip("_")
    if not name or not name[0].isalpha():
        name = f"policy_{name}"
    return name + "_" if is_reserved(name) else name


def check_identifier(name: str) -> str:
    """*name*, if it can prefix C functions and name a library.

    Raises:
        InvalidName: not ``[a-z][a-z0-9_]*``, longer than `LONGEST`, or reserved: a keyword, or a
            header or library that NAME.h or libNAME.a would be taken for.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > LONGEST:
        raise InvalidName(
            f"{name!r} cannot prefix C functions: use a lower-case letter followed by letters, "
            f"digits and underscores, at most {LONGEST} characters"
        )
    if is_reserved(name):
        raise InvalidName(
            f"{name!r} cannot prefix C functions: it is a keyword, or the name of a header, a "
            f"library or a target that builds need; use another one, such as {name}_policy"
        )
    return name


def comment_text(text: str) -> str:
    """*text* as it may stand in a C comment: one line of plain characters."""
    return re.sub(r"[^A-Za-z0-9 _.,:;()+=<>@%-]", "?", text)[:200]


def string_literal(text: str) -> str:
    """*text* as a C string literal; bytes beyond plain ASCII become octal escapes."""
    plain = re.compile(rb"[A-Za-z0-9 _.,:;()+=<>@%/-]")
    escaped = (
        chr(byte) if plain.fullmatch(bytes([byte])) else f"\\{byte:03o}" for byte in text.encode()
    )
    return f'"{"".join(escaped)}"'
