"""Which network to train next: a search for the fewest hidden units.

Sizes (hidden units in all) are tried from large to small in large steps, then the gap between the
smallest that passed and the largest that failed is halved until it is closed. A size has failed
when several different attempts at it have: another start, another division over layers, another
seed. That fewer units are harder is assumed, of networks that learn from the teacher.

Without a hidden layer that does not hold: rewards alone may make a better linear policy than a
teacher whom it cannot resemble. So once the gap is closed, linear policies are trained without one.

Then, with the units found, the network is asked to read fewer features: each attempt leaves out one
more than the best so far. That leaving out more is harder is assumed too; nothing else is.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Start = Literal["fresh", "pruned", "narrowed", "rewards"]
_STEP = 0.6
"""From one size to the next while nothing has failed."""
_ALONE = 3
"""Linear policies that learn from rewards alone: how good one gets depends on its seed."""


@dataclass(frozen=True)
class Candidate:
    """A network to train.

    Attributes:
        size: hidden units in all.
        hidden: units per hidden layer; for a pruned one that is what it starts from, and pruning
            decides on the layers.
        activation: of the hidden layers.
        start: ``fresh`` learns from the teacher from the beginning; ``pruned`` is the smallest
            network that has passed, of which units are removed; ``narrowed`` the best one, which
            goes on without some of the features that it reads; ``rewards`` learns without the
            teacher, from the beginning or, where it leaves out features, from the best one.
        seed: of its training.
        without: features of the observation that it is asked not to read, ascending.
    """

    size: int
    hidden: tuple[int, ...]
    activation: str
    start: Start
    seed: int
    without: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Of its run's folder."""
        name = "-".join(map(str, self.hidden)) or "linear"
        if self.start == "pruned":
            name += f"-pruned-to-{self.size}"
        if self.start == "rewards":
            name += "-by-rewards"
        if self.without:
            name += f"-without-{'-'.join(map(str, self.without))}"
        return f"{self.size:03d}-{name}-{self.activation}-seed{self.seed}"


def divisions(size: int) -> list[tuple[int, ...]]:
    """Divisions of *size* units over up to two layers, in the order in which to try them."""
    if size == 0:
        return [()]
    if size == 1:
        return [(1,)]
    wide = -(-2 * size // 3)
    found = [(-(-size // 2), size // 2), (size,), (wide, size - wide)]
    return [one for one in dict.fromkeys(found) if 0 not in one]


@dataclass(frozen=True)
class Passed:
    """A network that has passed, of which units may be removed.

    Attributes:
        units: per hidden layer, after compaction.
        activation: of the hidden layers.
    """

    units: tuple[int, ...]
    activation: str


def attempts(size: int, smallest: Passed | None, activation: str) -> list[Candidate]:
    """Everything that is tried at *size*, in order.

    Args:
        size: hidden units in all.
        smallest: the smallest network that has passed, if it is larger than *size*.
        activation: the teacher's, tried first.
    """
    other = "relu" if activation == "tanh" else "tanh"
    shapes = divisions(size)
    fresh = [Candidate(size, shape, activation, "fresh", 0) for shape in shapes]
    again = [Candidate(size, shapes[0], activation, "fresh", 1)]
    if size == 0:
        alone = [Candidate(0, (), activation, "rewards", seed) for seed in range(_ALONE)]
        return [*fresh, *alone, *again]
    again.append(Candidate(size, shapes[0], other, "fresh", 0))
    pruned: list[Candidate] = []
    if smallest is not None and size >= len(smallest.units):
        pruned = [Candidate(size, smallest.units, smallest.activation, "pruned", 0)]
    return [*fresh[:1], *pruned, *fresh[1:], *again]


def narrower(
    best: Candidate,
    units: tuple[int, ...],
    ranked: Sequence[int],
    unread: Collection[int],
    failed: Collection[frozenset[int]],
) -> list[Candidate]:
    """Attempts at the best network with one feature less, in the order in which to try them.

    Args:
        best: the candidate that it came from.
        units: its hidden units per layer.
        ranked: features that it reads, the least important first.
        unread: those that it does not read.
        failed: features without which a network of as many units or more has failed.
    """
    if len(ranked) < 2:  # a policy reads something
        return []
    left = [frozenset({*unread, feature}) for feature in ranked]
    start: Start = "rewards" if best.start == "rewards" else "narrowed"
    return [
        Candidate(sum(units), units, best.activation, start, 0, tuple(sorted(features)))
        for features in left
        if not any(one < features for one in failed)
    ]


@dataclass(frozen=True)
class Tried:
    """A candidate that was trained.

    Attributes:
        size: hidden units of what came out, after compaction.
        asked: hidden units that were asked for.
        name: the candidate's.
        passed: whether it keeps enough.
    """

    size: int
    asked: int
    name: str
    passed: bool


def smallest_passed(tried: Iterable[Tried]) -> Tried | None:
    """The smallest network that passed; of equal ones the first."""
    return min((one for one in tried if one.passed), key=lambda one: one.size, default=None)


def next_size(
    tried: Sequence[Tried], failed: Collection[int], first: int, largest: int
) -> int | None:
    """The size to work at; None when the gap is closed.

    Args:
        tried: what was trained.
        failed: sizes all of whose attempts failed.
        first: the size to begin with, if that is not beyond the largest.
        largest: the largest size that is worth anything: the teacher's.
    """
    best = smallest_passed(tried)
    if best is None:
        too_small = max(failed, default=None)
        if too_small is None:
            return min(first, largest)
        up = max(too_small + 1, round(too_small / _STEP))
        return min(up, largest) if too_small < largest else None
    below = max((size for size in failed if size < best.size), default=-1)
    if best.size - below <= 1:
        return None
    if below == -1 and best.size > 2:
        return int(best.size * _STEP)
    return (best.size + below) // 2
