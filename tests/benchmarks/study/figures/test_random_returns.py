import json
from pathlib import Path

import numpy as np
import pytest

from dspctl.benchmarks.study.figures.random_returns import (
    RandomReturn,
    main,
    measure,
    read_random,
    write_random,
)
from dspctl.errors import EnvironmentProblem, ResultProblem
from dspctl.trainer.evaluation import EVALUATION_SEED

gymnasium = pytest.importorskip("gymnasium")
ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("environment", ["CartPole-v1", "Pendulum-v1"])
def test_one_episode_is_a_plain_loop(environment: str) -> None:
    env = gymnasium.make(environment)
    env.reset(seed=EVALUATION_SEED)
    rng, total, over = np.random.default_rng(0), 0.0, False
    while not over:
        if environment == "CartPole-v1":
            action = rng.integers(0, 2, 1)[0]
        else:
            action = rng.uniform([-2.0], [2.0], (1, 1)).astype(np.float32)[0]
        _, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        over = terminated or truncated
    env.close()
    assert measure(environment, episodes=1).mean == pytest.approx(total)


def test_the_stored_returns_are_of_a_hundred_evaluation_episodes() -> None:
    found = read_random(ROOT / "benchmarks" / "results" / "random.json")
    assert {"CartPole-v1", "LunarLander-v3", "Hopper-v5", "Walker2d-v5"} <= found.keys()
    assert {(one.episodes, one.seed) for one in found.values()} == {(100, EVALUATION_SEED)}
    # A random CartPole falls after about 22 steps; Acrobot's step limit of 500 is hardly ever met.
    assert 18 < found["CartPole-v1"].mean < 26
    assert -500 <= found["Acrobot-v1"].mean < -480


def test_the_command_keeps_what_it_does_not_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "random.json"
    write_random(path, {"Z-v0": RandomReturn("Z-v0", 100, 1, 3.0, 1.0)})
    assert main(["--env", "CartPole-v1", "--episodes", "2", "--out", str(path)]) == 0
    assert list(read_random(path)) == ["CartPole-v1", "Z-v0"]
    before = path.read_bytes()
    assert main(["--env", "CartPoel-v1", "--out", str(path)]) == 2
    assert "CartPole-v1" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", [{"kind": "x"}, {"schema": 2}, {"environments": [{}]}])
def test_other_files_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "random.json"
    assert read_random(path) == {}
    write_random(path, {})
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ResultProblem, match=r"random\.json does not hold"):
        read_random(path)


def test_actions_without_bounds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from dspctl.trainer import environments

    real = environments.describe("Pendulum-v1")
    object.__setattr__(real.action, "high", np.array([np.inf], np.float32))
    monkeypatch.setattr(environments, "describe", lambda _: real)
    with pytest.raises(EnvironmentProblem, match="does not bound its actions"):
        measure("Pendulum-v1", episodes=1)
