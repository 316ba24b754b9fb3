"""The machine that is measured: this one, or a board that is reached over a line."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from dspctl.benchmarks.command.answer import Answer, RunCommand
from dspctl.benchmarks.command.programs import command_of
from dspctl.benchmarks.command.run import run_here
from dspctl.benchmarks.device.current import current_device
from dspctl.benchmarks.device.identity import Device
from dspctl.benchmarks.record.machine import Machine, describe_machine


class Host(Protocol):
    """A machine that can say what it is and run a bundle's static program.

    Attributes:
        name: what to call it in messages.
    """

    name: str

    def cpus(self) -> tuple[int, ...]:
        """Numbers of the processors that a program may run on; empty where that is unknown."""
        ...

    def machine(self) -> Machine:
        """Its record."""
        ...

    def device(self) -> Device:
        """Its hardware, in the state of this moment."""
        ...

    def run_command(self, label: str, arguments: Sequence[str]) -> Answer:
        """Run ``policy bench`` of one subject; a `RunCommand`.

        Raises:
            BackendUnavailable: the subject has no program for this machine, or it does not run.
        """
        ...


class LocalHost:
    """This machine.

    Args:
        subjects: label → policy file or bundle folder.
    """

    name = "this machine"

    def __init__(self, subjects: Mapping[str, Path]) -> None:
        self._subjects = dict(subjects)
        self._programs: dict[str, RunCommand] = {}

    def cpus(self) -> tuple[int, ...]:
        """Those that this process may run on."""
        if not hasattr(os, "sched_getaffinity"):
            return ()
        return tuple(sorted(os.sched_getaffinity(0)))

    def machine(self) -> Machine:
        """Read now."""
        return describe_machine()

    def device(self) -> Device:
        """Read now."""
        return current_device()

    def run_command(self, label: str, arguments: Sequence[str]) -> Answer:
        """See `Host`; each subject's program is looked for, and verified, once."""
        if label not in self._programs:
            self._programs[label] = run_here({label: command_of(self._subjects[label])})
        return self._programs[label](label, arguments)
