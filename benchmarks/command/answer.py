"""What one run of ``policy bench`` gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dspctl.runtime.strict_json import value_from_json

_MOST_VALUES = 1 << 18


@dataclass(frozen=True, eq=False)
class Answer:
    """One run of a bundle's static program.

    Attributes:
        report: what it printed with ``--json``.
        samples: the raw samples that it wrote with ``--samples``.
    """

    report: dict[str, Any]
    samples: bytes


RunCommand = Callable[[str, Sequence[str]], Answer]
"""Runs ``policy bench`` of the subject with this label, with these arguments after ``bench``.

It adds ``--json`` and ``--samples`` itself. Raises `BackendUnavailable` where the program does not
run.
"""


def object_from_json(data: bytes) -> dict[str, Any]:
    """The JSON object that a program printed. Raises ValueError where it printed none."""
    found = value_from_json(data, "what it printed", most_values=_MOST_VALUES)
    if not isinstance(found, dict):
        raise ValueError("it printed no JSON object")
    return found
