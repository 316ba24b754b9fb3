"""Environments that exist for the length of a test."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium


@contextmanager
def registered(name: str, make: Callable[[], gymnasium.Env[Any, Any]]) -> Iterator[str]:
    """Register *make* under *name* with gymnasium, and take it out again."""

    def creator(**_: Any) -> gymnasium.Env[Any, Any]:
        return make()

    gymnasium.register(name, creator)
    try:
        yield name
    finally:
        del gymnasium.registry[name]
