"""The same policy as code from several generators, compiled and ready to be called from C.

Every contender is one shared library with one function, ``contender(observation, action)``: the
generated source and that function are one translation unit, so no generator pays for a call that
another does not.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dspctl.errors import CompilerMissing, MissingExtra
from dspctl.exporter.c import c_from_policy
from dspctl.exporter.native.targets import NativeTarget, cpu_target
from dspctl.runtime.machine import this_machine
from dspctl.runtime.policy import Policy

NAME = "net"
RACE = Path(__file__).with_name("race.c")

Generate = Callable[[Policy, NativeTarget, Path], tuple[str, list[str]]]
"""Policy, target, folder → text of ``contender.c`` and compiler flags; files go to the folder."""


@dataclass(frozen=True)
class Compiler:
    """How a contender is compiled.

    Attributes:
        label: as the table names it.
        command: the compiler with the flags that choose this machine's processor.
    """

    label: str
    command: tuple[str, ...]


def system_compiler(target: NativeTarget) -> Compiler:
    """gcc with this machine's instruction set.

    Raises:
        CompilerMissing: there is none.
    """
    found = shutil.which("gcc")
    if found is None:
        raise CompilerMissing("the comparison needs gcc: run  apt-get install gcc")
    return Compiler("gcc", (found, *target.system_flags))


def native_compiler() -> Compiler:
    """gcc with every instruction this machine has, as peers recommend for their code."""
    return Compiler("gcc", (*system_compiler(this_target()).command[:1], "-march=native"))


def zig_compiler(target: NativeTarget) -> Compiler:
    """zig cc for the same processor level."""
    command = (sys.executable, "-m", "ziglang", "cc", f"-mcpu={target.zig_cpu}")
    return Compiler("zig cc", (*command, "-Xclang", "-O3", "-fno-sanitize=all"))


def this_target() -> NativeTarget:
    """The target that ``--target cpu`` stands for here."""
    return cpu_target(this_machine())


def dspctl_fast(policy: Policy, target: NativeTarget, folder: Path) -> tuple[str, list[str]]:
    """This project's code, default mode."""
    return _dspctl(policy, target, folder, strict=False), ["-std=c99", "-ffp-contract=fast"]


def dspctl_strict(policy: Policy, target: NativeTarget, folder: Path) -> tuple[str, list[str]]:
    """This project's code with the same bits on every machine."""
    return _dspctl(policy, target, folder, strict=True), ["-std=c99", "-ffp-contract=off"]


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


def emx(policy: Policy, target: NativeTarget, folder: Path) -> tuple[str, list[str]]:
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
    ), ["-lm"]


def compile_contender(generate: Generate, policy: Policy, compiler: Compiler, folder: Path) -> Path:
    """Generate and compile one contender in the empty *folder*; returns the shared library.

    Raises:
        subprocess.CalledProcessError: it does not compile.
    """
    text, flags = generate(policy, this_target(), folder)
    (folder / "contender.c").write_text(text)
    libraries = [flag for flag in flags if flag.startswith("-l")]
    options = [flag for flag in flags if not flag.startswith("-l")]
    command = [*compiler.command, "-O3", *options, "-shared", "-fPIC", "contender.c"]
    subprocess.run(
        [*command, "-o", "contender.so", *libraries], cwd=folder, check=True, capture_output=True
    )
    return folder / "contender.so"


def compile_race(folder: Path) -> Path:
    """The timing loop as a shared library in *folder*."""
    library = folder / "race.so"
    command = [*native_compiler().command, "-std=c99", "-O2", "-shared", "-fPIC", str(RACE)]
    subprocess.run([*command, "-o", str(library)], check=True, capture_output=True)
    return library
