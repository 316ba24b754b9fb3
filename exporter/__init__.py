"""Export: a policy becomes a bundle, the folder that goes to the vehicle."""

from typing import TYPE_CHECKING, Any

from dspctl.exporter.pipeline import TARGETS, Export, Target, export

if TYPE_CHECKING:
    from dspctl.exporter.onnx import onnx_from_policy

__all__ = ["TARGETS", "Export", "Target", "export", "onnx_from_policy"]


def __getattr__(name: str) -> Any:
    """Import the converter on first use (PEP 562): listing the targets must not need onnx."""
    if name == "onnx_from_policy":
        from dspctl.exporter.onnx import onnx_from_policy

        return onnx_from_policy
    raise AttributeError(f"module 'dspctl.exporter' has no attribute {name!r}")
