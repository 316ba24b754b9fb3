"""Learning from a teacher: what it says, what is taken over, and runs from end to end."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.errors import ConfigProblem, TeacherMismatch
from dspctl.runtime import ActionRule, Normalizer, Policy, load_policy, save_policy
from dspctl.runtime.policy.guard import default_guard
from dspctl.trainer import TrainConfig, load_run, recipe, train
from dspctl.trainer.distillation import Memory, Teacher, open_teacher
from dspctl.trainer.distillation.inheritance import take_over
from dspctl.trainer.distillation.phases import distillation_at, imitates
from dspctl.trainer.environments import describe
from dspctl.trainer.runs.state import TrainState
from tests.benchmarks.networks import masked, network
from tests.trainer.tiny import tiny

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def teacher_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("teacher") / "run"
    train(tiny(method="ppo", normalize_observations=True), run)
    return run


def cartpole(policy: Policy) -> Policy:
    task = describe("CartPole-v1")
    return replace(
        policy,
        environment="CartPole-v1",
        observation=task.observation,
        action=task.action,
        guard=default_guard(4, task.action),
    )


def test_a_discrete_teacher_says_probabilities() -> None:
    policy = network((4, 8, 8, 2))
    raw = RNG.normal(size=(50, 4)).astype(np.float32)
    logits = policy.outputs(raw.astype(np.float64))
    expected = 1 / (1 + np.exp(logits[:, ::-1] - logits))
    np.testing.assert_allclose(Teacher(policy, "").targets(raw), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["clip", "clip_unscale"])
def test_a_continuous_teacher_says_means_within_reach(kind: Any) -> None:
    bounds = np.array([2.0, 2.0], np.float32)
    reach = 2.0 if kind == "clip" else 1.0  # the rule maps ±1 to the bounds
    rule = ActionRule(kind, low=-bounds, high=bounds)
    policy = replace(network((3, 8, 2)), action=rule, guard=default_guard(3, rule))
    raw = 30 * RNG.normal(size=(200, 3)).astype(np.float32)
    means, targets = policy.outputs(raw), Teacher(policy, "").targets(raw)
    assert np.abs(means).max() > 3
    np.testing.assert_allclose(targets, np.clip(means, -reach, reach), atol=1e-6)


@pytest.mark.parametrize("keep", [None, [[0, 2, 5], [1, 3]]])
def test_its_weights_start_a_student_of_the_same_architecture(keep: Any) -> None:
    policy = cartpole(network((4, 8, 8, 2)))
    if keep is not None:
        policy = masked(policy, keep)
    normalizer = Normalizer(
        mean=RNG.normal(size=4).astype(np.float32),
        scale=RNG.uniform(0.5, 2, 4).astype(np.float32),
        clip=10.0,
    )
    policy = replace(policy, normalizer=normalizer)
    task, config = describe("CartPole-v1"), tiny(method="kd", hidden=(8, 8))
    config = replace(config, normalize_observations=True, activation="tanh")
    state = TrainState.initial(config, task)
    take_over(state, Teacher(policy, "nowhere"), config, task)
    raw = RNG.normal(size=(50, 4)).astype(np.float32)
    ours = state.normalizer(config)
    assert ours is not None
    np.testing.assert_allclose(
        state.actor.network.forward(ours.apply(raw)), policy.outputs(raw), rtol=1e-4, atol=1e-5
    )
    before = state.observations.mean.copy()
    state.observations.update(raw)
    np.testing.assert_array_equal(state.observations.mean, before)


def test_a_student_of_other_widths_starts_on_its_own() -> None:
    policy = cartpole(network((4, 8, 8, 2)))
    task, config = describe("CartPole-v1"), tiny(method="kd", hidden=(8, 4))
    fresh, state = TrainState.initial(config, task), TrainState.initial(config, task)
    take_over(state, Teacher(policy, "nowhere"), config, task)
    np.testing.assert_array_equal(state.actor.network.parameters, fresh.actor.network.parameters)


def test_the_critic_of_a_run_is_taken_over(teacher_run: Path) -> None:
    task = describe("CartPole-v1")
    config = tiny(method="kd", normalize_observations=True)
    state = TrainState.initial(config, task)
    fresh = state.critic.network.parameters.copy()
    take_over(state, open_teacher(teacher_run, task), config, task)
    assert not np.array_equal(state.critic.network.parameters, fresh)
    other = replace(config, gamma=0.9)  # other values: that critic is of no use
    state = TrainState.initial(other, task)
    take_over(state, open_teacher(teacher_run, task), other, task)
    np.testing.assert_array_equal(state.critic.network.parameters, fresh)


def test_the_memory_holds_the_last_rows() -> None:
    memory = Memory(5, inputs=1, outputs=1)
    for value in range(4):
        row = np.full((2, 1), value, np.float32)
        memory.add(row, 10 * row)
    assert len(memory) == 5
    observations, targets = memory.draw(1000, np.random.default_rng(0))
    assert set(observations[:, 0].tolist()) == {1.0, 2.0, 3.0}
    np.testing.assert_array_equal(targets, 10 * observations)


def test_the_phases_of_a_run() -> None:
    config = TrainConfig(
        "CartPole-v1",
        steps=1000,
        environments=1,
        rollout_steps=10,
        distillation=2.0,
        imitation_end=0.4,
        distillation_end=0.8,
    )
    assert [imitates(at, config) for at in (0, 39, 40, 99)] == [True, True, False, False]
    assert distillation_at(40, config) == 2.0
    assert distillation_at(60, config) == pytest.approx(1.0)
    assert distillation_at(80, config) == 0.0
    with pytest.raises(ConfigProblem, match="imitation must end before"):
        replace(config, imitation_end=0.9)


def test_a_teacher_of_another_environment_is_refused(tmp_path: Path, teacher_run: Path) -> None:
    config = recipe("Acrobot-v1", method="dsp-kd", teacher=str(teacher_run))
    with pytest.raises(TeacherMismatch, match=r"trained on CartPole-v1.*name a run or policy"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    odd = replace(cartpole(network((4, 8, 3))), environment="CartPole-v1")
    path = save_policy(odd, tmp_path / "odd.safetensors")
    with pytest.raises(TeacherMismatch, match="which has changed since"):
        train(recipe("CartPole-v1", method="dsp-kd", teacher=str(path)), tmp_path / "run")


@pytest.mark.parametrize("named", [".", "policy.safetensors", "link"])
@pytest.mark.parametrize("setting", ["teacher", "start"])
def test_a_student_does_not_replace_what_it_learns_from(
    tmp_path: Path, teacher_run: Path, setting: str, named: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(teacher_run, run)
    (tmp_path / "link").symlink_to(run / "policy.safetensors")
    given = tmp_path / "link" if named == "link" else run / named
    config = tiny(method="kd", **{"teacher": str(teacher_run), setting: str(given)})
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(ConfigProblem, match=rf"the {setting} .* another folder with -o"):
        train(config, run, force=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_pruned_student_of_a_run(tmp_path: Path, teacher_run: Path) -> None:
    config = tiny(method="dsp-kd", teacher=str(teacher_run), steps=16_384, distillation_end=0.9)
    result = train(config, tmp_path / "run")
    run = load_run(tmp_path / "run")
    teacher = load_run(teacher_run).policy()
    assert sum(result.units) == 16
    assert run.info["teacher"]["source"] == str(teacher_run)
    assert run.info["teacher"]["sha256"] == Teacher(teacher, "").sha256
    ours, theirs = run.policy().normalizer, teacher.normalizer
    assert ours is not None
    assert theirs is not None
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    np.testing.assert_allclose(ours.scale, theirs.scale, rtol=1e-6)
    losses = [row["distillation_loss"] for row in run.metrics()]
    assert all(loss > 0 for loss in losses[:9])
    assert losses[-1] == 0  # its weight had fallen to 0


def test_a_student_learns_what_its_teacher_does(tmp_path: Path, teacher_run: Path) -> None:
    config = tiny(
        method="kd",
        teacher=str(teacher_run),
        hidden=(12, 12),
        steps=20_480,
        imitation_end=1.0,
        distillation_end=1.0,
    )
    train(config, tmp_path / "run")
    run = load_run(tmp_path / "run")
    raw = run.observations()
    same = run.policy().act(raw) == load_run(teacher_run).policy().act(raw)
    assert same.mean() > 0.97


def test_a_teacher_is_trained_first_where_none_is_named(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = tiny(method="dsp-kd", steps=4_096)
    phases: list[str] = []
    stopped = train(
        config,
        run,
        on_progress=lambda progress: phases.append(progress.phase),
        should_stop=lambda: len(phases) == 3,
    )
    assert not stopped.finished
    assert phases == ["teacher"] * 3
    assert not load_run(run).finished
    done = train(config, run, resume=True, on_progress=lambda one: phases.append(one.phase))
    assert done.finished
    assert done.steps == 4_096
    assert load_run(run / "teacher").finished
    theirs, copy = load_run(run / "teacher").policy(), load_policy(run / "teacher.safetensors")
    np.testing.assert_array_equal(theirs.layers[0].weight, copy.layers[0].weight)
    assert phases.count("teacher") == load_run(run / "teacher").config.iterations
    assert "pruning" in phases


def test_a_student_goes_on_without_its_teachers_run(tmp_path: Path, teacher_run: Path) -> None:
    moved = tmp_path / "elsewhere.safetensors"
    save_policy(load_run(teacher_run).policy(), moved)
    run = tmp_path / "run"
    config = tiny(method="dsp-kd", teacher=str(moved))
    train(config, run, should_stop=lambda: True)
    moved.unlink()
    assert train(config, run, resume=True).finished
    info = json.loads((run / "run.json").read_text())
    assert info["teacher"]["source"] == str(moved)
