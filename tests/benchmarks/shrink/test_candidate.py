"""What a candidate's process is asked, and what it trains."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks.shrink import _candidate
from dspctl.benchmarks.shrink._candidate import POLICY, RUN, Job, config_of, run
from dspctl.benchmarks.shrink.ladder import Candidate, Start
from dspctl.errors import TrainingDiverged
from dspctl.runtime import load_policy, save_policy
from dspctl.trainer import TrainConfig, load_run
from dspctl.trainer.watch import Watch
from tests.benchmarks.networks import network
from tests.benchmarks.shrink.teachers import save_balancing


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_balancing(tmp_path_factory.mktemp("teacher"))


def job(teacher: Path, start: Start, *, begin: str = "", without: tuple[int, ...] = ()) -> Job:
    return Job(
        environment="CartPole-v1",
        teacher=str(teacher),
        candidate=Candidate(0, (), "tanh", start, 1, without),
        start=begin,
        hidden=(8, 8),
        steps=80_000,
        keep=0.9,
        returns=(500.0,) * 20,
    )


def test_rewards_alone_have_no_teacher(teacher: Path, tmp_path: Path) -> None:
    config = config_of(tmp_path, job(teacher, "rewards"))
    assert (config.method, config.teacher, config.seed) == ("linear", "", 1)
    assert config.actor_widths == ()
    assert config.hidden == (8, 8)  # the critic's
    assert config_of(tmp_path, job(teacher, "fresh")).teacher == str(teacher)


def test_rewards_alone_train_a_linear_policy_and_go_on_with_fewer_inputs(
    teacher: Path, tmp_path: Path
) -> None:
    point = run(tmp_path / "linear", job(teacher, "rewards"))
    assert point.network.units == ()
    assert point.network.mean >= 0.9 * 500
    assert load_run(tmp_path / "linear" / RUN).config.teacher == ""
    begin = tmp_path / "linear" / POLICY
    # The cart's position hardly matters; what the rest has learnt is there from the first trial on.
    asked = job(teacher, "rewards", begin=str(begin), without=(0,))
    config = config_of(tmp_path, asked)
    assert (config.distillation, config.imitation_end) == (0.0, 0.0)
    narrowed = run(tmp_path / "narrowed", asked)
    assert load_policy(tmp_path / "narrowed" / POLICY).inputs.tolist() == [1, 2, 3]
    assert narrowed.network.mean >= 0.9 * 500
    assert not narrowed.complete
    steps = [load_run(tmp_path / name / RUN).info["steps"] for name in ("linear", "narrowed")]
    assert steps[1] < 0.2 * steps[0]


def test_a_run_that_was_killed_before_its_settings_begins_again(
    teacher: Path, tmp_path: Path
) -> None:
    asked = replace(job(teacher, "fresh"), steps=4096, keep=0.0)
    (tmp_path / RUN).mkdir()
    # The settings are the last thing that a new run writes.
    (tmp_path / RUN / "run.json").write_text('{"schema": 1, "status": "running"}')
    assert run(tmp_path, asked).complete
    (tmp_path / RUN / "metrics.jsonl").unlink()
    for checkpoint in (tmp_path / RUN).glob("checkpoint*"):
        checkpoint.write_bytes(b"cut off")
    assert run(tmp_path, asked).network.units == ()


def test_a_run_that_diverges_is_a_network_like_any_other(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, looked, calls = _candidate.config_of, Watch.actor, itertools.count()

    def config(folder: Path, asked: Job) -> TrainConfig:
        return replace(made(folder, asked), checkpoint_seconds=0.0)

    def look(watch: Watch, *given: Any) -> None:
        if next(calls) == 6:
            raise TrainingDiverged("the actor's policy loss was nan")
        looked(watch, *given)

    monkeypatch.setattr(_candidate, "config_of", config)
    monkeypatch.setattr(Watch, "actor", look)
    point = run(tmp_path, replace(job(teacher, "fresh"), steps=20_480, keep=0.0))
    assert load_run(tmp_path / RUN).info["status"] == "diverged"
    assert point.complete  # more training would diverge again
    assert 9 <= point.network.mean <= 500


def test_what_starts_without_inputs_acts_like_its_start_at_first(
    teacher: Path, tmp_path: Path
) -> None:
    begin = save_policy(network((4, 2)), tmp_path / "begin.safetensors")
    config_of(tmp_path, job(teacher, "rewards", begin=str(begin), without=(2,)))
    start = load_policy(tmp_path / "start.safetensors")
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    observations[:, 2] = 0.0
    for one in observations:
        assert start.act(one) == load_policy(begin).act(one)
