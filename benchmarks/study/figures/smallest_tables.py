"""The table of the smallest networks that keep a share of their teachers' returns."""

from dspctl.benchmarks.study.figures.wording import (
    DASH,
    Notes,
    number,
    share_gone,
    table,
)
from dspctl.benchmarks.study.smallest.record import Shrunk, Smallest

NO_SEARCHES = "No searches are stored yet."

_HEAD = (
    *("Environment", "Seed", "Teacher earns", "Layers", "Units", "Inputs", "Weights", "gone"),
    *("Kept", "at least", "Networks", "Minutes", "Call in C", "Teacher's / its"),
)


def smallest_table(found: Smallest | None) -> str:
    """A row a teacher: what was found, what it keeps on other episodes, what it cost to find."""
    if found is None or not found.searches:
        return NO_SEARCHES
    notes = Notes()
    shares = sorted({one.search.goal.keep for one in found.searches})
    notes.add(
        f"Asked for: {' or '.join(f'{share:.0%}' for share in shares)} of the teacher's return, at "
        "the lower end of a one-sided 95% interval. *Kept* and *at least* are of 100 other "
        "episodes, which chose nothing."
    )
    notes.add(
        "Calls are medians of the C code, random observations, teacher and network in turns on "
        f"{found.machine.cpu}, {found.machine.cores} cores."
    )
    return table(_HEAD, [_row(one, notes) for one in found.searches], notes, left=(0, 3))


def _row(one: Shrunk, notes: Notes) -> list[str]:
    search, point = one.search, one.chosen
    teacher = search.teacher
    first = [search.environment, str(one.seed)]
    last = [str(len(search.points)), f"{search.seconds / 60:.0f}"]
    if not search.exhausted:
        last[-1] += "\\*"
        notes.add(
            "\\* Ended by its time, with more to try: there may be a smaller network, or one that "
            "reads fewer inputs."
        )
    if point is None or search.confirmation is None or one.call_ns is None:
        notes.add("A dash: no network was shown to keep that share.")
        return [*first, number(teacher.mean), *[DASH] * 7, *last, DASH, DASH]
    network, kept = point.network, search.confirmation.kept()
    returns = search.confirmation.teacher
    return [
        *first,
        number(sum(returns) / len(returns)),
        "-".join(map(str, network.units)) or "linear",
        f"{network.size}",
        f"{network.inputs} of {teacher.inputs}",
        f"{network.weights:,}",
        share_gone(network.weights / teacher.weights),
        f"{kept.share:.1%}",
        f"{kept.low:.1%}",
        *last,
        f"{one.call_ns:.0f} ns",
        f"{one.teacher_call_ns / one.call_ns:.0f}",
    ]
