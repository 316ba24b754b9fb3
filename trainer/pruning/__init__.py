"""Pruning as four small choices: regulariser, saliency, schedule, granularity."""

from dspctl.trainer.pruning.methods import METHODS, Method, method_named
from dspctl.trainer.pruning.pruner import Archive, Pruner

__all__ = ["METHODS", "Archive", "Method", "Pruner", "method_named"]
