"""Measuring: latency, memory, size and training speed, and the pictures of them.

Names are resolved on first use: the memory probe is a module of this package, and what importing
the package costs would be counted as the policy's.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "BenchResult": "dspctl.benchmarks.record.result",
    "load_result": "dspctl.benchmarks.record.file",
    "measure": "dspctl.benchmarks.measurement",
}

if TYPE_CHECKING:
    from dspctl.benchmarks.measurement import measure
    from dspctl.benchmarks.record.file import load_result
    from dspctl.benchmarks.record.result import BenchResult

__all__ = ["BenchResult", "load_result", "measure"]


def __getattr__(name: str) -> Any:
    """Resolve a public name from its module on first use (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dspctl.benchmarks' has no attribute {name!r}")
