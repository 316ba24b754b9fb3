"""Versions of environments that gymnasium no longer has, through EnvPool."""

from pathlib import Path

import numpy as np
import pytest

from dspctl.errors import EnvironmentProblem
from dspctl.trainer import evaluate, load_run, recipe, train
from dspctl.trainer.environments import describe, make, older
from dspctl.trainer.environments.older import is_older
from dspctl.trainer.environments.vector import make_vector

pytest.importorskip("envpool")


@pytest.mark.parametrize(
    ("environment", "size", "outputs", "kind"),
    [
        ("LunarLander-v2", 8, 4, "argmax"),
        ("Hopper-v3", 11, 3, "clip"),
        ("Walker2d-v3", 17, 6, "clip"),
    ],
)
def test_tasks(environment: str, size: int, outputs: int, kind: str) -> None:
    assert is_older(environment)
    task = describe(environment)
    assert (task.observation.size, task.outputs, task.action.kind) == (size, outputs, kind)
    # EnvPool's placeholders are no bounds: a guard would refuse every observation below 0.
    assert np.isneginf(task.observation.low).all()
    assert np.isposinf(task.observation.high).all()


def test_a_seed_gives_the_same_episode() -> None:
    env = make("Hopper-v3")
    first = env.reset(seed=7)[0]
    other = env.reset()[0]
    again = env.reset(seed=7)[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    observation, reward, terminated, truncated, _ = env.step(np.zeros(3))
    assert observation.shape == (11,)
    assert (terminated, truncated) == (False, False)
    assert 0.5 < float(reward) < 1.5  # v3 pays 1 for standing, and little else for standing still
    env.close()


def test_an_episode_is_the_one_that_a_pool_plays() -> None:
    """One environment of ours against EnvPool's own vector, action by action."""
    task = describe("LunarLander-v2")
    vector = make_vector(task, count=1, seed=3, backend="envpool")
    env = make("LunarLander-v2")
    expected, found = vector.reset()[0], env.reset(seed=3)[0]
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert np.array_equal(expected, found)
        action = rng.integers(0, 4)
        step = vector.step(np.array([action]))
        found, reward, terminated, truncated, _ = env.step(action)
        expected = step.observations[0]
        assert reward == pytest.approx(float(step.rewards[0]))
        assert (terminated, truncated) == (bool(step.terminated[0]), bool(step.truncated[0]))
        if terminated or truncated:
            break
    else:
        pytest.fail("random actions crash a lander in far fewer steps")
    vector.close()
    env.close()


def test_they_learn_with_the_recipe_of_the_newest_version(tmp_path: Path) -> None:
    older_one, newest = recipe("Hopper-v3"), recipe("Hopper-v5")
    assert {**older_one.to_json(), "environment": ""} == {**newest.to_json(), "environment": ""}
    config = recipe("LunarLander-v2", method="ppo", steps=8_192, trials=1)
    run = load_run(train(config, tmp_path / "run").run)
    found = evaluate(run.policy().act, "LunarLander-v2", episodes=3)
    assert found.environment == "LunarLander-v2"
    assert all(length > 10 for length in found.lengths)
    again = evaluate(run.policy().act, "LunarLander-v2", episodes=3)
    assert found.returns == again.returns


def test_without_envpool_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(older, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"no longer has Hopper-v3.*dspctl\[envpool\]"):
        describe("Hopper-v3")
