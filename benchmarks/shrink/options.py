"""How to search."""

from dataclasses import dataclass

EPISODES = 100
FIRST_SIZE = 18
"""Where the search begins: 93% of two layers of 128 are gone, which a student usually survives."""


@dataclass(frozen=True)
class Options:
    """How to search.

    Attributes:
        budget_s: longest time for training candidates; the last ones are stopped.
        jobs: candidates trained side by side; 0 takes one per processor.
        tries: most attempts at one size, and at leaving out one more input.
        first: hidden units to begin with, the teacher's at most; 0 takes `FIRST_SIZE`.
        steps: environment steps of a candidate; 0 takes the recipe's.
    """

    budget_s: float = 1800.0
    jobs: int = 0
    tries: int = 4
    first: int = 0
    steps: int = 0
