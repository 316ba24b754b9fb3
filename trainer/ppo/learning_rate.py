"""Adam's step size over a run."""

from dspctl.trainer.settings.config import TrainConfig


def learning_rate_at(iteration: int, config: TrainConfig) -> float:
    """The step size during *iteration*, counted from 0."""
    if config.learning_rate_schedule == "constant":
        return config.learning_rate
    held = config.learning_rate_hold if config.learning_rate_schedule == "hold-linear" else 0.0
    done = iteration / config.iterations
    if done <= held:
        return config.learning_rate
    return config.learning_rate * (1 - done) / (1 - held)
