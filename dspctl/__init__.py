"""Train, compact, export and benchmark pruned reinforcement-learning policies.

The five functions most programs need are here, loaded on first use so that importing
``dspctl`` costs nothing and pulls in no training stack:

>>> from dspctl import train, compact, export, load, measure  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "train": "dspctl.trainer",
    "evaluate": "dspctl.trainer",
    "recipe": "dspctl.trainer",
    "compact": "dspctl.compactor",
    "export": "dspctl.exporter",
    "load": "dspctl.runtime",
    "measure": "dspctl.benchmarks",
}

if TYPE_CHECKING:
    from dspctl.benchmarks import measure
    from dspctl.compactor import compact
    from dspctl.exporter import export
    from dspctl.runtime.load import load
    from dspctl.trainer import evaluate, recipe, train

__all__ = ["__version__", "compact", "evaluate", "export", "load", "measure", "recipe", "train"]


def __getattr__(name: str) -> Any:
    """Resolve a public function from its part on first use (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dspctl' has no attribute {name!r}")
