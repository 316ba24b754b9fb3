import math

import pytest

from dspctl.cli import show


@pytest.mark.parametrize(
    ("value_ns", "expected"),
    [
        (0, "0 ns"),
        (31, "31 ns"),
        (31.25, "31.2 ns"),
        (999, "999 ns"),
        (4180, "4.18 µs"),
        (123_456, "123 µs"),
        (1.5e6, "1.50 ms"),
        (2.0e9, "2.00 s"),
    ],
)
def test_latency(value_ns: float, expected: str) -> None:
    assert show.latency(value_ns) == expected


@pytest.mark.parametrize(
    ("value_bytes", "expected"),
    [(0, "0 B"), (608, "608 B"), (1000, "1.00 kB"), (73_728, "73.7 kB"), (39.7e6, "39.7 MB")],
)
def test_size(value_bytes: float, expected: str) -> None:
    assert show.size(value_bytes) == expected


@pytest.mark.parametrize(
    ("value_s", "expected"),
    [(0.04, "0.0 s"), (7.25, "7.2 s"), (60, "1 min 00 s"), (200.4, "3 min 20 s")],
)
def test_duration(value_s: float, expected: str) -> None:
    assert show.duration(value_s) == expected


def test_latency_range_names_a_shared_unit_once() -> None:
    assert show.latency_range(8690, 8730) == "8.69–8.73 µs"
    assert show.latency_range(990, 1010) == "990 ns–1.01 µs"


def test_counts_shares_ratios_and_units() -> None:
    assert show.count(17_920) == "17,920"
    assert show.share(238 / 256) == "93.0%"
    assert show.times(14.234) == "14.2×"
    assert show.times(1.2) == "1.20×"
    assert show.times(0.9814) == "0.981×"
    assert show.times(2050.0) == "2,050×"
    assert show.units((9, 9)) == "9-9"
    assert show.units(()) == "no hidden layer"


def test_a_return_that_does_not_exist_yet_is_a_dash() -> None:
    assert show.number(None) == "–"
    assert show.number(math.nan) == "–"
    assert show.number(499.96) == "500.0"


def test_json_refuses_what_json_does_not_have() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        show.result_json({"return": math.nan})


def test_without_a_terminal_progress_is_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with show.task_bar("work") as advance:
        for done in range(1, 1001):
            advance(done, 1000, "details")
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[-1] == "work: 100%  details"
    assert len(lines) <= 11
