"""The same policy as code from several generators, compiled and ready to be called from C.

Every contender is one shared library with one function, ``contender(observation, action)``: the
generated source and that function are one translation unit, so no generator pays for a call that
another does not.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dspctl.errors import MissingExtra
from dspctl.exporter.c import c_from_policy
from dspctl.exporter.native.compilers import system_compiler, zig_compiler
from dspctl.exporter.native.flags import Family, object_flags
from dspctl.exporter.native.targets import NativeTarget, cpu_target
from dspctl.runtime.machine import this_machine
from dspctl.runtime.policy import Policy

NAME = "net"
RACE = Path(__file__).with_name("race.c")

Generate = Callable[[Policy, NativeTarget, Path], str]
"""Policy, target, folder → the text of ``contender.c``; what it includes goes to the folder."""


def shipped(target: NativeTarget, *, strict: bool = False, family: Family = "gcc") -> list[str]:
    """The compiler with exactly the flags that a bundle's library is compiled with.

    Raises:
        CompilerMissing: it is not installed.
    """
    compiler = zig_compiler() if family == "zig" else system_compiler()
    return [*compiler.driver, *object_flags(target, compiler.family, strict=strict)]


def recommended() -> list[str]:
    """The system's compiler as peers recommend it for their code: every instruction there is."""
    return [*system_compiler().driver, "-O3", "-march=native"]


def this_target() -> NativeTarget:
    """The target that ``--target cpu`` stands for here."""
    return cpu_target(this_machine())


def dspctl_fast(policy: Policy, target: NativeTarget, folder: Path) -> str:
    """This project's code, default mode."""
    return _dspctl(policy, target, folder, strict=False)


def dspctl_strict(policy: Policy, target: NativeTarget, folder: Path) -> str:
    """This project's code with the same bits on every machine."""
    return _dspctl(policy, target, folder, strict=True)


def _dspctl(policy: Policy, target: NativeTarget, folder: Path, *, strict: bool) -> str:
    source = c_from_policy(policy, NAME, target, strict=strict)
    (folder / f"{NAME}.h").write_text(source.header)
    (folder / f"{NAME}.c").write_text(source.source)
    return (
        f'#include "{NAME}.c"\n'
        "void contender(const float *observation, void *action);\n"
        "void contender(const float *observation, void *action)\n"
        f"{{\n    (void){NAME}_act(observation, action);\n}}\n"
    )


def emx(policy: Policy, target: NativeTarget, folder: Path) -> str:
    """emx-onnx-cgen's code for the policy's graph without the checks of observations.

    Its own defaults put large weights into a file and large temporaries on the heap; both are
    switched off, which makes it faster.

    Raises:
        MissingExtra: emx-onnx-cgen or onnx is not installed.
    """
    from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy

    program = Path(sys.executable).with_name("emx-onnx-cgen")
    if not program.exists():
        raise MissingExtra("emx-onnx-cgen", "peers", "the comparison with generated C")
    (folder / "net.onnx").write_bytes(bytes_from_model(onnx_from_policy(policy, guard=False)))
    command = [str(program), "compile", "net.onnx", "net.c", "--model-name", NAME]
    command += ["--input-dim", "batch=1", "--large-weight-threshold", "0"]
    command += ["--large-temp-threshold", "0"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    out = policy.layers[-1].width
    argument = "action" if policy.action.discrete else f"(float (*)[{out}])action"
    observation = f"(const float (*)[{policy.observation.size}])observation"
    return (
        f'#include "{NAME}.c"\n'
        "void contender(const float *observation, void *action);\n"
        "void contender(const float *observation, void *action)\n"
        f"{{\n    float outputs[1][{out}];\n"
        f"    {NAME}({observation}, {argument}, outputs);\n"
        "}\n"
    )


def compile_contender(
    generate: Generate, policy: Policy, compiler: Sequence[str], folder: Path
) -> Path:
    """Generate and compile one contender in the empty *folder*; returns the shared library.

    Raises:
        subprocess.CalledProcessError: it does not compile.
    """
    (folder / "contender.c").write_text(generate(policy, this_target(), folder))
    command = [*compiler, "-shared", "-fPIC", "contender.c", "-o", "contender.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "contender.so"


def compile_race(folder: Path) -> Path:
    """The timing loop as a shared library in *folder*."""
    library = folder / "race.so"
    command = [*recommended(), "-std=c99", "-shared", "-fPIC", str(RACE)]
    subprocess.run([*command, "-o", str(library)], check=True, capture_output=True)
    return library
