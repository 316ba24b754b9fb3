"""What one run of ``policy bench`` gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


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
