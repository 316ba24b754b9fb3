"""Is it as good a driver? Returns of all subjects on the same episodes, and their difference."""

from dataclasses import dataclass

from dspctl.benchmarks.stats import Interval


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
        share: mean of the subject over mean of the baseline; None where the baseline's mean or an
            end of its resamples is not positive, so that a share says nothing.
    """

    baseline: str
    subject: str
    difference: Interval
    share: Interval | None
