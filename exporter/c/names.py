"""Names and text that reach C: restricted, never pasted.

A policy file is untrusted. Whatever it says of itself (environment id, feature names) becomes an
identifier, a comment or a string literal only through the functions here.
"""

import re

from dspctl.errors import InvalidName

LONGEST = 40
"""Longest prefix: with the longest suffix it stays within C99's 63 significant characters."""

# C and C++ keywords, and names that the bundle's own programs use.
_RESERVED = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|"
    "inline|int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|"
    "union|unsigned|void|volatile|while|asm|and|or|not|xor|bool|class|delete|new|namespace|this|"
    "template|try|catch|throw|using|main|policy|golden"
)


def identifier_from_environment(environment: str) -> str:
    """A C identifier for an environment id: ``LunarLander-v3`` becomes ``lunarlander_v3``.

    Names without one usable character become ``policy_``.
    """
    name = re.sub(r"[^a-z0-9]+", "_", environment.lower()).strip("_")[:LONGEST].rstrip("_")
    if not name or not name[0].isalpha():
        name = f"policy_{name}"
    return name + "_" if _RESERVED.fullmatch(name) else name


def check_identifier(name: str) -> str:
    """*name*, if it can prefix C functions and name a library.

    Raises:
        InvalidName: not ``[a-z][a-z0-9_]*``, longer than `LONGEST`, or a keyword.
    """
    if (
        not re.fullmatch(r"[a-z][a-z0-9_]*", name)
        or len(name) > LONGEST
        or _RESERVED.fullmatch(name)
    ):
        raise InvalidName(
            f"{name!r} cannot prefix C functions: use a lower-case letter followed by letters, "
            f"digits and underscores, at most {LONGEST} characters, and no keyword"
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
