"""The test that a network must pass: it keeps a share of its teacher's return, shown, not hoped.

Both play the same episodes (paired seeds). The share kept is ``1 + (mean s - mean t) / |mean t|``,
which is the ratio of the means where returns are positive, and falls when they are negative and get
worse. It must be at least the asked one at the lower end of a one-sided 95% interval over episodes
(percentile bootstrap of pairs): a test of non-inferiority, so that too few episodes never help.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import ConfigProblem

CONFIDENCE = 0.95
_RESAMPLES = 10_000
_CHUNK = 500


@dataclass(frozen=True)
class Kept:
    """Share of a teacher's return that a student keeps.

    Attributes:
        share: the estimate.
        low: lower end of the one-sided 95% interval.
    """

    share: float
    low: float


def check_teacher(returns: Sequence[float]) -> None:
    """Refuse a teacher of whose return nothing is a share.

    Raises:
        ConfigProblem: its mean return is 0.
    """
    if np.mean(returns) == 0:
        raise ConfigProblem(
            "the teacher's mean return is 0, and no share of it can be kept: pass a goal such as "
            "--max-flash in place of --keep"
        )


def share_kept(student: Sequence[float], teacher: Sequence[float], *, seed: int = 0) -> Kept:
    """The share that *student* keeps, with its lower bound.

    Args:
        student: returns, one per episode.
        teacher: returns of the same episodes.
        seed: of the resampling.

    Raises:
        ConfigProblem: different numbers of episodes, none, or a teacher whose mean return is 0, of
            which nothing is a share.
    """
    s, t = np.asarray(student, np.float64), np.asarray(teacher, np.float64)
    if s.shape != t.shape or s.size == 0:
        raise ConfigProblem(
            f"a share needs the same episodes of both, not {s.size} and {t.size}: evaluate again"
        )
    check_teacher(teacher)
    rng = np.random.default_rng(seed)
    drawn = [
        _share(s[rows].mean(axis=1), t[rows].mean(axis=1))
        for rows in (
            rng.integers(s.size, size=(_CHUNK, s.size)) for _ in range(_RESAMPLES // _CHUNK)
        )
    ]
    low = float(np.quantile(np.concatenate(drawn), 1 - CONFIDENCE))
    return Kept(float(_share(s.mean(), t.mean())), low)


def _share(student: NDArray[np.float64], teacher: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 + (student - teacher) / np.maximum(np.abs(teacher), 1e-12))
