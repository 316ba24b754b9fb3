"""How much a student is told by its teacher, and how much by its rewards, over a run."""

from dspctl.trainer.settings.config import TrainConfig


def imitates(iteration: int, config: TrainConfig) -> bool:
    """True while the teacher alone teaches."""
    return iteration < config.imitation_end * config.iterations


def distillation_at(iteration: int, config: TrainConfig) -> float:
    """Weight of the distance from the teacher beside the policy gradient: linear to 0."""
    start, end = config.imitation_end, config.distillation_end
    done = iteration / config.iterations
    if done >= end:
        return 0.0
    return config.distillation * min(1.0, (end - done) / max(1e-9, end - start))
