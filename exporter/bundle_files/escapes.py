"""Text of a policy as it may stand in Markdown and XML: restricted, never pasted.

A policy file is untrusted, and its environment and feature names reach files that people open and
programs read. Names of functions and targets are C identifiers (`dspctl.exporter.c.names`), which
need no escaping anywhere.
"""

import re

_PLAIN = re.compile(r"[A-Za-z0-9 .,:;()+=@%/-]")
_LONGEST = 200


def markdown_text(text: str | None) -> str:
    """*text* in one line of Markdown, also inside a table; nothing in it is markup."""
    return "".join(_entity(letter) for letter in (text or "")[:_LONGEST])


def xml_text(text: str) -> str:
    """*text* as the content of an XML element."""
    return markdown_text(text)  # the same letters are plain, and the same entities are understood


def number_text(value: float | None) -> str:
    """A bound or a rate; a dash where there is none."""
    return "–" if value is None else f"{value:.9g}"


def _entity(letter: str) -> str:
    if _PLAIN.fullmatch(letter):
        return letter
    return f"&#{ord(letter)};" if letter.isprintable() else "?"
