"""Which compiler flags, and why. Every one is recorded in ``build.json``.

The generated code calls nothing: no C library, no mathematics library, no helper of the compiler.
Most flags below keep it that way; a build with an undefined symbol is refused.
"""

from typing import Literal

from dspctl.exporter.native.targets import NativeTarget

Family = Literal["gcc", "clang", "zig"]


def processor_flags(target: NativeTarget, family: Family) -> tuple[str, ...]:
    """What chooses the machine, for the library."""
    if family == "zig":
        return ("-target", target.zig_target, f"-mcpu={target.zig_cpu}")
    return target.system_flags


def object_flags(target: NativeTarget, family: Family, *, strict: bool) -> tuple[str, ...]:
    """How the policy's object is compiled."""
    flags = [
        *processor_flags(target, family),
        "-std=c99",
        *_optimisation(target, family),
        "-g0",  # no debugging information: it holds paths, and no flash is spent on it
        # No call to memcpy, memset or a mathematics library in place of a loop.
        "-ffreestanding",
        # Fused multiply-add rounds once instead of twice: faster, and other bits. Both compilers
        # would otherwise choose by themselves, and differently.
        f"-ffp-contract={'off' if strict else 'fast'}",
        # Values stay the same under these two. No errno is set and no floating-point exception
        # flag is promised, so comparisons and selections may be vectorised.
        "-fno-math-errno",
        "-fno-trapping-math",
        # Some distributions turn this on; it calls into the C library. The code has no buffer
        # whose index comes from outside.
        "-fno-stack-protector",
        "-fomit-frame-pointer",
        # One section per function: a linker with --gc-sections keeps only what is called, and
        # every call between functions is a relocation, from which stack use is computed.
        "-ffunction-sections",
        "-fdata-sections",
    ]
    if family == "gcc":
        flags.append("-fno-tree-loop-distribute-patterns")  # turns loops into memset
        # Would turn clipping, a maximum and a minimum, into jumps around the second of them. Which
        # way they go changes from call to call: Hopper's 11-13-5-3 took 33.9 ns instead of 23.9.
        flags.append("-fno-thread-jumps")
    if target.hosted:
        # Inside the shared library, act_batch may take in act: nobody replaces one alone.
        flags += ["-fPIC", "-fno-semantic-interposition"]
    else:
        # Tables for unwinding cost flash and refer to a C++ library.
        flags += ["-fno-unwind-tables", "-fno-asynchronous-unwind-tables"]
    if target.lanes == 16:
        flags.append("-mprefer-vector-width=512")  # compilers split these vectors by default
    if family == "zig":
        flags.append("-fno-sanitize=all")
    return tuple(flags)


def _optimisation(target: NativeTarget, family: Family) -> tuple[str, ...]:
    if not target.hosted:
        # Flash is what is scarce: 8-9-9-4 takes 1.9 KB instead of the 3.9 KB of -O2, for 1.3 times
        # the instructions (1,720 a call, counted by the emulator).
        return ("-Os",)
    # zig cc passes -O2 on for -O3, so the compiler proper is told once more.
    return ("-O3", "-Xclang", "-O3") if family == "zig" else ("-O3",)


def stack_flags(family: Family) -> tuple[str, ...]:
    """What makes the compiler tell each function's stack use, in a compilation of its own."""
    return ("-fstack-usage",) if family == "gcc" else ("-fstack-size-section",)


def shared_flags(name: str) -> tuple[str, ...]:
    """How the object becomes ``libNAME.so``: on its own, with every symbol resolved inside."""
    return (
        "-shared",
        "-nostdlib",
        f"-Wl,-soname,lib{name}.so",
        "-Wl,-Bsymbolic",
        "-Wl,-z,defs",
        "-Wl,-z,noexecstack",
        "-Wl,--build-id=none",
        "-s",
    )


COMMAND_FLAGS = (
    "-std=c99",
    "-D_POSIX_C_SOURCE=200809L",
    "-O2",
    "-g0",
    "-ffp-contract=off",
)
"""How the sources of the command and of the boards' check are compiled."""


def program_target(target: NativeTarget) -> tuple[str, ...]:
    """What chooses the machine for zig, for programs.

    The command is for the plain processor of its architecture: the three Jetson boards then share
    one C library in zig's cache, which takes half a minute to build. What is measured, the
    library, is for the processor itself.
    """
    processor = "baseline" if target.hosted else target.zig_cpu
    return ("-target", target.zig_static_target, f"-mcpu={processor}")
