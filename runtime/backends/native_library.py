"""The compiled policy, opened from the bytes that were verified, not from the file they came from.

Between hashing a file and opening it by name somebody may replace it. A memory file holds the
verified bytes and nothing else, needs no place on the disk, and works where ``/tmp`` is mounted
``noexec``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from _thread import allocate_lock  # which is threading.Lock, without the other 0.15 MB
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from dspctl.runtime.digest import sha256
from dspctl.runtime.machine import Machine, this_machine
from dspctl.runtime.on_demand import errors
from dspctl.runtime.records import record

if TYPE_CHECKING:
    from dspctl.runtime.bundle import Bundle
    from dspctl.runtime.bundle.manifest import Build
    from dspctl.runtime.policy import Policy

_open_libraries: dict[str, ctypes.PyDLL] = {}
_opening = allocate_lock()


@record(frozen=True, eq=False)
class Library:
    """The C functions of one compiled policy.

    Attributes:
        target: the folder under ``native/`` that it came from.
        act: ``NAME_act``; the interpreter's lock is held, since releasing it costs more.
        outputs: ``NAME_logits`` or ``NAME_mean``, likewise.
        act_batch: ``NAME_act_batch``; the lock is released.
    """

    target: str
    act: Any
    outputs: Any
    act_batch: Any


def choose_target(builds: Mapping[str, Build], available: Collection[str], machine: Machine) -> str:
    """The target of *available* that was built for the processor closest to this one.

    The one for exactly this chip, else the one that uses most of what this processor has.

    Raises:
        BackendUnavailable: the bundle holds no native library at all.
        WrongProcessor: none of them may run here; says what each one needs.
    """
    if not available:
        raise errors.BackendUnavailable(
            "the bundle holds no native library: export the policy with  --target cpu"
        )
    fitting = [
        target
        for target in available
        if machine.runs(builds[target].architecture, builds[target].requires)
    ]
    if not fitting:
        raise errors.WrongProcessor(
            f"this machine is {machine}; the bundle's native libraries are for "
            f"{'; '.join(_needs(target, builds[target], machine) for target in available)}: "
            "export with  --target cpu  on this kind of machine, or use another backend"
        )
    return max(fitting, key=lambda target: (target == machine.board, len(builds[target].requires)))


def library_from_bundle(bundle: Bundle, target: str | None = None) -> Library:
    """The compiled policy of *bundle* for *target*, or for the best-fitting one.

    Raises:
        BackendUnavailable: there is none, or it cannot be opened.
        WrongProcessor: it may not run on this processor.
    """
    machine, libraries = this_machine(), bundle.libraries
    if target is None:
        target = choose_target(bundle.manifest.builds, libraries, machine)
    elif target not in libraries:
        raise errors.BackendUnavailable(f"the bundle holds no native library for {target}")
    build = bundle.manifest.builds[target]
    machine.check(f"the native library for {target}", build.architecture, build.requires)
    data = bundle.data[libraries[target]]
    return library_from_bytes(data, bundle.manifest.name, target, bundle.policy)


def library_from_bytes(data: bytes, name: str, target: str, policy: Policy) -> Library:
    """The functions with prefix *name* of a shared library's bytes.

    A library stays open until the process ends: a thread may still be inside it. It holds no
    state, so opening the same bytes again gives the same one.

    Raises:
        BackendUnavailable: it is no library for this system, or lacks one of the functions.
    """
    digest = sha256(data)
    outputs = "logits" if policy.action.discrete else "mean"
    try:
        with _opening:
            if digest not in _open_libraries:
                _open_libraries[digest] = _open(data)
        locked = _open_libraries[digest]
        unlocked = ctypes.CDLL(None, handle=locked._handle)
        library = Library(
            target=target,
            act=locked[f"{name}_act"],
            outputs=locked[f"{name}_{outputs}"],
            act_batch=unlocked[f"{name}_act_batch"],
        )
    except (OSError, AttributeError) as error:
        raise errors.BackendUnavailable(
            f"the native library for {target} cannot be opened ({error}): export the policy again "
            "for this machine, or use another backend"
        ) from error
    # Two buffers of a row go in without any conversion; a batch is addresses and a count.
    library.act_batch.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_size_t]
    return library


def _open(data: bytes) -> ctypes.PyDLL:
    with contextlib.suppress(OSError, AttributeError):  # not Linux, or forbidden, or no /proc
        return _open_memory_file(data)
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="dspctl-") as folder:  # readable by this user alone
        path = Path(folder, "policy.so")
        path.write_bytes(data)
        return ctypes.PyDLL(str(path))


def _open_memory_file(data: bytes) -> ctypes.PyDLL:
    descriptor = os.memfd_create("dspctl-policy", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
        # The descriptor stays open with the library: the loader knows an open library by its path,
        # and a number used again would give the old library for the new one's bytes.
        return ctypes.PyDLL(f"/proc/self/fd/{descriptor}")
    except OSError:
        os.close(descriptor)
        raise


def _needs(target: str, build: Build, machine: Machine) -> str:
    missing = machine.missing(build.requires) if build.architecture == machine.architecture else ()
    lacks = f", of which this one lacks {', '.join(missing)}" if missing else ""
    return f"{target} ({build.architecture}{lacks})"
