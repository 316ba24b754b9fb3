"""What figures of memory cannot show, in sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from dspctl.benchmarks.request import C

COMPARED = {"pss_bytes": "PSS", "peak_rss_bytes": "peak memory"}
"""Figures by which subjects are compared, and what to call them."""


def spread_notes(
    figures: Mapping[str, Mapping[str, Sequence[int]]], label: str, backend: str
) -> Iterator[str]:
    """Say so where the subjects differ by less than one process differs from the next.

    Args:
        figures: one of `COMPARED` → label → bytes of each process; 0 where the system does not
            tell.
        label: the subject whose notes these are.
        backend: what ran it.
    """
    if any(0 in figures[name][label] for name in COMPARED):
        yield "this system's /proc does not tell, so memory is not known here: measure on Linux"
        return
    alike = []
    for name, words in COMPARED.items():
        own = figures[name][label]
        if len(figures[name]) < 2 or len(own) < 2:
            return
        medians = [median(values) for values in figures[name].values()]
        spread, apart = max(own) - min(own), max(medians) - min(medians)
        if apart <= spread:
            alike.append(f"{words} by {apart / 1024:.0f} KiB, equal ones {spread / 1024:.0f} KiB")
    if alike:
        rest = "its C library fills" if backend == C else "Python and NumPy fill"
        yield (
            f"processes of different subjects differ no more than equal ones ({'; '.join(alike)}): "
            f"take the policy's bytes to compare them, {rest} the rest"
        )


def sharing_notes(shared: Iterable[str]) -> Iterator[str]:
    """Say so where the measuring process has loaded these libraries itself."""
    for library in shared:
        yield (
            f"the measuring process had {library} loaded too, so PSS counts only a share of that "
            "library: measure memory in a process that has not opened this backend"
        )
