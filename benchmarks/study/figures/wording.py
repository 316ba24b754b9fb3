"""Numbers and tables as the documents write them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dspctl.benchmarks.stats import Interval
from dspctl.benchmarks.study.figures.collection import Group

DASH = "–"


@dataclass
class Notes:
    """Remarks under a table, each once, in the order in which they came up."""

    lines: list[str] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        """Keep a sentence that is not there yet."""
        if sentence not in self.lines:
            self.lines.append(sentence)

    def text(self) -> str:
        """A list, empty without remarks."""
        return "".join(f"\n- {line}" for line in self.lines)


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Notes | None = None,
    *,
    left: Sequence[int] = (0,),
) -> str:
    """A Markdown table with its notes under it; columns of text are *left*, others right."""
    rule = "".join("---|" if place in left else "---:|" for place in range(len(head)))
    lines = [f"| {' | '.join(head)} |", f"|{rule}", *(f"| {' | '.join(row)} |" for row in rows)]
    below = notes.text() if notes else ""
    return "\n".join(lines) + (f"\n{below}" if below else "")


def number(value: float | None) -> str:
    """A return: one decimal, none from 1000 on; a dash for None."""
    if value is None:
        return DASH
    text = f"{value:.0f}" if abs(value) >= 999.95 else f"{value:.1f}"
    return text.removeprefix("-") if float(text) == 0 else text


def with_deviation(group: Group) -> str:
    """Mean ± standard deviation over seeds, both as exact; of one seed the mean alone."""
    deviation = group.standard_deviation
    if deviation is None:
        return number(group.mean)
    text = number(group.mean)
    return f"{text} ± {deviation:.{1 if '.' in text else 0}f}"


def span(interval: Interval | None) -> str:
    """Both ends of an interval of returns in brackets; a dash for None."""
    return f"[{number(interval.low)}, {number(interval.high)}]" if interval else DASH


def fraction(value: float | None) -> str:
    """A normalised return or a probability with two decimals; a dash for None."""
    return DASH if value is None else f"{value:.2f}".replace("-0.00", "0.00")


def fractions(interval: Interval | None) -> str:
    """Both ends of an interval of fractions in brackets; a dash for None."""
    return f"[{fraction(interval.low)}, {fraction(interval.high)}]" if interval else DASH


def signed(value: float) -> str:
    """A difference of fractions with its sign: ``+0.03``, ``−0.10``, ``0.00``."""
    text = f"{value:+.2f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def signed_span(interval: Interval) -> str:
    """Both ends of an interval of differences in brackets."""
    return f"[{signed(interval.low)}, {signed(interval.high)}]"


def share(value: float | None) -> str:
    """A share in per cent, rounded; a dash for None."""
    return DASH if value is None else f"{100 * value:.0f}%"


def share_gone(left: float) -> str:
    """What is gone where *left* is left, with enough digits not to read 100%."""
    gone = 100 * (1 - left)
    if gone >= 99.95:
        return f"{gone:.2f}%" if gone < 99.995 else f"{gone:.3f}%"
    return f"{gone:.1f}%"


def count(values: Sequence[int]) -> str:
    """Mean of whole numbers over seeds, rounded."""
    return f"{np.mean(values):,.0f}"


def layouts(group: Group) -> str:
    """Units per layer of each seed's policy, equal ones once: ``9-9 ×3, 10-8``."""
    texts = ["-".join(map(str, cell.units)) or "none" for cell in group.cells]
    found = {text: texts.count(text) for text in texts}
    return ", ".join(f"{text} ×{times}" if times > 1 else text for text, times in found.items())


def percent(sparsity: float | None) -> str:
    """A sparsity: 0.93 → 93%, 0.985 → 98.5%; a dash for None."""
    return DASH if sparsity is None else f"{round(100 * sparsity, 2):g}%"


def named_seeds(values: Sequence[int]) -> str:
    """``seed 3``, ``seeds 0, 2`` or ``seeds 0 to 4``."""
    return f"seed{'s' if len(values) > 1 else ''} {seeds(values)}"


def seeds(values: Sequence[int]) -> str:
    """Seeds: ``0 to 4`` where they follow each other, else one by one."""
    whole = list(values)
    if len(whole) > 2 and whole == list(range(whole[0], whole[-1] + 1)):
        return f"{whole[0]} to {whole[-1]}"
    return ", ".join(map(str, whole))
