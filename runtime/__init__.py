"""Running a policy: NumPy and the standard library only, so that a vehicle installs no torch."""

from dspctl.runtime.backends.numpy_runner import NumpyRunner
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.load import BACKENDS, load
from dspctl.runtime.policy import (
    ActionRule,
    Counts,
    Guard,
    Layer,
    Normalizer,
    ObservationSpec,
    Policy,
)
from dspctl.runtime.policy.file import load_policy, save_policy
from dspctl.runtime.policy.guarded import with_guard

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
