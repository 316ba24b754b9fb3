"""Running a policy: NumPy and the standard library only, so that a vehicle installs no torch."""

from dspctl.runtime.guarded import with_guard
from dspctl.runtime.load import BACKENDS, load
from dspctl.runtime.numpy_runner import NumpyRunner
from dspctl.runtime.policy import (
    ActionRule,
    Counts,
    Guard,
    Layer,
    Normalizer,
    ObservationSpec,
    Policy,
)
from dspctl.runtime.policy_file import load_policy, save_policy
from dspctl.runtime.runner import Runner

__all__ = [
    "BACKENDS",
    "ActionRule",
    "Counts",
    "Guard",
    "Layer",
    "Normalizer",
    "NumpyRunner",
    "ObservationSpec",
    "Policy",
    "Runner",
    "load",
    "load_policy",
    "save_policy",
    "with_guard",
]
