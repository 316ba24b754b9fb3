"""Is it as good a driver? Returns of all subjects on the same episodes, and their difference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dspctl.benchmarks.stats import Interval, bootstrap_mean, mean_ratio
from dspctl.runtime import NumpyRunner, Policy


@dataclass(frozen=True)
class Return:
    """How one subject acts in the environment it was trained in.

    Attributes:
        label: the subject.
        environment: gymnasium id.
        seed: of the first episode; the others follow it one by one.
        mean: mean undiscounted return.
        returns: of every episode, in the order of the seeds.
        invalid: observations that the policy's guard found invalid.
    """

    label: str
    environment: str
    seed: int
    mean: Interval
    returns: tuple[float, ...]
    invalid: int


@dataclass(frozen=True)
class ReturnDifference:
    """One subject against the baseline, episode by episode on the same seeds.

    Attributes:
        baseline: label of the baseline.
        subject: label of the other.
        difference: mean of (subject - baseline) over episodes.
        share: mean of the subject over mean of the baseline; None where the baseline's mean is not
            clearly positive, so that a share says nothing.
    """

    baseline: str
    subject: str
    difference: Interval
    share: Interval | None


def measure_return(
    label: str,
    policy: Policy,
    *,
    episodes: int,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Return:
    """Play *episodes* episodes in gymnasium; equal seeds begin equal episodes for every subject.

    The reference backend acts: every other one has proved that it computes the same.

    Args:
        label: the subject.
        policy: its policy, with its environment and guard.
        episodes: how many, at least 1.
        seed: added to the first of the evaluation seeds, which training never uses.
        on_progress: called with (episodes finished, episodes).

    Raises:
        MissingExtra: gymnasium, or what the environment needs, is not installed.
        EnvironmentProblem: there is no such environment here, or it is another one.
    """
    from dspctl.trainer.evaluation import EVALUATION_SEED, evaluate

    with NumpyRunner(policy) as runner:
        found = evaluate(
            runner,
            policy.environment,
            episodes=episodes,
            seed=EVALUATION_SEED + seed,
            on_progress=on_progress,
        )
    return Return(
        label=label,
        environment=policy.environment,
        seed=found.seed,
        mean=bootstrap_mean(np.array(found.returns), seed=seed),
        returns=found.returns,
        invalid=found.invalid,
    )


def return_differences(found: Sequence[Return], *, seed: int = 0) -> tuple[ReturnDifference, ...]:
    """Every other subject against the first, episode by episode.

    Args:
        found: the baseline's returns first; only subjects of its environment and seeds are paired.
        seed: of the resampling.
    """
    if not found:
        return ()
    first = found[0]
    above = np.array(first.returns)
    differences = []
    for other in found[1:]:
        same = (other.environment, other.seed, len(other.returns))
        if same != (first.environment, first.seed, len(first.returns)):
            continue
        own = np.array(other.returns)
        differences.append(
            ReturnDifference(
                baseline=first.label,
                subject=other.label,
                difference=bootstrap_mean(own - above, seed=seed),
                share=mean_ratio(own, above, seed=seed),
            )
        )
    return tuple(differences)
