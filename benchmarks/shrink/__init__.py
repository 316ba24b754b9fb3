"""The smallest network that keeps a share of its teacher's return, by training many."""

from dspctl.benchmarks.shrink.record import Goal, ShrinkResult, load_shrink
from dspctl.benchmarks.shrink.search import Options, SearchProgress, shrink, with_costs

__all__ = [
    "Goal",
    "Options",
    "SearchProgress",
    "ShrinkResult",
    "load_shrink",
    "shrink",
    "with_costs",
]
