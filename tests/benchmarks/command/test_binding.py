"""What the record says; how long anything takes is for whoever runs the tool."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dspctl import runtime
from dspctl.benchmarks.calls.scheduling import Wanted
from dspctl.benchmarks.command.__main__ import main
from dspctl.benchmarks.command.answer import Answer
from dspctl.benchmarks.command.binding import (
    PROGRAM,
    Binding,
    _doing_nothing,
    _observations,
    binding_cost,
)
from dspctl.benchmarks.stats import Interval
from dspctl.errors import BackendUnavailable, ConfigProblem
from dspctl.exporter import export
from dspctl.runtime.backends.native_library import library_from_bundle
from dspctl.runtime.backends.native_runner import NativeRunner
from dspctl.runtime.bundle import open_bundle
from tests.benchmarks.command.programs import FakeProgram, option, samples_file
from tests.benchmarks.networks import network
from tests.exporter.native.tools import needs


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("gcc")
    path = tmp_path_factory.mktemp("binding") / "bundle"
    export(network((4, 8, 2)), "cpu", path)
    return path


def test_one_run_holds_all_three(bundle: Path) -> None:
    program = FakeProgram(program=40)
    rounds: list[tuple[int, int]] = []
    found = binding_cost(
        bundle,
        seconds=0.1,
        rounds=6,
        wanted=Wanted(cpu=9999),
        run=program,
        on_round=lambda *one: rounds.append(one),
    )
    assert (found.bundle, found.rounds) == ("bundle", 6)
    assert found.policy_sha256 == open_bundle(bundle).manifest.files["policy.safetensors"].sha256
    assert found.program_ns == Interval(40.0, 40.0, 40.0)
    assert found.calls >= 600
    # Rounds are whole, so differences of medians and medians of differences may be apart, but the
    # program's figure is the same in each of them.
    assert found.difference_ns.estimate == pytest.approx(found.native_ns.estimate - 40)
    assert rounds == [(done, 6) for done in range(1, 7)]
    assert "running on processor 9999 alone was refused" in found.notes[0]
    asked = [words for _, words in program.asked]
    assert "--block-calls" not in asked[0]
    assert {option(words, "--block-calls", "") for words in asked[1:]} == {"2500"}


def test_the_closure_around_nothing_leaves_the_action_alone(bundle: Path) -> None:
    opened = open_bundle(bundle)
    library = library_from_bundle(opened)
    observations = _observations(opened)
    with (
        NativeRunner(opened.policy, library) as native,
        NativeRunner(opened.policy, _doing_nothing(library)) as nothing,
    ):
        assert {int(native(one)) for one in observations} == {0, 1}
        assert {int(nothing(one)) for one in observations} == {0}


def test_observations_are_the_programs_and_take_the_fast_way(bundle: Path) -> None:
    golden = open_bundle(bundle).golden
    assert golden is not None
    found = _observations(open_bundle(bundle))
    np.testing.assert_array_equal(found, golden.observations[golden.status == 0])
    assert found.dtype is np.dtype(np.float32)
    with runtime.load(bundle, "native") as runner:
        assert all(runner(one).shape == () for one in found)


def binding(low: float, high: float) -> Binding:
    middle = Interval(0.5 * (low + high), low, high)
    same = Interval(400.0, 399.0, 401.0)
    return Binding("b", "cpu", "0", 20, 2000, same, same, same, same, middle, ())


@pytest.mark.parametrize(
    ("low", "high", "holds", "sentence"),
    [
        (-15.0, -8.0, True, "no more than the binding, by 8.0 to 15.0 ns"),
        (-3.0, 4.0, True, "no difference beyond it was measured (-3.0 to +4.0 ns)"),
        (16.0, 28.0, False, "16.0 to 28.0 ns of it are not the binding's"),
    ],
)
def test_the_conclusion_follows_from_the_interval(
    low: float, high: float, holds: bool, sentence: str
) -> None:
    found = binding(low, high)
    assert found.holds is holds
    assert found.conclusion.endswith(sentence)
    assert "takes 400.0 ns longer than the static program" in found.conclusion


def test_what_cannot_be_measured_is_refused(bundle: Path, tmp_path: Path) -> None:
    for changes in ({"rounds": 4}, {"seconds": 0.0}):
        with pytest.raises(ConfigProblem, match="at least 5 rounds and more than 0 seconds"):
            binding_cost(bundle, run=FakeProgram(program=40), **changes)
    export(network((4, 8, 2)), "onnx", tmp_path / "plain")
    with pytest.raises(BackendUnavailable, match="no native library"):
        binding_cost(tmp_path / "plain")

    def nothing(label: str, words: Sequence[str]) -> Answer:
        assert label == PROGRAM
        return Answer({}, samples_file())

    with pytest.raises(BackendUnavailable, match="measured no calls"):
        binding_cost(bundle, seconds=0.01, run=nothing)


def test_the_tool_prints_and_stores(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "binding.json"
    words = ["--seconds", "0.2", "--rounds", "5", "--out", str(out)]
    assert main([str(bundle), *words]) == 0
    printed = capsys.readouterr().out
    for part in ("static program", "binding alone", "native - program - binding", "5 rounds"):
        assert part in printed
    stored = json.loads(out.read_text())
    assert stored["machine"]["cpu"]
    found = stored["binding"]
    assert found["conclusion"].split()[0] in printed
    assert found["holds"] is (found["excess_ns"]["low"] <= 0)


def test_the_tool_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().err
