"""Two compilers: the one installed on this machine, for this machine, and zig for every other.

Both are called in a temporary folder with relative names only, so that no path gets into what they
write, and the same input gives the same bytes in every folder.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dspctl.errors import CompilationFailed, CompilerMissing, StaticLibraryMissing
from dspctl.exporter.native.flags import (
    COMMAND_FLAGS,
    Family,
    object_flags,
    processor_flags,
    program_target,
    shared_flags,
    stack_flags,
)
from dspctl.exporter.native.targets import NativeTarget
from dspctl.runtime.disks import check_disk

_SYSTEM_COMPILERS = ("cc", "gcc", "clang")
_SHOWN_LINES = 8
_JOBS = str(max(4, 2 * (os.cpu_count() or 1)))


@dataclass(frozen=True)
class Compiler:
    """A C compiler with its archiver.

    Attributes:
        family: what decides on flags.
        version: one line, as the compiler gives it.
        driver: the command that compiles and links.
        archiver: the command that makes static libraries.
        shown: words of *driver* and *archiver* that stand for them in reports: without paths.
    """

    family: Family
    version: str
    driver: tuple[str, ...]
    archiver: tuple[str, ...]
    shown: tuple[str, str]

    def object(
        self, folder: Path, target: NativeTarget, name: str, *, strict: bool
    ) -> tuple[str, ...]:
        """Compile ``NAME.c`` to ``NAME.o``. Returns the command as reports show it."""
        flags = object_flags(target, self.family, strict=strict)
        return self._compile(folder, (*flags, "-c", f"{name}.c", "-o", f"{name}.o"))

    def measured_object(
        self, folder: Path, target: NativeTarget, name: str, *, strict: bool
    ) -> None:
        """Compile once more, to ``NAME.stack.o``, with each function's stack use beside it.

        Of gcc that is a file ``NAME.stack.su``, of clang a section of the object.
        """
        flags = (*object_flags(target, self.family, strict=strict), *stack_flags(self.family))
        self._compile(folder, (*flags, "-c", f"{name}.c", "-o", f"{name}.stack.o"))

    def shared(self, folder: Path, target: NativeTarget, name: str) -> tuple[str, ...]:
        """Link ``NAME.o`` to ``libNAME.so``."""
        chosen = processor_flags(target, self.family)
        return self._compile(
            folder, (*chosen, *shared_flags(name), f"{name}.o", "-o", f"lib{name}.so")
        )

    def archive(self, folder: Path, name: str) -> tuple[str, ...]:
        """Put ``NAME.o`` into ``libNAME.a``; D is the deterministic mode, no times, no owners."""
        arguments = ("rcsD", f"lib{name}.a", f"{name}.o")
        _run((*self.archiver, *arguments), folder)
        return (self.shown[1], *arguments)

    def command(
        self, folder: Path, target: NativeTarget, sources: Sequence[str], library: str, out: str
    ) -> tuple[str, ...]:
        """Compile *sources* and link them with *library* to a program that needs nothing else.

        Raises:
            StaticLibraryMissing: this machine's C library cannot be linked statically.
        """
        if self._is_zig:
            return self._zig_program(folder, target, ("-static", "-lc"), sources, library, out)
        self._check_static(folder)
        linking = ("-static", "-pthread", "-Wl,--build-id=none", "-s", "-o", out)
        return self._compile(folder, (*COMMAND_FLAGS, "-I..", *sources, library, *linking))

    def bare_program(
        self,
        folder: Path,
        target: NativeTarget,
        sources: Sequence[str],
        library: str,
        script: str,
        out: str,
    ) -> tuple[str, ...]:
        """The same for a board without an operating system, laid out by a linker script. zig."""
        return self._zig_program(folder, target, ("-T", script), sources, library, out)

    @property
    def _is_zig(self) -> bool:
        return self.family == "zig"

    def _compile(self, folder: Path, arguments: Sequence[str]) -> tuple[str, ...]:
        _run((*self.driver, *arguments), folder)
        return (self.shown[0], *arguments)

    def _zig_program(
        self,
        folder: Path,
        target: NativeTarget,
        kind: Sequence[str],
        sources: Sequence[str],
        library: str,
        out: str,
    ) -> tuple[str, ...]:
        """Not through zig cc, which builds the C library on first use with one job at a time."""
        words = (
            *("build-exe", *program_target(target), *kind),
            *("-O", "ReleaseSmall", "-fstrip", "--build-id=none"),
            *("-cflags", *COMMAND_FLAGS, "-fno-sanitize=all", "-I..", "--"),
            *(*sources, library, f"-femit-bin={out}"),
        )
        _run((*self.driver[:-1], *words, f"-j{_JOBS}"), folder)
        return ("zig", *words)

    def _check_static(self, folder: Path) -> None:
        """gcc and clang print the bare name of a file that they do not find."""
        found = _run((*self.driver, "-print-file-name=libc.a"), folder).strip()
        if not Path(found).is_absolute():
            raise StaticLibraryMissing(
                "the command `policy` is linked statically, but this machine has no static C "
                "library: install it (Debian, Ubuntu: apt-get install libc6-dev; Fedora: dnf "
                "install glibc-static), or export for a named target such as x86-64-v3, which zig "
                "compiles"
            )


def compiler_for(target: NativeTarget) -> Compiler:
    """The compiler that builds for *target*.

    Raises:
        CompilerMissing: it is not installed; the message says how to install it.
    """
    return system_compiler() if target.compiler == "system" else zig_compiler()


def system_compiler() -> Compiler:
    """The first of cc, gcc and clang on the PATH.

    Raises:
        CompilerMissing: there is none, or the archiver ``ar`` is missing.
    """
    archiver = shutil.which("ar")
    for name in _SYSTEM_COMPILERS:
        driver = shutil.which(name)
        if driver is None:
            continue
        if archiver is None:
            raise CompilerMissing(
                f"the compiler {name} is there but the archiver 'ar' is not: run  apt-get install "
                "binutils"
            )
        version = _version(driver)
        family: Family = "clang" if "clang" in version else "gcc"
        return Compiler(family, version, (driver,), (archiver,), (name, "ar"))
    raise CompilerMissing(
        "compiling for this machine needs a C compiler, and neither cc, gcc nor clang is on the "
        "PATH: run  apt-get install gcc libc6-dev,  or export for a named target such as "
        "x86-64-v3, which the package 'ziglang' compiles"
    )


def zig_compiler() -> Compiler:
    """The C compiler inside the Python package ``ziglang``.

    Raises:
        CompilerMissing: the package is not installed.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise CompilerMissing(
            "compiling for other machines needs the package 'ziglang', which is not installed: "
            "run  pip install 'dspctl[native]'"
        )
    return _zig()


@cache
def _zig() -> Compiler:
    start = (sys.executable, "-m", "ziglang")
    version = _run((*start, "version"), Path.cwd()).strip()
    clang = _run((*start, "cc", "--version"), Path.cwd()).splitlines()[0]
    return Compiler(
        "zig", f"zig {version}, {clang}", (*start, "cc"), (*start, "ar"), ("zig cc", "zig ar")
    )


@cache
def _version(driver: str) -> str:
    return _run((driver, "--version"), Path.cwd()).splitlines()[0]


def _run(command: Sequence[str], folder: Path) -> str:
    """Run a tool in *folder*, in plain English and without what the user set for other builds.

    Raises:
        CompilationFailed: it could not be started or did not succeed.
        WriteFailed: the disk is full.
    """
    environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}
    for variable in ("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "GCC_EXEC_PREFIX"):
        environment.pop(variable, None)
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise CompilationFailed(f"could not start {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        check_disk(done.stderr, folder, Path(tempfile.gettempdir()))
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        start = next((index for index, line in enumerate(lines) if "error" in line), 0)
        raise CompilationFailed(
            f"the compiler refused (exit code {done.returncode}): {' '.join(command)}\n"
            + "\n".join(lines[start : start + _SHOWN_LINES])
            + "\nThis is a defect of dspctl or of the installation: please report it with these "
            "lines"
        )
    return done.stdout
