"""Training: PPO with pruning composed in, runs on disk, recipes and evaluation."""

from dspctl.trainer.checkpoint import Run, load_run
from dspctl.trainer.config import TrainConfig
from dspctl.trainer.evaluation import EVALUATION_SEED, Evaluation, evaluate
from dspctl.trainer.ppo import Progress, TrainResult, train
from dspctl.trainer.pruning import METHODS
from dspctl.trainer.recipes import RECIPES, recipe

__all__ = [
    "EVALUATION_SEED",
    "METHODS",
    "RECIPES",
    "Evaluation",
    "Progress",
    "Run",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "load_run",
    "recipe",
    "train",
]
