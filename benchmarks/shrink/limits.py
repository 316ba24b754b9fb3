"""A cost as the goal: the largest network within it, and what is said of it."""

from dspctl.benchmarks.comparison.sweep import with_random_weights
from dspctl.benchmarks.shrink.costs import CPU, measure_costs
from dspctl.benchmarks.shrink.ladder import divisions
from dspctl.benchmarks.shrink.record import Goal
from dspctl.errors import ConfigProblem, NothingKept
from dspctl.runtime import Policy


def check_goal(goal: Goal) -> None:
    """Refuse what cannot be measured.

    Raises:
        ConfigProblem: a latency on another machine than this one.
    """
    if goal.max_latency_ns is not None and goal.target != CPU:
        raise ConfigProblem(
            f"a call's latency is measured on this machine, not on {goal.target}: leave out "
            "--target, or give --max-flash in place of --max-latency-ns"
        )


def largest_within(goal: Goal, teacher: Policy) -> int:
    """Most hidden units whose code stays within the goal's limits; cost grows with size.

    Args:
        goal: with a limit.
        teacher: a policy of the same task; no network is larger.

    Raises:
        NothingKept: not even a network without hidden units does.
    """

    def fits(size: int) -> bool:
        return within(with_random_weights(teacher, divisions(size)[0]), goal)

    low, high = 0, teacher.counts.total_units
    if not fits(low):
        raise NothingKept(
            f"even a linear policy is beyond {shown(goal)} on {goal.target}: raise the limit"
        )
    while low < high:
        middle = -(-(low + high) // 2)
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def within(policy: Policy, goal: Goal) -> bool:
    """Whether a policy's code stays within the goal's limits."""
    costs = measure_costs({"network": policy}, goal.target)["network"]
    if goal.max_flash_bytes is not None and costs.flash_bytes > goal.max_flash_bytes:
        return False
    if goal.max_latency_ns is None:
        return True
    return costs.latency_ns is not None and costs.latency_ns <= goal.max_latency_ns


def shown(goal: Goal) -> str:
    """The limits in words."""
    parts = []
    if goal.max_latency_ns is not None:
        parts.append(f"{goal.max_latency_ns:g} ns")
    if goal.max_flash_bytes is not None:
        parts.append(f"{goal.max_flash_bytes:,} B of flash")
    return " and ".join(parts)
