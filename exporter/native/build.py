"""``build_native``: a policy becomes what one machine runs, and a report of how it was made."""

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspctl.errors import CompilationFailed, TargetTooSmall
from dspctl.exporter.c import CSource, c_from_policy
from dspctl.exporter.native.compilers import Compiler, compiler_for
from dspctl.exporter.native.elf import ObjectFile, needed_libraries, read_object
from dspctl.exporter.native.sources import command_sources, compiled
from dspctl.exporter.native.stack import (
    StackUse,
    deepest_stack,
    frames_from_su,
    with_return_address,
)
from dspctl.exporter.native.targets import NativeTarget
from dspctl.runtime.bundle.manifest import canonical_json
from dspctl.runtime.policy import Policy
from dspctl.runtime.reference.golden import Golden

BUILD = "build.json"
COMMAND = "policy"


@dataclass(frozen=True)
class NativeBuild:
    """What ``native/<target>/`` of a bundle holds.

    Attributes:
        target: the machine it is for.
        files: name → contents: NAME.c, NAME.h, libNAME.a, build.json, and on a machine with an
            operating system libNAME.so and the command ``policy``.
        executables: the names in *files* that are programs.
        report: the contents of build.json.
    """

    target: NativeTarget
    files: dict[str, bytes]
    executables: frozenset[str]
    report: dict[str, Any]

    @property
    def flash_bytes(self) -> int:
        """Instructions, constants and first values of the whole library."""
        return int(self.report["size"]["flash_bytes"])


def build_native(
    policy: Policy,
    name: str,
    target: NativeTarget,
    golden: Golden,
    *,
    strict: bool = False,
    command: bool = True,
) -> NativeBuild:
    """Generate, compile, link and measure *policy* for *target*.

    The same policy, name, target, golden vectors and compiler give the same bytes.

    Args:
        policy: what is compiled.
        name: prefix of its C functions, see `dspctl.exporter.c.check_identifier`.
        target: for which machine; its ``compiler`` says who compiles.
        golden: what the command ``policy verify`` replays.
        strict: the same bits on every target, instead of fused and reordered additions.
        command: with the command ``policy``, for whose C library zig needs half a minute when it
            compiles for an architecture the first time.

    Raises:
        CompilerMissing, StaticLibraryMissing: something is not installed; says what to do.
        CompilationFailed: the compiler refused, or what it made breaks a promise of the header.
        MissingExtra: pyelftools or jinja2 is not installed.
    """
    compiler = compiler_for(target)
    source = c_from_policy(policy, name, target, strict=strict)
    with tempfile.TemporaryDirectory(prefix="dspctl-build-") as temporary:
        folder = Path(temporary)
        commands = _compile_library(folder, compiler, source, target, strict=strict)
        library = read_object((folder / f"{name}.o").read_bytes())
        _check_alone(library, name)
        stack = _measure_stack(folder, compiler, source, target, strict=strict)
        made = [f"{name}.c", f"{name}.h", f"lib{name}.a"]
        if target.hosted:
            commands["shared_library"] = compiler.shared(folder, target, name)
            needed = needed_libraries((folder / f"lib{name}.so").read_bytes())
            if needed:
                raise CompilationFailed(
                    f"lib{name}.so asks for {', '.join(needed)}, but must stand alone: this is a "
                    "defect of dspctl, please report it"
                )
            made.append(f"lib{name}.so")
        if target.hosted and command:
            sources = command_sources(policy, name, golden)
            commands |= _compile_command(folder, compiler, target, name, sources)
            made.append(COMMAND)
        files = {file: (folder / file).read_bytes() for file in made}
    report = _report(target, compiler, commands, library, stack, source, strict=strict)
    files[BUILD] = canonical_json(report)
    return NativeBuild(
        target=target,
        files=dict(sorted(files.items())),
        executables=frozenset({COMMAND} & files.keys()),
        report=report,
    )


def build_all(
    policy: Policy,
    name: str,
    targets: Sequence[NativeTarget],
    golden: Golden,
    *,
    strict: bool = False,
) -> tuple[NativeBuild, ...]:
    """`build_native` for every target, as many at a time as there are processors."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        builds = [
            pool.submit(build_native, policy, name, target, golden, strict=strict)
            for target in targets
        ]
        return tuple(build.result() for build in builds)


def check_fits(build: NativeBuild, flash_limit_bytes: int) -> None:
    """Refuse a library that does not fit.

    Raises:
        TargetTooSmall: its instructions and constants need more than *flash_limit_bytes*.
    """
    if build.flash_bytes > flash_limit_bytes:
        raise TargetTooSmall(
            f"the library for {build.target.name} needs {build.flash_bytes:,} bytes of flash, "
            f"{build.flash_bytes - flash_limit_bytes:,} more than the limit of "
            f"{flash_limit_bytes:,}: train with a higher --sparsity, or raise --flash-limit"
        )


def _compile_library(
    folder: Path, compiler: Compiler, source: CSource, target: NativeTarget, *, strict: bool
) -> dict[str, tuple[str, ...]]:
    (folder / f"{source.name}.c").write_text(source.source, encoding="utf-8", newline="\n")
    (folder / f"{source.name}.h").write_text(source.header, encoding="utf-8", newline="\n")
    return {
        "object": compiler.object(folder, target, source.name, strict=strict),
        "static_library": compiler.archive(folder, source.name),
    }


def _check_alone(library: ObjectFile, name: str) -> None:
    if library.undefined:
        raise CompilationFailed(
            f"the compiler made {name}.c call {', '.join(library.undefined)}, but the code must "
            "stand alone: this is a defect of dspctl, please report it with the compiler's version"
        )


def _measure_stack(
    folder: Path, compiler: Compiler, source: CSource, target: NativeTarget, *, strict: bool
) -> StackUse:
    """The compiler's own count, checked against the bound that the header states."""
    compiler.measured_object(folder, target, source.name, strict=strict)
    measured = read_object((folder / f"{source.name}.stack.o").read_bytes())
    if compiler.family == "gcc":
        frames = frames_from_su((folder / f"{source.name}.stack.su").read_text())
    else:
        frames = with_return_address(measured.stack, target.architecture)
    stack = deepest_stack(frames, measured.calls)
    if stack.bytes > source.stack_bytes:
        raise CompilationFailed(
            f"{' → '.join(stack.chain)} uses {stack.bytes} bytes of stack, more than the "
            f"{source.stack_bytes} that {source.name}.h states: this is a defect of dspctl, "
            "please report it with the compiler's version"
        )
    return stack


def _compile_command(
    folder: Path, compiler: Compiler, target: NativeTarget, name: str, sources: dict[str, bytes]
) -> dict[str, tuple[str, ...]]:
    inside = folder / "command"
    inside.mkdir()
    for file, data in sources.items():
        (inside / file).write_bytes(data)
    library, program = f"../lib{name}.a", f"../{COMMAND}"
    return {"command": compiler.command(inside, target, compiled(sources), library, program)}


def _report(
    target: NativeTarget,
    compiler: Compiler,
    commands: dict[str, tuple[str, ...]],
    library: ObjectFile,
    stack: StackUse,
    source: CSource,
    *,
    strict: bool,
) -> dict[str, Any]:
    sizes = library.sizes
    zig = compiler.family == "zig"
    return {
        "target": target.name,
        "summary": target.summary,
        "architecture": target.architecture,
        "requires": list(target.requires),
        "numeric_mode": "strict" if strict else "fast",
        "compiler": {"family": compiler.family, "version": compiler.version},
        "triple": target.zig_target if zig else None,
        # The library calls nothing, so it asks for no version of any C library.
        "libc": {"library": None, "command": "static" if target.hosted else None},
        "commands": {step: " ".join(words) for step, words in commands.items()},
        "size": {
            "text_bytes": sizes.text_bytes,
            "code_bytes": sizes.code_bytes,
            "rodata_bytes": sizes.rodata_bytes,
            "data_bytes": sizes.data_bytes,
            "bss_bytes": sizes.bss_bytes,
            "flash_bytes": sizes.flash_bytes,
        },
        "stack": {
            "stated_bytes": source.stack_bytes,
            "measured_bytes": stack.bytes,
            "deepest_calls": list(stack.chain),
            "frames_bytes": stack.functions,
        },
        "undefined_symbols": list(library.undefined),
        "exported_symbols": list(library.defined),
    }
