"""Whether the parts of a result fit together; `decode` has looked at each alone.

A result may have been written by anybody. What draws and compares results looks subjects up by
label, divides by rates and takes medians: here is what it may rely on.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dspctl.benchmarks import request

if TYPE_CHECKING:
    from dspctl.benchmarks.record.result import BenchResult

MOST_SUBJECTS = 256
_MOST_RECORDS = 10_000
LARGEST_RETURN = 1e100
"""Its square is still a number."""
_LARGEST = 1e18
"""Of every figure: 30 years in nanoseconds, an exabyte."""


def check_result(result: "BenchResult") -> None:
    """Check what no field's type says.

    Raises:
        ValueError: no subjects, too many, or two of one name; a record of none of them, or of no
            backend; a figure that nothing measured could have.
    """
    labels = [subject.label for subject in result.subjects]
    if not labels or len(labels) > MOST_SUBJECTS or len(set(labels)) < len(labels):
        raise ValueError(f"it has no subjects, more than {MOST_SUBJECTS}, or one of them twice")
    for subject in result.subjects:
        _natural(subject, "subject")
    for kind, one in _records(result):
        if missing := {getattr(one, name) for name in _OF[kind]} - set(labels):
            raise ValueError(f"{kind} names {missing.pop()!r}, which is no subject")
        known = (*request.BACKENDS, "", *(("return",) if kind == "skipped" else ()))
        if getattr(one, "backend", "") not in known and kind != "ratios":
            raise ValueError(f"{kind} names {one.backend!r}, which is no backend")
        if kind in _UNSIGNED:
            _natural(one, kind)
    for memory in result.memory:
        if not memory.probes:
            raise ValueError("memory of no process")
    for loop in result.paced:
        if loop.rate_hz <= 0 or loop.period_ns <= 0:
            raise ValueError("a control loop has no rate")
        if not 0 <= loop.deadline_misses <= loop.steps or loop.steps < 1:
            raise ValueError("a control loop has no steps, or missed more deadlines than it had")
    for found in result.returns:
        if not found.returns or max(map(abs, found.returns)) > LARGEST_RETURN:
            raise ValueError("a subject has returns of no episode, or larger ones than there are")


_OF = {
    "latency": ("label",),
    "paced": ("label",),
    "memory": ("label",),
    "energy": ("label",),
    "returns": ("label",),
    "code": ("label",),
    "plans": ("label",),
    "skipped": ("label",),
    "advice": ("label",),
    "ratios": ("baseline", "subject"),
    "differences": ("baseline", "subject"),
}
"""The lists of records, and their fields that hold labels."""


def _records(result: "BenchResult") -> Iterator[tuple[str, Any]]:
    for kind in _OF:
        records = getattr(result, kind)
        if len(records) > _MOST_RECORDS:
            raise ValueError(f"it has {len(records)} records of {kind}")
        for one in records:
            yield kind, one


def _natural(record: Any, where: str) -> None:
    """Counts, sizes and times are not negative, and nothing is larger than anything is."""
    for name, value in vars(record).items():
        for number in _numbers(value):
            if not 0 <= number <= _LARGEST:
                raise ValueError(f"{where}: {name} holds {number}, which nothing measured is")


_UNSIGNED = ("latency", "paced", "code", "plans")
"""Records whose figures are times, counts and sizes. A difference may be below 0."""


def _numbers(value: Any) -> Iterable[float]:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return ()
    if isinstance(value, int | float):
        return (value,)
    if isinstance(value, tuple):
        return [number for one in value for number in _numbers(one)]
    if hasattr(value, "__dict__"):
        return [number for one in vars(value).values() for number in _numbers(one)]
    return ()
