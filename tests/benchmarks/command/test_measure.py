"""The programs' turns, with programs that answer at once."""

from itertools import groupby
from typing import Any

import pytest

from dspctl.benchmarks.calls.latency import MAX_SINGLE_CALLS, summarize
from dspctl.benchmarks.calls.paced_figures import summarize_paced
from dspctl.benchmarks.command.answer import Answer
from dspctl.benchmarks.command.measure import (
    FEWEST_ROUNDS,
    MOST_ROUNDS,
    Mode,
    failures,
    measure_command,
)
from dspctl.benchmarks.comparison.ratios import latency_ratios
from dspctl.benchmarks.request import Request
from dspctl.errors import BackendUnavailable, ConfigProblem
from tests.benchmarks.command.programs import CLOCK_NS, FakeProgram, option, unique


def request(**changes: Any) -> Request:
    return Request(backends=("c",), **{"seconds": 2.0, "paced_seconds": 2.0, **changes})


def turns(program: FakeProgram) -> str:
    return "".join(label for label, _ in program.asked)


def test_subjects_take_turns_and_the_order_turns() -> None:
    program = FakeProgram(A=400, B=20)
    steps: list[tuple[int, int]] = []
    measure_command(
        "AB", program, request(), mode="back_to_back", on_step=lambda *one: steps.append(one)
    )
    assert turns(program) == "ABBA" * 5
    assert steps == [(done, 20) for done in range(1, 21)]


def test_a_round_is_on_one_processor_and_the_rounds_take_turns() -> None:
    program = FakeProgram(A=400, B=20)
    program.scheduling = {
        **{"fifo": None, "mlock": None},
        "cpu": {"value": 2, "granted": True},
    }
    found = measure_command("AB", program, request(), mode="back_to_back", cpus=(2, 5))
    where = [(label, option(words, "--cpu", "")) for label, words in program.asked]
    once = [("A", "2"), ("B", "2"), ("B", "2"), ("A", "2")]
    other = [(label, "5") for label, _ in once]
    assert where == [*once, *other, *once, *other, *once]
    assert found.scheduling.cpu is None  # nobody asked for one
    asked = FakeProgram(A=400, B=20)
    measure_command("AB", asked, request(cpu=3), mode="paced", cpus=(2, 5))
    assert {option(words, "--cpu", "") for _, words in asked.asked} == {"3"}


@pytest.mark.parametrize(
    ("seconds", "rounds", "each"),
    [(2.0, 10, "0.1"), (40.0, MOST_ROUNDS, "1"), (0.2, FEWEST_ROUNDS, "0.02"), (1e-3, 5, "0.01")],
)
def test_time_decides_on_the_number_of_rounds(seconds: float, rounds: int, each: str) -> None:
    program = FakeProgram(A=400, B=20)
    found = measure_command("AB", program, request(seconds=seconds), mode="back_to_back")
    assert len(found.samples["A"].single_ns) == len(program.asked) / 2 == rounds
    assert {option(words, "--seconds", "") for _, words in program.asked} == {each}
    # However long it is, the samples of a subject are bounded.
    kept = {int(option(words, "--keep", "")) for _, words in program.asked}
    assert kept == {MAX_SINGLE_CALLS // rounds}


def test_every_run_does_what_the_first_of_its_subject_did() -> None:
    program = FakeProgram(A=400, B=20)
    found = measure_command("AB", program, request(), mode="back_to_back").samples
    words = {label: [asked for one, asked in program.asked if one == label] for label in "AB"}
    for label, calls, blocks in (("A", "250", "8"), ("B", "5000", "9")):
        first, *others = words[label]
        assert "--block-calls" not in first
        for one in others:
            assert option(one, "--block-calls", "") == calls
            assert option(one, "--blocks", "") == blocks
            assert option(one, "--singles", "") == "3"
        assert found[label].calls_per_sample == int(calls)
        assert {block.size for block in found[label].batched_ns} == {int(blocks)}
        assert {block.size for block in found[label].single_ns} == {3 * int(blocks)}


def test_samples_are_kept_round_by_round() -> None:
    program = FakeProgram(A=400, B=20)
    found = measure_command("AB", program, request(), mode="back_to_back").samples
    # A run's number is in its last single call: A ran first, fourth, fifth, eighth …
    assert [int(block[-1]) - 400 for block in found["A"].single_ns[:4]] == [1, 4, 5, 8]
    assert [int(block[-1]) - 20 for block in found["B"].single_ns[:4]] == [2, 3, 6, 7]


def test_figures_and_ratios_are_made_as_those_of_python() -> None:
    found = measure_command("AB", FakeProgram(A=400, B=20), request(), mode="back_to_back")
    clock_ns = found.clock.cost_ns
    assert clock_ns == CLOCK_NS
    slow, fast = (summarize(label, "c", found.samples[label], clock_ns) for label in "AB")
    assert (slow.p50_ns.estimate, fast.p50_ns.estimate) == (400, 20)
    assert (slow.p90_ns, fast.p90_ns) == (400 + CLOCK_NS, 20 + CLOCK_NS)
    assert (slow.clock_bound, fast.clock_bound) == ((), ("p90", "p99", "p99_9", "max"))
    assert slow.warm_up_calls == 10 * 1000
    ratios = latency_ratios(found.samples, "A", "c", clock_cost_ns=clock_ns, seed=0)
    assert [(one.quantity, one.value.estimate) for one in ratios] == [("latency_p50", 20.0)]


def test_calls_longer_than_a_block_are_single_calls() -> None:
    found = measure_command("A", FakeProgram(A=90_000), request(), mode="back_to_back").samples["A"]
    assert found.calls_per_sample == 1
    assert {block.size for block in found.batched_ns} == {0}
    assert found.body is found.single_ns


def test_the_control_loop_runs_in_windows_as_that_of_python() -> None:
    program = FakeProgram(A=400, B=20)
    found = measure_command("AB", program, request(hz=100.0), mode="paced").steps
    assert turns(program) == "ABBA" * 2 + "AB"  # 100 steps each, in 5 windows of 20
    for _, words in program.asked:
        assert option(words, "--hz", "") == "100"
        assert option(words, "--steps", "") == "20"
        assert "--back-to-back" not in words
    assert found["A"].window_steps == (20,) * 5
    assert found["A"].period_ns == 10_000_000
    assert [value for value, _ in groupby(found["A"].wakeup_ns.tolist())] == [1, 4, 5, 8, 9]
    assert unique(found["B"].inference_ns) == [20]
    figures = summarize_paced("B", "c", found["B"], hz=100.0, clock_cost_ns=25)
    assert figures.steps == 100


def test_one_control_loop_runs_in_one_piece() -> None:
    program = FakeProgram(A=400)
    found = measure_command("A", program, request(hz=300.0), mode="paced").steps["A"]
    assert found.window_steps == (600,)
    assert found.period_ns == 3_333_333
    (only,) = program.asked
    # Whoever runs it waits so long.
    assert option(only[1], "--seconds", "") == "2"


def test_requests_to_the_system_are_passed_on_and_their_answers_come_back() -> None:
    program = FakeProgram(A=400)
    program.scheduling = {
        "cpu": {"value": 3, "granted": True},
        "fifo": {"value": 80, "granted": False, "reason": "Operation not permitted"},
        "mlock": {"granted": True},
        "governor": "performance",
    }
    asked = request(cpu=3, fifo=80, mlock=True)
    modes: tuple[Mode, ...] = ("back_to_back", "paced")
    for mode in modes:
        granted = measure_command("A", program, asked, mode=mode).scheduling
        assert granted.cpu is not None
        assert granted.mlock is not None
        assert granted.fifo is not None
        assert (granted.cpu.value, granted.cpu.granted) == (3, True)
        assert (granted.mlock.value, granted.mlock.granted) == (1, True)
        assert (granted.fifo.granted, granted.fifo.reason) == (False, "Operation not permitted")
        (note,) = granted.notes()
        assert "priority 80 under SCHED_FIFO was refused (Operation not permitted)" in note
    for _, words in program.asked:
        joined = " ".join(words)
        assert "--cpu 3 --fifo 80 --mlock" in joined


def test_a_request_refused_once_was_not_granted() -> None:
    program = FakeProgram(A=400)
    answers = iter([True, True, False] + [True] * 20)

    def run(label: str, words: Any) -> Answer:
        program.scheduling = {
            **{"cpu": None, "fifo": None},
            "mlock": {"granted": next(answers), "reason": "Cannot allocate memory"},
        }
        return program(label, words)

    found = measure_command("A", run, request(mlock=True), mode="back_to_back")
    assert found.scheduling.mlock is not None
    assert not found.scheduling.mlock.granted


def test_a_warm_up_settled_where_most_of_them_did() -> None:
    program = FakeProgram(A=400)
    program.settled = False
    found = measure_command("A", program, request(), mode="back_to_back").samples["A"]
    assert not found.warm_up.settled
    assert found.warm_up.call_ns == 400.5


def test_dropped_samples_are_told() -> None:
    program = FakeProgram(A=400)
    program.dropped = 7
    (note,) = measure_command("A", program, request(seconds=0.01), mode="back_to_back").notes
    assert "35 samples found no room" in note


@pytest.mark.parametrize("labels", [(), ("A", "A")])
def test_subjects_must_be_there_once(labels: tuple[str, ...]) -> None:
    with pytest.raises(ConfigProblem, match="at least one subject, each of them once"):
        measure_command(labels, FakeProgram(A=400), request(), mode="paced")


@pytest.mark.parametrize(
    ("mode", "change"),
    [
        ("back_to_back", lambda report: report.pop("back_to_back")),
        ("back_to_back", lambda report: report["back_to_back"].pop("warm_up")),
        ("back_to_back", lambda report: report["back_to_back"].update(singles_per_block=2.0)),
        ("back_to_back", lambda report: report["back_to_back"].update(singles_per_block=True)),
        ("back_to_back", lambda report: report["back_to_back"].update(singles_per_block=0)),
        ("back_to_back", lambda report: report["back_to_back"].update(singles_per_block=4)),
        ("back_to_back", lambda report: report["clock"].update(step_ns=-1)),
        ("back_to_back", lambda report: report["clock"]["cost_ns"].update(p50=float("nan"))),
        ("back_to_back", lambda report: report["clock"]["cost_ns"].update(p50="25")),
        ("back_to_back", lambda report: report.update(scheduling=None)),
        ("paced", lambda report: report.update(paced=None)),
        ("paced", lambda report: report["paced"].update(dropped=None)),
        ("paced", lambda report: report["scheduling"].update(cpu={"value": 1, "granted": 1})),
        ("paced", lambda report: report["scheduling"].update(cpu={"granted": False})),
    ],
)
def test_a_report_of_another_form_is_refused(mode: Any, change: Any) -> None:
    program = FakeProgram(A=400)

    def run(label: str, words: Any) -> Answer:
        answer = program(label, words)
        change(answer.report)
        return answer

    with pytest.raises(BackendUnavailable, match="export the bundle again with this dspctl"):
        measure_command("A", run, request(), mode=mode)


@pytest.mark.parametrize("changed", ["--blocks", "--block-calls", "--singles", "--steps"])
def test_another_number_of_samples_is_refused(changed: str) -> None:
    program = FakeProgram(A=400)

    def run(label: str, words: Any) -> Answer:
        other = list(words)
        if changed in other:
            place = other.index(changed) + 1
            other[place] = str(int(other[place]) + 1)
        return program(label, other)

    mode: Any = "paced" if changed == "--steps" else "back_to_back"
    with pytest.raises(BackendUnavailable, match="the program of 'A' was asked for"):
        measure_command("A", run, request(), mode=mode)


def test_failures_are_found_before_anything_is_measured() -> None:
    program = FakeProgram(A=400, B=20)

    def run(label: str, words: Any) -> Answer:
        if label == "B":
            raise BackendUnavailable("no program")
        return program(label, words)

    found = failures("AB", run)
    assert {label: str(error) for label, error in found.items()} == {"B": "no program"}
    assert len(program.asked) == 1
