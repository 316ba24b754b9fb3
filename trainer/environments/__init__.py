"""Environments: what a policy has to fit, and stepping one or many of them."""

from dspctl.trainer.environments.task import Task, describe, make

__all__ = ["Task", "describe", "make"]
