"""PoPS: shrinking by hand, and whole procedures that are stopped, killed and gone on with."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dspctl.compactor import compact
from dspctl.errors import ConfigProblem, RunIncomplete
from dspctl.runtime import Layer, Policy
from dspctl.trainer import Progress, TrainConfig, load_run, train
from dspctl.trainer.distillation import open_teacher
from dspctl.trainer.environments import describe
from dspctl.trainer.pops.shrink import shrunk, weight_count
from dspctl.trainer.pops.sparsest import Sparsest, required_return
from dspctl.trainer.pops.stage import Stage, stage_config
from dspctl.trainer.runs.checkpoint import RunFolder
from tests.trainer.tiny import tiny

STEPS = 20_480  # two iterations for each of the ten stages


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny(method="ppo", steps=20_480)
    return train(config, tmp_path_factory.mktemp("teacher") / "run").run


@pytest.fixture(scope="module")
def config(teacher: Path) -> TrainConfig:
    return tiny(
        method="pops",
        steps=STEPS,
        teacher=str(teacher),
        objective=0.02,
        trials=2,
        imitation_rate=0.05,
        vector_backend="auto",
    )


@pytest.fixture(scope="module")
def run(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(config, tmp_path_factory.mktemp("pops") / "run").run


def pruned(policy: Policy, *shares: float) -> Policy:
    """*policy* with the first entries of each layer at 1 and the rest at 0."""
    layers = []
    for layer, share in zip(policy.layers, shares, strict=True):
        weight = np.zeros(layer.weight.size, np.float32)
        weight[: round(share * weight.size)] = 1
        layers.append(Layer(weight.reshape(layer.weight.shape), layer.bias, layer.activation))
    return replace(policy, layers=tuple(layers))


def test_widths_that_the_redundancy_calls_for(teacher: Path) -> None:
    policy = load_run(teacher).policy()  # 4-32-32-2
    assert shrunk(pruned(policy, 0.25, 0.1, 0.5)) == (8, 16)
    assert shrunk(pruned(policy, 1.0, 1.0, 1.0)) == (32, 32)
    assert shrunk(pruned(policy, 1 / 128, 0.1, 1 / 64)) == (1, 1)


def dense(policy: Policy, *hidden: int) -> Policy:
    """A policy of these widths with every weight at 1."""
    sizes = (4, *hidden, 2)
    layers = tuple(
        Layer(np.ones((out, into), np.float32), None, "tanh" if n < len(hidden) else "identity")
        for n, (into, out) in enumerate(pairwise(sizes))
    )
    return replace(policy, layers=layers)


def test_widths_of_fewer_and_more_layers(teacher: Path) -> None:
    policy = load_run(teacher).policy()
    # Of 4 * 20 + 20 * 2 weights 20 + 10 are left: a quarter.
    assert shrunk(pruned(dense(policy, 20), 0.25, 0.25)) == (5,)
    # The layer in the middle: sqrt(0.25 * 0.01) = 0.05 of 40.
    assert shrunk(pruned(dense(policy, 20, 40, 50), 0.5, 0.25, 0.01, 0.1)) == (10, 2, 5)


def test_the_sparsest_that_meets_the_objective_is_delivered(
    tmp_path: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earned = {2: (90.0, 90.0), 4: (80.0, 60.0), 6: (75.0, 71.0), 8: (30.0, 99.0)}

    def played(
        policy: Policy, task: object, config: object, episodes: int, **_: object
    ) -> np.ndarray:
        return np.full(episodes, earned[policy.lineage["steps"]][episodes > 16])

    monkeypatch.setattr("dspctl.trainer.selection.play_once", played)
    config = tiny(method="pops-prune", trials=4)
    folder = RunFolder.create(tmp_path / "stage", config, {"required": 70.0}, force=False)
    task = describe("CartPole-v1")
    selection = Sparsest(folder, config, task, iteration=0)
    policy = load_run(teacher).policy()
    assert [n for n in range(1, 9) if selection.due(n)] == [2, 4, 6, 8]
    assert selection.best() is None
    for iteration in (2, 4, 6, 8):
        selection.consider(iteration, policy.with_lineage(steps=iteration))
    best = selection.best()
    assert best is not None
    assert best.lineage["steps"] == 6, "8 failed its short trial, 6 met both"
    # A process that goes on from iteration 4 has forgotten what came after; 4 was luck.
    again = Sparsest(folder, config, task, iteration=4).best()
    assert again is not None
    assert again.lineage["steps"] == 2


@pytest.mark.parametrize(("mean", "required"), [(200.0, 190.0), (-100.0, -105.0)])
def test_what_is_required_of_a_student(
    teacher: Path, monkeypatch: pytest.MonkeyPatch, mean: float, required: float
) -> None:
    monkeypatch.setattr("dspctl.trainer.pops.sparsest.judged_return", lambda *_: mean)
    task = describe("CartPole-v1")
    given = required_return(open_teacher(teacher, task), task, tiny(method="pops"))
    assert given == pytest.approx(required)


def test_weights_are_counted_as_in_the_paper() -> None:
    assert weight_count(8, (9, 10), 4) == 8 * 9 + 9 * 10 + 10 * 4
    assert weight_count(8, (), 4) == 32


def test_a_run_delivers_the_last_student_that_met_the_objective(
    run: Path, config: TrainConfig
) -> None:
    opened = load_run(run)
    rounds = opened.info["rounds"]
    required = opened.info["objective"]["required"]
    assert opened.finished
    assert [each["met"] for each in rounds] == [each["mean"] >= required for each in rounds]
    met = [each for each in rounds if each["met"]]
    assert opened.info["delivered"] == (met[-1]["stage"] if met else None)
    assert len(met) >= 2, "the objective is low enough for a round"
    stages = [load_run(run / "stages" / each["stage"]) for each in rounds]
    assert sum(stage.info["steps"] for stage in stages) == opened.info["steps"] <= config.steps
    policy = opened.policy()
    delivered = load_run(run / "stages" / met[-1]["stage"]).policy()
    for one, other in zip(policy.layers, delivered.layers, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)
    assert policy.lineage["method"] == "pops"
    assert [layer.width for layer in policy.hidden] == met[-1]["units"]
    compaction = compact(policy, observations=opened.observations())
    np.testing.assert_allclose(
        compaction.policy.outputs(opened.observations()[:100]),
        policy.outputs(opened.observations()[:100]),
        rtol=1e-3,
        atol=1e-5,
    )


def test_it_can_teach_though_its_checkpoints_are_in_its_stages(run: Path, tmp_path: Path) -> None:
    hidden = load_run(run).config.hidden
    student = tiny(method="kd", teacher=str(run), hidden=hidden, actor_hidden=(3,), steps=1024)
    assert train(student, tmp_path / "student").finished


def test_a_fresh_student_has_the_widths_and_the_next_round_its_weights(run: Path) -> None:
    rounds = load_run(run).info["rounds"]
    assert [each["stage"] for each in rounds[:2]] == ["1-prune", "1-distil"]
    widths = shrunk(load_run(run / "stages" / "1-prune").policy())
    student = load_run(run / "stages" / "1-distil")
    assert student.config.hidden == widths
    assert [layer.width for layer in student.policy().hidden] == list(widths)


def test_metrics_count_over_all_stages(run: Path) -> None:
    opened = load_run(run)
    rows = opened.metrics()
    assert [row["iteration"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["steps"] for row in rows] == [1024 * n for n in range(1, len(rows) + 1)]
    full = weight_count(4, (32, 32), 2)
    distilled = load_run(run / "stages" / "1-distil").config.hidden
    assert rows[1]["unit_sparsity"] == 0
    at = next(row for row in rows if row["units"] == list(distilled))
    assert at["weight_sparsity"] == pytest.approx(1 - weight_count(4, distilled, 2) / full)
    assert at["unit_sparsity"] == pytest.approx(1 - sum(distilled) / 64)


def test_stages_differ_in_their_seeds(config: TrainConfig) -> None:
    seeds = {stage_config(config, Stage("prune", n, (8, 8))).seed for n in range(10)}
    assert len(seeds | {config.seed}) == 11


def test_stopping_and_going_on(tmp_path: Path, config: TrainConfig) -> None:
    config = replace(config, objective=0.3)
    seen: list[Progress] = []
    calls = iter(range(1_000))
    # After the first of the second stage's two iterations.
    train(config, tmp_path / "run", on_progress=seen.append, should_stop=lambda: next(calls) == 2)
    stopped = load_run(tmp_path / "run")
    assert stopped.info["status"] == "interrupted"
    assert [each["stage"] for each in stopped.info["rounds"]] == ["1-prune"]
    first = (tmp_path / "run" / "stages" / "1-prune" / "checkpoint.safetensors").read_bytes()
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    for name in ("run", "copy"):
        train(config, tmp_path / name, resume=True, on_progress=seen.append)
    one, other = (load_run(tmp_path / name) for name in ("run", "copy"))
    assert one.finished
    assert one.info["rounds"] == other.info["rounds"]
    assert len(one.info["rounds"]) >= 2
    for a, b in zip(one.policy().layers, other.policy().layers, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)
    again = (one.path / "stages" / "1-prune" / "checkpoint.safetensors").read_bytes()
    assert again == first, "a stage that was finished is not trained again"
    assert {each.phase for each in seen} == {"pruning", "distillation"}
    assert all(each.total_steps == STEPS for each in seen)


def test_killed_in_the_middle_and_gone_on_with(tmp_path: Path, config: TrainConfig) -> None:
    run = tmp_path / "run"
    config = replace(config, objective=0.3, checkpoint_seconds=0.0)
    program = (
        "from pathlib import Path\nfrom dspctl.trainer import TrainConfig, train\n"
        f"config = TrainConfig.from_json({config.to_json()!r})\n"
        f"train(config, Path({str(run)!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        metrics = run / "stages" / "1-prune" / "metrics.jsonl"
        while not metrics.is_file() or not metrics.read_text().count("\n"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not load_run(run).finished
    with pytest.raises(RunIncomplete, match="--resume"):
        load_run(run).policy()
    assert train(config, run, resume=True).finished
    opened = load_run(run)
    assert opened.info["delivered"] is not None
    rows = opened.metrics()
    assert [row["iteration"] for row in rows] == list(range(1, len(rows) + 1))
    assert opened.info["steps"] == rows[-1]["steps"]


def test_a_stage_cut_off_before_its_first_checkpoint_begins_again(
    tmp_path: Path, run: Path, config: TrainConfig
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    before = load_run(copy).info["rounds"]
    last = copy / "stages" / before[-1]["stage"]
    (last / "checkpoint.safetensors").unlink()
    (copy / "policy.safetensors").unlink()
    assert train(config, copy, resume=True).finished
    assert load_run(copy).info["rounds"] == before


def test_no_student_good_enough_delivers_the_teacher(
    tmp_path: Path, config: TrainConfig, teacher: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strict = replace(config, objective=1.0, sparsity=0.99, epochs=1, learning_rate=1e-6)
    opened = load_run(train(strict, tmp_path / "run").run)
    assert opened.info["delivered"] is None
    assert "so the policy of" in caplog.text
    for one, other in zip(opened.policy().layers, load_run(teacher).policy().layers, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)


def test_too_few_steps_are_refused(tmp_path: Path, config: TrainConfig) -> None:
    with pytest.raises(ConfigProblem, match="raise --steps to 10240"):
        train(replace(config, steps=9_000), tmp_path / "run")
