"""Which policy a run delivers."""

import itertools
import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from dspctl.errors import EnvironmentProblem
from dspctl.runtime import Policy
from dspctl.trainer import evaluate, load_run, selection, train
from dspctl.trainer.environments import describe, ends
from dspctl.trainer.selection import TRIAL_SEED, Trial, play_once
from tests.trainer.outcomes import assert_same
from tests.trainer.registered import registered
from tests.trainer.tiny import tiny


def test_a_trial_is_what_evaluation_gives_on_its_seeds(tmp_path: Path) -> None:
    config = tiny(method="ppo")
    train(config, tmp_path / "run")
    policy = load_run(tmp_path / "run").policy()
    played = play_once(policy, describe("CartPole-v1"), config, 12)
    expected = evaluate(policy.act, "CartPole-v1", episodes=12, seed=TRIAL_SEED).returns
    np.testing.assert_array_equal(played, expected)
    assert len(set(expected)) > 1


class Scripted:
    """Scores by the number of the trial; the longer ones by the policy that is tried."""

    def __init__(self, short: list[float], long: dict[int, float]) -> None:
        self.short, self.long = short, long
        self.tried: list[Policy] = []

    def __call__(
        self, policy: Policy, task: Any, config: Any, episodes: int, *, should_stop: Any
    ) -> Any:
        if episodes == 8:
            self.tried.append(policy)
            return np.full(episodes, self.short[len(self.tried) - 1])
        weight = policy.layers[0].weight
        (number,) = (
            index
            for index, one in enumerate(self.tried)
            if np.array_equal(one.layers[0].weight, weight)
        )
        return np.full(episodes, self.long[number])


def test_the_best_of_the_finalists_is_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The third looked best; with more episodes the first of the three finalists is.
    played = Scripted([5.0, 1.0, 9.0, 6.0], {0: 8.0, 2: 7.0, 3: 7.5})
    monkeypatch.setattr(selection, "play_once", played)
    train(tiny(trials=4), tmp_path / "run")
    run = load_run(tmp_path / "run")
    np.testing.assert_array_equal(run.policy().layers[0].weight, played.tried[0].layers[0].weight)
    at = [trial["iteration"] for trial in run.info["trials"]]
    assert [trial["mean"] for trial in run.info["trials"]] == played.short
    assert at[0] > 4  # of 8 iterations: not before the last pruning step
    assert at[-1] == 8
    assert run.info["selected"] == {"iteration": at[0], "mean": 8.0}
    kept = sorted(int(path.stem) for path in (run.path / "candidates").iterdir())
    assert kept == [at[0], at[2], at[3]]


def test_a_run_that_went_on_forgets_trials_after_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "play_once", lambda *_, **__: np.ones(1))
    run = tmp_path / "run"
    calls = iter([False] * 5 + [True])
    train(tiny(trials=4), run, should_stop=lambda: next(calls))
    info = json.loads((run / "run.json").read_text())
    assert [one["iteration"] for one in info["trials"]] == [5, 6]
    info["trials"].append({"iteration": 7, "mean": 100.0})  # written by a process that was killed
    (run / "run.json").write_text(json.dumps(info))
    train(tiny(trials=4), run, resume=True)
    trials = load_run(run).info["trials"]
    assert [one["iteration"] for one in trials] == [5, 6, 7, 8]
    assert all(one["mean"] == 1.0 for one in trials)


def test_a_kill_between_checkpoints_costs_no_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trials after 3, 4, 6, 7 and 8 iterations: the fourth displaces the third, and is lost.
    scores = iter([9.0, 8.0, 7.0, 10.0, 1.0, 2.0, 9.0, 8.0, 7.0])
    monkeypatch.setattr(selection, "play_once", lambda *_, **__: np.full(1, next(scores)))
    run, config = tmp_path / "run", tiny(trials=5, prune_start=0.1, prune_end=0.3)
    calls = iter([False] * 5 + [True])
    train(config, run, should_stop=lambda: next(calls))

    def killed() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, run, resume=True, should_stop=killed)
    trials = load_run(run).info["trials"]
    assert [one["mean"] for one in trials] == [9.0, 8.0, 7.0, 10.0]
    assert train(config, run, resume=True).finished
    info = load_run(run).info
    assert [one["mean"] for one in info["trials"]] == [9.0, 8.0, 7.0, 1.0, 2.0]
    assert info["selected"] == {"iteration": 3, "mean": 9.0}


def test_without_trials_the_last_policy_is_delivered(tmp_path: Path) -> None:
    train(tiny(trials=0), tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert "trials" not in run.info
    assert not (run.path / "candidates").exists()


def test_a_run_ends_with_the_trial_that_is_good_enough(tmp_path: Path) -> None:
    seen: list[tuple[int, Policy]] = []

    def enough(trial: Trial, policy: Policy) -> bool:
        seen.append((trial.iteration, policy))
        return len(seen) == 2

    result = train(tiny(method="ppo", trials=4), tmp_path / "run", on_trial=enough)
    run = load_run(tmp_path / "run")
    assert not result.finished
    assert run.info["status"] == "interrupted"
    assert [trial["iteration"] for trial in run.info["trials"]] == [at for at, _ in seen]
    np.testing.assert_array_equal(run.policy().layers[0].weight, seen[1][1].layers[0].weight)
    # What ended early goes on where it ended.
    again = train(run.config, tmp_path / "run", resume=True, on_trial=lambda trial, policy: False)
    assert again.finished
    assert len(load_run(tmp_path / "run").info["trials"]) == 4


def test_the_last_trial_can_be_the_one_that_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second looks best, on the way and in the longer trials; only the last is good enough.
    played = Scripted([5.0, 9.0, 6.0, 7.0], {0: 5.0, 1: 9.0, 2: 6.0, 3: 7.0})
    monkeypatch.setattr(selection, "play_once", played)
    config = tiny(method="ppo", trials=4)
    result = train(
        config,
        tmp_path / "run",
        on_trial=lambda trial, policy: trial.iteration == config.iterations,
    )
    assert result.finished
    delivered = load_run(tmp_path / "run").policy().layers[0].weight
    np.testing.assert_array_equal(delivered, played.tried[3].layers[0].weight)


def test_trials_begin_with_the_end_of_imitation_where_one_can_end_a_run(tmp_path: Path) -> None:
    teacher = tiny(method="ppo")
    train(teacher, tmp_path / "teacher")
    config = tiny(method="kd", teacher=str(tmp_path / "teacher"), trials=6, imitation_end=0.25)
    train(config, tmp_path / "a", on_trial=lambda trial, policy: False)
    train(config, tmp_path / "b")
    first = {name: load_run(tmp_path / name).info["trials"][0]["iteration"] for name in ("a", "b")}
    assert config.iterations // 4 < first["a"] < config.iterations // 2 < first["b"]


class Endless(gymnasium.Env[Any, Any]):
    """Ends after so many steps; None is never."""

    observation_space = Box(-1.0, 1.0, (2,))
    action_space = Discrete(2)

    def __init__(self, length: int | None) -> None:
        self._length, self._time = length, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._time = 0
        return self.np_random.random(2).astype(np.float32), {}

    def step(self, action: Any) -> Any:
        self._time += 1
        observation = self.np_random.random(2).astype(np.float32)
        return observation, float(observation[0]), self._time == self._length, False, {}


def test_an_episode_that_never_ends_is_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "MOST_STEPS", 200)
    monkeypatch.setattr(selection, "_ASKED_EVERY", 100)
    with registered("Endless-v0", lambda: Endless(None)):
        config = tiny("Endless-v0", method="ppo", steps=1_024, trials=1)
        with pytest.raises(EnvironmentProblem, match=r"Endless-v0 .* 200 steps.*max_episode_steps"):
            train(config, tmp_path / "run")
        with pytest.raises(EnvironmentProblem, match="max_episode_steps"):
            evaluate(lambda x: np.zeros(len(x), int), "Endless-v0", episodes=2)
    with registered("Endless-v0", lambda: Endless(199)):
        whole = evaluate(lambda x: np.zeros(len(x), int), "Endless-v0", episodes=2)
    assert whole.lengths == (199, 199)


@pytest.mark.parametrize(("stopped", "tried"), [(1, []), (2, [3]), (3, [3, 4]), (4, [3, 4])])
def test_a_trial_that_was_stopped_is_played_when_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: int, tried: list[int]
) -> None:
    """Two on the way, after 3 and 4 iterations, and one more for each of the finalists."""
    config = tiny(method="ppo", steps=4_096, trials=2)
    whole = train(config, tmp_path / "whole").run
    played, playing = itertools.count(1), 0

    def counted(*given: Any, **options: Any) -> Any:
        nonlocal playing
        playing = next(played)
        try:
            return play_once(*given, **options)
        finally:
            playing = 0

    monkeypatch.setattr(selection, "play_once", counted)
    monkeypatch.setattr(selection, "_ASKED_EVERY", 5)
    run = train(config, tmp_path / "run", should_stop=lambda: playing == stopped).run
    info = load_run(run).info
    assert info["status"] == "interrupted"
    assert [one["iteration"] for one in info.get("trials", ())] == tried
    assert info["steps"] == min(2 + stopped, 4) * 1_024
    assert train(config, run, resume=True).finished
    assert_same(run, whole)
