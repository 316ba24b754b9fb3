"""Every artefact against the reference, as far as this machine can run it."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from dspctl.errors import NotEquivalent
from dspctl.exporter.draft import Draft
from dspctl.exporter.native.boards import BOARDS, build_board_check
from dspctl.exporter.native.targets import NativeTarget
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.bundle.artefacts import Artefact, Ran
from dspctl.runtime.machine import this_machine
from dspctl.runtime.reference.golden import Golden
from dspctl.runtime.reference.parity import measure_parity

_EMULATORS = {"aarch64": "qemu-aarch64"}
_LIMIT_S = 300.0
_FIGURES = ("rows", "differences", "ties", "largest_output_error", "largest_bound_share")


def compare_runner(runner: Runner, golden: Golden, name: str, note: str) -> Artefact:
    """Compare what runs in this process; closes the runner.

    Raises:
        NotEquivalent: it computes something else.
    """
    with runner:
        parity = measure_parity(runner, golden)
    if not parity.passed:
        raise NotEquivalent(
            f"{name} does not compute what the policy does ({parity}): nothing was written; please "
            "report this together with the policy file"
        )
    figures = {key: value for key, value in parity.to_json().items() if key != "backend"}
    return Artefact(name, "here", note, True, figures)


def compare_command(name: str, command: bytes, target: NativeTarget) -> Artefact:
    """Let a bundle's command ``policy`` replay its golden vectors, on an emulator if need be.

    Args:
        name: its path in the bundle.
        command: the program.
        target: what it was compiled for.

    Raises:
        NotEquivalent: it found a difference, or did not run to its end.
    """
    machine = this_machine()
    emulator: tuple[str, ...] = ()
    ran: Ran = "here"
    note = "policy verify on this machine"
    if not machine.runs(target.architecture, target.requires):
        program = _EMULATORS.get(target.architecture, "")
        found = shutil.which(program) if program else None
        if found is None:
            wanted = f" without {program} (apt-get install qemu-user)" if program else ""
            return Artefact(name, "not run", f"{target.name} does not run here{wanted}")
        emulator, ran, note = (found,), "emulated", f"policy verify under {program}"
    result = _verify(command, emulator, name)
    if not result["passed"]:
        raise NotEquivalent(
            f"{name} does not compute what the policy does ({result['differences']} differences "
            "from the golden vectors): nothing was written; please report this together with the "
            "policy file"
        )
    return Artefact(name, ran, note, True, {key: result[key] for key in _FIGURES})


def compare_board(name: str, draft: Draft, target: NativeTarget) -> Artefact:
    """Let a microcontroller's library replay the golden vectors on an emulated board.

    Args:
        name: the library's path in the bundle.
        draft: what is exported.
        target: one of the microcontrollers.

    Raises:
        NotEquivalent: it found a difference, or did not run to its end.
        CompilerMissing, CompilationFailed: the program around the library cannot be built.
    """
    board = BOARDS.get(target.name)
    emulator = board.command(Path())[0] if board is not None else ""
    if board is None or shutil.which(emulator) is None:
        wanted = f" without {emulator} (apt-get install qemu-system-arm)" if board else ""
        return Artefact(name, "not run", f"{target.name} does not run here{wanted}")
    policy, golden = draft.policy, draft.golden
    data = build_board_check(policy, draft.name, target, golden, strict=draft.strict)
    with tempfile.TemporaryDirectory(prefix="dspctl-") as folder:
        program = Path(folder, "policy.elf")
        program.write_bytes(data)
        try:
            done = subprocess.run(
                board.command(program), capture_output=True, text=True, timeout=_LIMIT_S
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise _did_not_run(name, error) from error
    told = dict(line.split(" ", 1) for line in done.stderr.splitlines() if " " in line)
    if done.returncode != 0:
        raise NotEquivalent(
            f"{name} does not compute what the policy does on the board {board.machine} "
            f"({told.get('differences', 'no count of')} differences from the golden vectors): "
            "nothing was written; please report this together with the policy file"
        )
    figures = {key: int(told[key]) for key in ("rows", "differences", "ties")}
    note = f"golden vectors on the board {board.machine} under {emulator}"
    return Artefact(name, "emulated", note, True, figures)


def _did_not_run(name: str, error: Exception) -> NotEquivalent:
    return NotEquivalent(
        f"{name} does not run to its end ({error}): nothing was written; please report this "
        "together with the policy file"
    )


def _verify(command: bytes, emulator: tuple[str, ...], name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="dspctl-") as folder:
        program = Path(folder, "policy")
        program.write_bytes(command)
        program.chmod(0o700)
        try:
            done = subprocess.run(
                [*emulator, str(program), "verify", "--json"],
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
            )
            result = json.loads(done.stdout)
            return {key: result[key] for key in ("passed", *_FIGURES)}
        except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError, OSError) as error:
            raise _did_not_run(name, error) from error
