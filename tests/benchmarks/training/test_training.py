import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gymnasium")

from dspctl.benchmarks.training import __main__ as training
from dspctl.benchmarks.training._worker import Timing, run
from dspctl.benchmarks.training.result import Contender, TrainingResult
from dspctl.benchmarks.training.runs import CONTENDERS, compare, run_process
from dspctl.errors import ConfigProblem
from dspctl.runtime.files import write_json
from dspctl.trainer import recipe

OWN = Contender("own", "dspctl", "envpool")
ONE = Contender("SB3, 1 thread", "stable-baselines3", "gymnasium", threads=1)
TWO = Contender("SB3, 2 threads", "stable-baselines3", "gymnasium", threads=2)
SBX = Contender("sbx", "sbx", "gymnasium")
SPEEDS = {"own": 3000.0, "SB3, 1 thread": 1000.0, "SB3, 2 threads": 1200.0, "sbx": 1500.0}


class FakeRuns:
    """Answers as the worker would, at known speeds; later repeats are 10% slower for all."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def __call__(
        self, contender: Contender, config: Mapping[str, Any]
    ) -> tuple[float, dict[str, Any]]:
        self.asked.append((contender.name, config))
        if contender.name == "missing":
            return 0.1, {"reason": "run  pip install 'dspctl[peers]'"}
        speed = SPEEDS[contender.name] * (1 - 0.1 * config["seed"])
        timing = Timing(
            steps=6000,
            learn_s=6000 / speed,
            construct_s=0.5,
            warm_up_s=0.0,
            environment_s=600 / speed,
            acting_s=2400 / speed,
            update_s=3000 / speed,
            episode_return=None if contender.name == "sbx" else 123.0,
            raw_steps_per_s=2 * speed,
        )
        return 9.0, asdict(timing)


def compared(tmp_path: Path, *contenders: Contender) -> tuple[TrainingResult, FakeRuns]:
    runs = FakeRuns()
    result = compare(
        ["CartPole-v1"],
        repeats=2,
        steps=6000,
        out=tmp_path / "training.json",
        contenders=contenders,
        run=runs,
    )
    return result, runs


def test_contenders_take_turns_with_the_same_work(tmp_path: Path) -> None:
    _, runs = compared(tmp_path, OWN, ONE, SBX)
    names = [name for name, _ in runs.asked]
    assert names == ["own", "SB3, 1 thread", "sbx", "sbx", "SB3, 1 thread", "own"]
    for _, config in runs.asked:
        assert config["target_kl"] == 0
        assert (config["environments"], config["rollout_steps"]) == (8, 128)
        assert (config["minibatch"], config["epochs"], config["steps"]) == (256, 10, 6000)
    assert [config["seed"] for _, config in runs.asked] == [0, 0, 0, 1, 1, 1]
    assert runs.asked[0][1]["vector_backend"] == "envpool"


def test_the_better_thread_count_is_compared_with(tmp_path: Path) -> None:
    result, _ = compared(tmp_path, OWN, ONE, TWO, SBX)
    ratios = {one.peer: one for one in result.ratios("CartPole-v1")}
    assert set(ratios) == {"SB3, 2 threads", "sbx"}
    # Both repeats were slowed alike, so the paired ratio does not move.
    assert ratios["SB3, 2 threads"].median == pytest.approx(2.5)
    assert ratios["SB3, 2 threads"].low == pytest.approx(2.5)
    assert ratios["sbx"].high == pytest.approx(2.0)


def test_json_after_every_run_and_unavailable_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dspctl.benchmarks.training import runs as training_runs

    states: list[dict[str, Any]] = []

    def write_and_read(path: Path, value: Any) -> None:
        write_json(path, value)
        states.append(json.loads(path.read_text()))

    monkeypatch.setattr(training_runs, "write_json", write_and_read)
    missing = Contender("missing", "sbx", "gymnasium")
    result, runs = compared(tmp_path, OWN, missing)
    assert [name for name, _ in runs.asked].count("missing") == 1
    assert [len(one["measured"]) for one in states] == [1, 1, 2, 2]
    assert [one["status"] for one in states] == ["partial"] * 3 + ["complete"]
    assert states[-1]["unavailable"][0]["reason"].startswith("run  pip install")
    assert states[-1]["measured"][0]["steps_per_s"] == pytest.approx(3000)
    assert result.ratios("CartPole-v1") == []


def test_table_shows_speeds_split_and_ratios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result, _ = compared(tmp_path, OWN, ONE, TWO, SBX)
    monkeypatch.setattr(training, "compare", lambda *args, **kwargs: result)
    monkeypatch.setenv("COLUMNS", "80")
    assert training.main(["--env", "CartPole-v1"]) == 0
    out = capsys.readouterr().out
    speeds, times, *_ = (line for line in out.splitlines() if line.startswith("│ own"))
    # 2,850 is the median of 3,000 and 2,700; 10% environment, 50% update, half of raw stepping.
    for cell in ("2,850", "2,700–3,000", "50%", "123"):
        assert cell in speeds
    for cell in ("10%", "40%", "50%"):
        assert cell in times
    assert "2.50 (2.50–2.50)" in out


def test_bad_arguments_exit_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert training.main(["--repeats", "0"]) == 2
    assert "repeats must be at least 1" in capsys.readouterr().err
    with pytest.raises(ConfigProblem):
        compare(["CartPole-v1"], repeats=0)


def test_default_contenders() -> None:
    programs = {(one.program, one.vector, one.threads) for one in CONTENDERS}
    assert {("stable-baselines3", "gymnasium", 1), ("stable-baselines3", "gymnasium", 2)} < programs
    assert ("sbx", "gymnasium", None) in programs
    assert {one.method for one in CONTENDERS if one.program == "dspctl"} == {"ppo", "dsp"}


def test_a_real_run_of_this_trainer() -> None:
    config = recipe(
        "CartPole-v1", method="ppo", steps=2_048, target_kl=0.0, vector_backend="gymnasium"
    )
    timing = run({"program": "dspctl", "config": config.to_json()})
    assert timing.steps == 2_048
    assert 0 < timing.environment_s + timing.acting_s + timing.update_s < timing.learn_s
    assert timing.episode_return is not None
    assert timing.raw_steps_per_s > 0


def test_a_peer_that_is_not_installed_says_how_to_install_it() -> None:
    # Looked for, not imported: where it is installed, importing it takes seconds and warns.
    if find_spec("sbx") is not None:
        pytest.skip("sbx is installed")
    config = recipe("CartPole-v1", method="ppo", steps=2_048, target_kl=0.0)
    _, answer = run_process(SBX, config.to_json())
    assert "dspctl[peers]" in answer["reason"]
