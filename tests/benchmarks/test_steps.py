import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dspctl.benchmarks.command.answer import Answer
from dspctl.benchmarks.steps import Steps


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "bench.json"
    path.write_text("{}")
    return path


class Counting:
    """A program whose answers are numbered."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, label: str, arguments: Sequence[str]) -> Answer:
        self.asked.append((label, *arguments))
        return Answer({"n": len(self.asked)}, bytes([len(self.asked)]))


QUESTIONS = [("p", ["--seconds", "1"]), ("p", ["--seconds", "1"]), ("p", ["2"]), ("q", ["2"])]


def test_what_was_answered_is_not_asked_again(out: Path) -> None:
    first, second = Counting(), Counting()
    run = Steps(out, "key").keeping("c-latency", first)
    given = [run(*question) for question in QUESTIONS[:3]]
    run = Steps(out, "key").keeping("c-latency", second)
    again = [run(*question) for question in QUESTIONS]
    assert [one.report["n"] for one in again] == [1, 2, 3, 1]  # the last one is new
    assert [one.samples for one in again[:3]] == [one.samples for one in given]
    assert second.asked == [("q", "2")]
    other = Counting()
    Steps(out, "key").keeping("c-paced", other)("p", ["2"])
    assert len(other.asked) == 1  # of another measurement


def test_steps_go_with_their_measurement_their_benchmark_and_their_result(out: Path) -> None:
    steps = Steps(out, "key")
    steps.keep("numpy", "0", Answer({"a": 1}, b"x"))
    steps.keep("native", "0", Answer({"b": 1}, b"y"))
    steps.drop("numpy")
    assert steps.get("numpy", "0") is None
    kept = steps.get("native", "0")
    assert kept is not None
    assert (kept.report, kept.samples) == ({"b": 1}, b"y")
    assert Steps(out, "another").get("native", "0") is None

    steps = Steps(out, "another")
    steps.keep("native", "0", Answer({}, b""))
    out.unlink()
    assert Steps(out, "another").get("native", "0") is None
    steps.remove()
    assert not out.with_name("bench.steps").exists()
    steps.remove()


def test_half_an_answer_is_none(out: Path) -> None:
    steps = Steps(out, "key")
    steps.keep("numpy", "0", Answer({"a": 1}, b"x"))
    report = out.with_name("bench.steps") / "numpy-0.json"
    report.write_text(json.dumps([1]))
    assert steps.get("numpy", "0") is None
    report.unlink()
    assert steps.get("numpy", "0") is None


def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    steps = Steps(None, "key")
    steps.keep("numpy", "0", Answer({"a": 1}, b"x"))
    assert steps.get("numpy", "0") is None
    steps.drop("numpy")
    steps.remove()
    assert list(tmp_path.iterdir()) == []
