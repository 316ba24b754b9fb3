"""A bundle: the folder that goes to the vehicle. Only this package knows its keys.

Every byte is verified when a bundle is opened. That is integrity, not authenticity: whoever can
rewrite the files can rewrite the digests. Who made it is what `dspctl.runtime.trust` checks. The
format is described in ``docs/bundle.md``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dspctl.runtime.bundle.artefacts import PARITY, bytes_from_artefacts
from dspctl.runtime.bundle.manifest import MANIFEST, POLICY, Manifest
from dspctl.runtime.bundle.reading import NATIVE, ONNX, ONNX_FP16, Bundle, open_bundle
from dspctl.runtime.reference.golden import GOLDEN

if TYPE_CHECKING:
    from dspctl.runtime.bundle.writing import manifest_of, write_bundle
    from dspctl.runtime.reference.golden import bytes_from_golden

__all__ = [
    "GOLDEN",
    "MANIFEST",
    "NATIVE",
    "ONNX",
    "ONNX_FP16",
    "PARITY",
    "POLICY",
    "Bundle",
    "Manifest",
    "bytes_from_artefacts",
    "bytes_from_golden",
    "manifest_of",
    "open_bundle",
    "write_bundle",
]

_WRITING = {
    "bytes_from_golden": "reference.making",
    "manifest_of": "bundle.writing",
    "write_bundle": "bundle.writing",
}


def __getattr__(name: str) -> Any:
    """What writes a bundle, loaded on first use: a vehicle only reads (PEP 562)."""
    if name in _WRITING:
        return getattr(import_module(f"dspctl.runtime.{_WRITING[name]}"), name)
    raise AttributeError(f"module 'dspctl.runtime.bundle' has no attribute {name!r}")
