"""One number on the page, and where it stands in the result's JSON.

A figure carries the pointer to its place, so that anybody, a test among them, can compare the page
with the file. It is a JSON pointer (RFC 6901) with three additions: ``*`` is the median over a
list, ``a+b`` the sum of two fields, and a list is summed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report import words
from dspctl.benchmarks.stats import Interval

Format = Callable[[float], str]


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        pointer: where it stands in the result's JSON.
        value: exactly as it stands there.
        text: as it is read.
        interval: its confidence interval as text, or empty.
        aside: what else is said of it, in small print.
        bound: True where it is an upper bound only.
    """

    pointer: str
    value: float
    text: str
    interval: str = ""
    bound: bool = False
    aside: str = ""


@dataclass(frozen=True)
class Row:
    """One quantity of all subjects.

    Attributes:
        name: of the quantity.
        figures: one entry per subject, None where it was not measured.
        ratios: baseline against each other subject, None where there is none.
    """

    name: str
    figures: tuple[Figure | None, ...]
    ratios: tuple[Figure | None, ...]


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class BackendTable:
    """Everything about one backend.

    Attributes:
        backend: its name.
        headline: the row that stands for all: the median back to back.
        groups: every row.
    """

    backend: str
    headline: Row
    groups: tuple[Group, ...]


def ratio_figure(
    result: BenchResult, quantity: str, subject: str, backend: str | None = None
) -> Figure | None:
    """Baseline against *subject*, None where there is no such ratio."""
    for index, one in enumerate(result.ratios):
        if (one.quantity, one.subject, one.backend) == (quantity, subject, backend):
            return interval_figure(f"/ratios/{index}/value", one.value, words.times_of)
    return None


def interval_figure(pointer: str, value: Interval, form: Format) -> Figure:
    """An estimate with its interval; one without width has none."""
    exact = value.confidence == 1.0 or value.low == value.high
    return Figure(
        f"{pointer}/estimate",
        value.estimate,
        form(value.estimate),
        "" if exact else words.range_of(form(value.low), form(value.high)),
    )
