"""Training: PPO with pruning composed in, runs on disk, recipes and evaluation.

Names are resolved on first use, so that reading a `TrainConfig` (the command line makes its flags
from it) needs no training stack.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "EVALUATION_SEED": "evaluation",
    "METHODS": "pruning",
    "RECIPES": "settings.recipes",
    "Episodes": "environments.episodes",
    "Evaluation": "evaluation",
    "Progress": "progress",
    "Run": "runs.checkpoint",
    "TrainConfig": "settings.config",
    "TrainResult": "training",
    "evaluate": "evaluation",
    "load_run": "runs.checkpoint",
    "recipe": "settings.recipes",
    "train": "training",
}

if TYPE_CHECKING:
    from dspctl.trainer.environments.episodes import Episodes
    from dspctl.trainer.evaluation import EVALUATION_SEED, Evaluation, evaluate
    from dspctl.trainer.progress import Progress
    from dspctl.trainer.pruning import METHODS
    from dspctl.trainer.runs.checkpoint import Run, load_run
    from dspctl.trainer.settings.config import TrainConfig
    from dspctl.trainer.settings.recipes import RECIPES, recipe
    from dspctl.trainer.training import TrainResult, train

__all__ = [
    "EVALUATION_SEED",
    "METHODS",
    "RECIPES",
    "Episodes",
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


def __getattr__(name: str) -> Any:
    """Resolve a public name from its module on first use (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(f"dspctl.trainer.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'dspctl.trainer' has no attribute {name!r}")
