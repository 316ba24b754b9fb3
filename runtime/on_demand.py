"""``errors``, loaded when one of them is raised: the classes take 0.1 MB, mostly for nothing.

``errors.PolicyShape`` here is `dspctl.errors.PolicyShape`, the same class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dspctl.errors as errors
else:

    class _Errors:
        def __getattr__(self, name: str) -> Any:
            from dspctl import errors

            return getattr(errors, name)

    errors = _Errors()

__all__ = ["errors"]
