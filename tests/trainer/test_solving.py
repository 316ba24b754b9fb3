"""Training that takes longer: the returns users are promised, on one seed each."""

from pathlib import Path
from typing import Any

import pytest

from dspctl.trainer import evaluate, load_run, recipe, train


def trained_return(run: Path, environment: str, **overrides: Any) -> float:
    result = train(recipe(environment, **overrides), run)
    policy = load_run(result.run).policy()
    return evaluate(policy.act, environment, episodes=100).mean


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "overrides", "least"),
    [
        ("CartPole-v1", {"vector_backend": "gymnasium"}, 490),
        ("CartPole-v1", {"activation": "relu", "biases": False, "fold_means": False}, 490),
        ("CartPole-v1", {"update": "autograd", "steps": 150_000}, 490),
        ("CartPole-v1", {"critic_sparsity": 0.5}, 490),
        ("Acrobot-v1", {}, -100),
        ("Pendulum-v1", {}, -300),
        ("LunarLander-v3", {"method": "ppo"}, 250),
        ("LunarLander-v3", {}, 230),
        ("LunarLanderContinuous-v3", {"method": "ppo"}, 230),
    ],
)
def test_solves(tmp_path: Path, environment: str, overrides: dict[str, Any], least: float) -> None:
    assert trained_return(tmp_path / "run", environment, **overrides) >= least
