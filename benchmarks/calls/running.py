"""Opening every subject on a backend, each tried once before anything is timed."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.backends import open_runner
from dspctl.errors import BackendUnavailable, DspctlError, MissingExtra
from dspctl.runtime import Runner


@dataclass(frozen=True, eq=False)
class Running:
    """What of the subjects runs on a backend.

    Attributes:
        runners: label → runner, in the order of the subjects.
        lost: label → why it does not.
    """

    runners: Mapping[str, Runner]
    lost: Mapping[str, DspctlError]

    @property
    def device_memory(self) -> dict[str, int]:
        """Label → bytes that a runner needs on an accelerator, of those that say."""
        found = {
            label: getattr(runner, "device_memory_bytes", None)
            for label, runner in self.runners.items()
        }
        return {label: size for label, size in found.items() if size is not None}


@contextmanager
def running(
    subjects: Mapping[str, Path], backend: str, observation: NDArray[np.float32]
) -> Iterator[Running]:
    """Every subject opened on *backend* in this process; closed at the end.

    Args:
        subjects: label → policy file or bundle folder.
        backend: any that runs in a Python process.
        observation: float32 [obs_dim], raw; tried once.
    """
    runners: dict[str, Runner] = {}
    lost: dict[str, DspctlError] = {}
    with ExitStack() as stack:
        for label, path in subjects.items():
            try:
                runner = stack.enter_context(open_runner(path, backend))
                runner(observation)
            except (BackendUnavailable, MissingExtra) as error:
                lost[label] = error
            else:
                runners[label] = runner
        yield Running(runners, lost)
