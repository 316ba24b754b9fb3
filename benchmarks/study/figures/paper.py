"""What the DSP paper reports, to stand beside what was measured here.

arXiv 2402.05146. Its environments are named without versions; CartPole and LunarLander fit
CartPole-v1 and LunarLander-v2, whose successor v3 is used here. Numbers that cannot be, or that
contradict each other, are given as printed, each with a sentence.
"""

from dataclasses import dataclass

from dspctl.benchmarks.study.figures.collection import HEADLINE, same
from dspctl.benchmarks.study.figures.wording import DASH, percent, table


@dataclass(frozen=True)
class Reported:
    """One return that the paper prints.

    Attributes:
        task: the environment as the paper names it.
        method: the method, by its name here.
        mean: mean return.
        deviation: standard deviation as printed, None without one.
        note: what is odd about it, empty if nothing is.
    """

    task: str
    method: str
    mean: float
    deviation: float | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """As the paper prints it, with a mark where there is a note."""
        deviation = f" ± {self.deviation:.2f}" if self.deviation is not None else ""
        return f"{self.mean:.2f}{deviation}{'*' if self.note else ''}"


REPORTED = (
    Reported(
        "CartPole",
        "ppo",
        449.22,
        note="The most that CartPole-v1 can give is 500; the stated goal of 195 is CartPole-v0's.",
    ),
    Reported(
        "CartPole",
        "dsp",
        272.99,
        124.96,
        "Printed as 272.99, as 268.26 and, in a summary, as 509.28, which CartPole-v1 cannot give. "
        "The text says that less than 8.2% is lost; 449.22 to 272.99 is 39%.",
    ),
    Reported("CartPole", "sgs", 268.26, note="The same number is printed for DSP."),
    Reported(
        "CartPole", "dropout", -52.22, note="Impossible: every step of CartPole is rewarded with 1."
    ),
    Reported(
        "LunarLander",
        "ppo",
        -61.03,
        note="The task counts as solved at 200; this PPO did not learn it.",
    ),
    Reported(
        "LunarLander",
        "dsp",
        -28.09,
        157.55,
        "Called the highest, although PoPS is given as 134; neither this nor its unpruned PPO "
        "solves the task.",
    ),
    Reported("LunarLander", "pops", 134.0),
    Reported(
        "Hopper",
        "dsp",
        1476.62,
        997.43,
        "Hopper is said to have 4 outputs; it has 3.",
    ),
    Reported(
        "Walker2d",
        "dsp",
        1310.67,
        899.28,
        "Printed elsewhere as 2310.67.",
    ),
)
"""Every return of the paper that is a number, at 93% of the units where it prunes."""

_GENERAL = (
    "93% of the neurons and 96% of the weights are said to be gone from an actor of 2×128 units; "
    "18 units left of 256 means that at least 98.35% of the weights are gone once it is compacted.",
    "Five runs a cell; a score is the average return over the last 30 evaluations of a run. "
    "Neither the steps of a run nor PPO's settings are given.",
)


def reported(environment: str, method: str, sparsity: float | None) -> Reported | None:
    """The paper's number for a row of a table, None where it has none.

    Args:
        environment: gymnasium id, compared without its version.
        method: by its name here.
        sparsity: that of the row; the paper's numbers are of 93% and of no pruning.
    """
    if sparsity is not None and not same(sparsity, HEADLINE):
        return None
    task = environment.rpartition("-v")[0]
    return next((one for one in REPORTED if (one.task, one.method) == (task, method)), None)


def paper_table() -> str:
    """Every number of the paper, with what is odd about it."""
    rows = [
        [
            one.task,
            f"`{one.method}`",
            DASH if one.method == "ppo" else percent(HEADLINE),
            one.text.removesuffix("*"),
            one.note or DASH,
        ]
        for one in REPORTED
    ]
    general = "".join(f"\n- {sentence}" for sentence in _GENERAL)
    text = table(
        ("Environment", "Method", "Sparsity", "Return, as printed", "Remark"), rows, left=(0, 1, 4)
    )
    return f"{text}\n{general}"
