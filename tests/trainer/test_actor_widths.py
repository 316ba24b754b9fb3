"""Actors that start with other widths than their critics."""

import json
from pathlib import Path

import pytest

from dspctl.errors import ConfigProblem, ImpossibleWidths
from dspctl.trainer import RECIPES, TrainConfig, load_run, recipe, train
from dspctl.trainer.pruning.widths import equal_share
from dspctl.trainer.settings.config import units_kept
from tests.trainer.tiny import tiny


def test_an_actor_without_widths_of_its_own_is_as_wide_as_its_critic() -> None:
    assert TrainConfig("CartPole-v1", hidden=(30, 20), sparsity=0.5).actor_widths == (30, 20)


def test_a_smaller_actor_beside_a_full_critic(tmp_path: Path) -> None:
    config = tiny(method="ppo", actor_hidden=(3, 2), steps=2_048)
    result = train(config, tmp_path / "run")
    run = load_run(result.run)
    assert result.units == (3, 2)
    assert [layer.width for layer in run.policy().hidden] == [3, 2]
    last = run.metrics()[-1]
    assert last["units"] == [3, 2]
    assert last["critic_units"] == [32, 32]
    assert last["unit_sparsity"] == pytest.approx(1 - 5 / 64)
    weights = (4 * 3 + 3 * 2 + 2 * 2) / (4 * 32 + 32 * 32 + 32 * 2)
    assert last["weight_sparsity"] == pytest.approx(1 - weights)


def test_pruning_starts_from_the_actors_widths(tmp_path: Path) -> None:
    # 16 of 64 units stay; the actor has 24, so 8 leave.
    config = tiny(actor_hidden=(16, 8), steps=4_096)
    result = train(config, tmp_path / "run")
    policy = load_run(result.run).policy()
    assert [layer.width for layer in policy.hidden] == [16, 8]
    assert sum(result.units) == 16
    assert load_run(result.run).metrics()[-1]["unit_sparsity"] == pytest.approx(0.75)


def test_an_actor_below_the_sparsity_loses_nothing(tmp_path: Path) -> None:
    config = tiny(actor_hidden=(4, 3), steps=2_048)
    assert train(config, tmp_path / "run").units == (4, 3)


def test_a_stopped_run_with_a_small_actor_goes_on(tmp_path: Path) -> None:
    config = tiny(method="ppo", actor_hidden=(5,), steps=2_048)
    assert not train(config, tmp_path / "run", should_stop=lambda: True).finished
    result = train(config, tmp_path / "run", resume=True)
    assert result.finished
    assert result.units == (5,)


@pytest.mark.parametrize("widths", [None, (), (7, 5)])
def test_widths_survive_json(widths: tuple[int, ...] | None) -> None:
    config = tiny(method="ppo", actor_hidden=widths)
    assert config.actor_hidden == widths
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    # Runs from before the setting have no entry.
    older = {name: value for name, value in config.to_json().items() if name != "actor_hidden"}
    assert TrainConfig.from_json(older).actor_hidden is None


def test_units_are_shared_equally() -> None:
    assert equal_share((128, 128), 0.93) == (9, 9)
    assert equal_share((128, 128), 0.925) == (10, 9)  # 19 of 256
    assert equal_share((64,), 0.5) == (32,)


def test_dense_small_has_exactly_the_widths(tmp_path: Path) -> None:
    assert TrainConfig("CartPole-v1", method="dense-small").actor_widths == (9, 9)
    result = train(tiny(method="dense-small", steps=2_048), tmp_path / "run")
    run = load_run(result.run)
    assert [layer.width for layer in run.policy().layers] == [8, 8, 2]
    assert not run.policy().masked
    assert run.metrics()[-1]["unit_sparsity"] == pytest.approx(0.75)
    assert run.metrics()[-1]["critic_units"] == [32, 32]


def test_kd_small_is_distilled_into_exactly_the_widths(tmp_path: Path) -> None:
    teacher = train(tiny(method="ppo", steps=2_048), tmp_path / "teacher")
    config = tiny(method="kd-small", steps=4_096, imitation_end=0.5, teacher=str(teacher.run))
    run = load_run(train(config, tmp_path / "run").run)
    assert [layer.width for layer in run.policy().layers] == [8, 8, 2]
    assert not run.policy().masked
    imitating = [row for row in run.metrics() if row["steps"] <= 2_048]
    assert not any("policy_loss" in row for row in imitating)  # the teacher alone teaches
    assert imitating[-1]["distillation_loss"] < imitating[0]["distillation_loss"]


@pytest.mark.parametrize("environment", [*RECIPES, "Pendulum-v1"])
def test_kd_small_has_the_steps_of_what_it_is_compared_with(environment: str) -> None:
    ours, theirs = (recipe(environment, method=name) for name in ("kd-small", "dsp-kd"))
    assert ours.steps == theirs.steps
    assert sum(ours.actor_widths) == units_kept(sum(theirs.hidden), theirs.sparsity)


def test_linear_has_no_hidden_layer(tmp_path: Path) -> None:
    result = train(tiny(method="linear", steps=2_048), tmp_path / "run")
    run = load_run(result.run)
    assert [layer.weight.shape for layer in run.policy().layers] == [(2, 4)]
    assert run.metrics()[-1]["unit_sparsity"] == 1.0
    assert run.metrics()[-1]["critic_units"] == [32, 32]


def test_widths_that_cannot_be() -> None:
    with pytest.raises(ImpossibleWidths, match="actor_hidden need at least one unit"):
        tiny(actor_hidden=(4, 0))
    with pytest.raises(ImpossibleWidths, match="no hidden layer to prune"):
        tiny(actor_hidden=())
    with pytest.raises(ImpossibleWidths, match="floor of 6 per layer"):
        tiny(actor_hidden=(16, 8), floor=6, sparsity=0.85)
    with pytest.raises(ConfigProblem, match="leave out actor_hidden"):
        tiny(method="linear", actor_hidden=(4,))
    with pytest.raises(ConfigProblem, match="or pass --method kd"):
        tiny(method="kd-small", actor_hidden=(4,))
    with pytest.raises(ImpossibleWidths, match="too few units for 2 layers"):
        TrainConfig("CartPole-v1", method="dense-small", hidden=(20, 20), sparsity=0.98)
