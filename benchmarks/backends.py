"""Everything that can be measured in this process: the runtime's backends, and eager PyTorch.

The static C program (``c``) is not among them: it is a process of its own, see
:mod:`dspctl.benchmarks.command`.
"""

from pathlib import Path

from dspctl.benchmarks.request import TORCH
from dspctl.runtime import Runner, load, load_policy


def open_runner(path: Path, backend: str) -> Runner:
    """A policy or bundle on one backend.

    Args:
        path: a policy file or a bundle folder.
        backend: one of ``runtime.BACKENDS``, or ``torch``.

    Raises:
        UnknownBackend: no such backend.
        BackendUnavailable: it cannot run this artefact here, or it computes something else.
        MissingExtra: its package is not installed.
        PolicyProblem, BundleProblem: the artefact cannot be used.
    """
    if backend != TORCH:
        return load(path, backend)
    from dspctl.benchmarks.torch_runner import TorchRunner
    from dspctl.runtime.bundle import open_bundle

    return TorchRunner(open_bundle(path).policy if path.is_dir() else load_policy(path))
