"""The runners of a loop, made and tried before it starts, so that none of it is done inside.

A fallback that has to be imported, read from a disk and verified would come too late, and may fail
for the same reason as what it replaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

# Not on demand: an error that is raised within the loop must not be read from a disk there.
from dspctl import errors
from dspctl.runtime.backends.numpy_runner import NumpyRunner
from dspctl.runtime.load import load
from dspctl.runtime.policy.observations import invalid_observation

if TYPE_CHECKING:
    from os import PathLike

    from dspctl.runtime.backends.protocol import Runner


def prepare(path: str | PathLike[str], backend: str = "auto") -> tuple[Runner, ...]:
    """The runner that `load` gives, and NumPy's where that is another one.

    Each has answered a valid and an invalid observation.

    Raises:
        BackendUnavailable: as `load`, and where a runner does not answer.
        DspctlError: as `load`.
    """
    first = load(path, backend)
    try:
        runners = (first,) if first.backend == "numpy" else (first, NumpyRunner(first.policy))
        for runner in runners:
            warm(runner)
    except BaseException:
        first.close()
        raise
    return runners


def warm(runner: Runner) -> None:
    """Let a runner answer once in each way, so that whatever it loads on demand is there.

    Raises:
        BackendUnavailable: it does not answer.
    """
    policy = runner.policy
    action = np.array(policy.guard.safe_action)
    valid = policy.guard.fill
    try:
        for observation in (np.full_like(valid, np.nan), valid):
            runner.act(observation, action)
    except Exception as error:
        raise errors.BackendUnavailable(
            f"{runner.backend} loads the policy but does not act ({error}): use another backend"
        ) from error
    invalid_observation(np.full_like(valid, np.inf), policy)
