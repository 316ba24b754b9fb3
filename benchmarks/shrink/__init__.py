"""The smallest network that keeps a share of its teacher's return, by training many."""

from dspctl.benchmarks.shrink.record import ShrinkResult, load_shrink
from dspctl.benchmarks.shrink.search import Goal, shrink

__all__ = ["Goal", "ShrinkResult", "load_shrink", "shrink"]
