"""Export: a policy becomes a bundle, the folder that goes to the vehicle."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspctl.exporter.c import c_from_policy
    from dspctl.exporter.exported import Export, Progress
    from dspctl.exporter.gate import Gate, GateResult
    from dspctl.exporter.onnx import onnx_from_policy
    from dspctl.exporter.pipeline import export
    from dspctl.exporter.targets import TARGETS, Target

__all__ = [
    "TARGETS",
    "Export",
    "Gate",
    "GateResult",
    "Progress",
    "Target",
    "c_from_policy",
    "export",
    "onnx_from_policy",
]

_HOME = {
    "TARGETS": "targets",
    "Target": "targets",
    "Export": "exported",
    "Progress": "exported",
    "Gate": "gate",
    "GateResult": "gate",
    "c_from_policy": "c",
    "onnx_from_policy": "onnx",
    "export": "pipeline",
}


def __getattr__(name: str) -> Any:
    """Import each part on first use (PEP 562): generating C must not need onnx, nor the reverse."""
    if name not in _HOME:
        raise AttributeError(f"module 'dspctl.exporter' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"dspctl.exporter.{_HOME[name]}"), name)
