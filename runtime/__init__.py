"""Running a policy: NumPy and the standard library only, so that a vehicle installs no torch.

Names are loaded on first use (PEP 562), so that a process holds the backend that it runs and
nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Loaded at once: a function with the name of its module must be there before the module is.
from dspctl.runtime.load import BACKENDS, load

if TYPE_CHECKING:
    from dspctl.runtime.backends.numpy_runner import NumpyRunner
    from dspctl.runtime.backends.protocol import Runner
    from dspctl.runtime.loop import ControlLoop, EventLog, LoopSettings, prepare
    from dspctl.runtime.policy import (
        ActionRule,
        Counts,
        Guard,
        Layer,
        Normalizer,
        ObservationSpec,
        Policy,
    )
    from dspctl.runtime.policy.file import load_policy, save_policy
    from dspctl.runtime.policy.guarded import with_guard
    from dspctl.runtime.trust import Trust

__all__ = [
    "BACKENDS",
    "ActionRule",
    "ControlLoop",
    "Counts",
    "EventLog",
    "Guard",
    "Layer",
    "LoopSettings",
    "Normalizer",
    "NumpyRunner",
    "ObservationSpec",
    "Policy",
    "Runner",
    "Trust",
    "load",
    "load_policy",
    "prepare",
    "save_policy",
    "with_guard",
]

_HOMES = {
    "ActionRule": "policy",
    "ControlLoop": "loop",
    "Counts": "policy",
    "EventLog": "loop",
    "Guard": "policy",
    "Layer": "policy",
    "LoopSettings": "loop",
    "Normalizer": "policy",
    "NumpyRunner": "backends.numpy_runner",
    "ObservationSpec": "policy",
    "Policy": "policy",
    "Runner": "backends.protocol",
    "Trust": "trust",
    "load_policy": "policy.file",
    "prepare": "loop",
    "save_policy": "policy.file",
    "with_guard": "policy.guarded",
}


def __getattr__(name: str) -> Any:
    """Resolve a public name from its module."""
    if name in _HOMES:
        return getattr(import_module(f"dspctl.runtime.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'dspctl.runtime' has no attribute {name!r}")
