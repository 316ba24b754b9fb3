"""Settings that float32, or any machine, cannot hold."""

import math
from typing import Any

import pytest

from dspctl.errors import ConfigProblem
from dspctl.trainer.settings.config import TrainConfig


@pytest.mark.parametrize("name", ["hidden_gain", "penalty", "learning_rate", "gradient_norm"])
@pytest.mark.parametrize("value", [1.1e9, 1e308])
def test_numbers_that_float32_cannot_train_with(name: str, value: float) -> None:
    values: dict[str, Any] = {name: value}
    with pytest.raises(ConfigProblem, match=rf"{name} must be a number up to 1e\+09, not"):
        TrainConfig(environment="CartPole-v1", **values)


@pytest.mark.parametrize("value", [-21.0, 20.5, math.nan, math.inf])
def test_a_standard_deviation_that_is_none(value: float) -> None:
    with pytest.raises(ConfigProblem, match="initial_log_std must be"):
        TrainConfig(environment="CartPole-v1", initial_log_std=value)


@pytest.mark.parametrize(
    "values", [{"initial_log_std": -20.0}, {"penalty": 1e9}, {"steps": 10**15}, {"hidden_gain": 1}]
)
def test_what_is_just_possible(values: dict[str, Any]) -> None:
    TrainConfig(environment="CartPole-v1", **values)


def test_a_rollout_that_may_hold_no_transition() -> None:
    """The step after an episode's end only resets."""
    with pytest.raises(ConfigProblem, match="rollout_steps must be at least 2"):
        TrainConfig(environment="CartPole-v1", rollout_steps=1)
    TrainConfig(environment="CartPole-v1", rollout_steps=2)
