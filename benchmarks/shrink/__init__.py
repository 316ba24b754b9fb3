"""The smallest network that keeps a share of its teacher's return, by training many."""

from dspctl.benchmarks.shrink.deliver import with_costs
from dspctl.benchmarks.shrink.options import Options
from dspctl.benchmarks.shrink.record import Goal, ShrinkResult, load_shrink
from dspctl.benchmarks.shrink.search import SearchProgress, shrink

__all__ = [
    "Goal",
    "Options",
    "SearchProgress",
    "ShrinkResult",
    "load_shrink",
    "shrink",
    "with_costs",
]
