"""Settings of small runs that the trainer's tests share."""

from typing import Any

from dspctl.trainer import TrainConfig, recipe


def tiny(environment: str = "CartPole-v1", **overrides: Any) -> TrainConfig:
    """A run of a second or two that passes through all phases of pruning."""
    settings: dict[str, Any] = {
        "steps": 8_192,
        "environments": 8,
        "rollout_steps": 128,
        "hidden": (32, 32),
        "sparsity": 0.75,
        "vector_backend": "gymnasium",
        "trials": 0,
        **overrides,
    }
    return recipe(environment, **settings)
