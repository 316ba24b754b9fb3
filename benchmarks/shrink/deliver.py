"""The end of a search: the choice, confirmed on other episodes, and what it costs where it runs."""

from dataclasses import replace
from pathlib import Path

from dspctl.benchmarks.shrink._candidate import POLICY
from dspctl.benchmarks.shrink.costs import CPU, measure_costs
from dspctl.benchmarks.shrink.ledger import Ledger
from dspctl.benchmarks.shrink.limits import shown, within
from dspctl.benchmarks.shrink.options import EPISODES
from dspctl.benchmarks.shrink.record import (
    Confirmation,
    ShrinkResult,
    load_shrink,
    save_shrink,
)
from dspctl.errors import NothingKept
from dspctl.runtime import load_policy, save_policy
from dspctl.trainer import evaluate


def conclude(ledger: Ledger) -> ShrinkResult:
    """Confirm the choice on other episodes, taking the next where one fails; deliver it.

    Raises:
        NothingKept: no network that was tried keeps the share, or is within the limits.
    """
    environment, result = ledger.task.environment, ledger.result
    teacher = evaluate(ledger.teacher.policy.act, environment, episodes=EPISODES)
    for point in ledger.choices():
        policy = load_policy(ledger.policy_file(point.candidate.name), links=False)
        if result.goal.limited and not within(policy, result.goal):
            continue
        student = evaluate(policy.act, environment, episodes=EPISODES)
        found = Confirmation(student.returns, teacher.returns)
        if result.goal.limited or found.kept().share >= result.goal.keep:
            save_policy(policy, ledger.folder / POLICY, force=True)
            delivered = replace(
                result, chosen=point.candidate.name, confirmation=found, status="complete"
            )
            save_shrink(delivered, ledger.folder)
            return delivered
    (ledger.folder / POLICY).unlink(missing_ok=True)
    save_shrink(replace(result, status="complete"), ledger.folder)
    raise NothingKept(_why_nothing(ledger))


def _why_nothing(ledger: Ledger) -> str:
    result = ledger.result
    best = max(result.points, key=lambda one: one.network.mean, default=None)
    if best is None:
        return (
            f"no network was trained in {ledger.options.budget_s / 60:.0f} minutes: give it more "
            "with --budget-minutes"
        )
    if result.goal.limited:
        return (
            f"no network that was trained stays within {shown(result.goal)}: all of them are in "
            f"{ledger.folder}; raise the limit"
        )
    kept = result.kept(best)
    more = "" if result.exhausted else ", or repeat the command with a longer --budget-minutes"
    return (
        f"no network of {len(result.points)} was shown to keep {100 * result.goal.keep:g}% of the "
        f"teacher's return: the best has {best.network.size} hidden units and keeps "
        f"{kept.share:.1%} (at least {kept.low:.1%}), {ledger.policy_file(best.candidate.name)}; "
        f"lower --keep{more}"
    )


def with_costs(folder: Path, target: str = CPU) -> ShrinkResult:
    """Measure what the frontier's networks and the chosen one cost, and write it into the file.

    Raises:
        ResultProblem: there is no search in *folder*.
        NativeBuildProblem, UnknownTarget, MissingExtra: there is no compiler for *target*.
    """
    result = load_shrink(folder)
    names = [point.candidate.name for point in result.frontier()]
    if result.chosen and result.chosen not in names:
        names.append(result.chosen)
    costs = measure_costs(
        {name: load_policy(folder / "candidates" / name / POLICY, links=False) for name in names},
        target,
    )
    points = tuple(
        replace(
            point,
            latency_ns=costs[point.candidate.name].latency_ns,
            flash_bytes=costs[point.candidate.name].flash_bytes,
        )
        if point.candidate.name in costs
        else point
        for point in result.points
    )
    result = replace(result, points=points)
    save_shrink(result, folder)
    return result
