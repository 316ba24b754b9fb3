"""Installing bundles on a vehicle: one folder, one link that tells what runs.

Whatever goes wrong, and whenever, the link leads to a bundle that was verified. The layout and the
order of steps are in ``docs/deploy.md``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspctl.runtime.deploy.back import rollback
    from dspctl.runtime.deploy.install import Deployed, deploy

__all__ = ["Deployed", "deploy", "rollback"]

_HOMES = {"Deployed": "install", "deploy": "install", "rollback": "back"}


def __getattr__(name: str) -> Any:
    """Resolve a public name from its module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dspctl.runtime.deploy' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"dspctl.runtime.deploy.{_HOMES[name]}"), name)
