"""Placeholder until the backends land."""
from pathlib import Path
from dspctl.runtime.numpy_runner import NumpyRunner
from dspctl.runtime.policy_file import load_policy
from dspctl.runtime.runner import Runner
BACKENDS = ("numpy",)
def load(path: Path, backend: str = "auto") -> Runner:
    """Load."""
    return NumpyRunner(load_policy(path))
