"""What ``dspctl doctor`` tries of compilers, emulators and TensorRT; see `dspctl.cli.checks`.

The emulators are given programs that are written out here, byte by byte, so that trying one needs
no compiler.
"""

import ctypes
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_COMPILERS = ("cc", "gcc", "clang")
_C_SOURCE = "float twice(float x) { return 2.0f * x; }\n"
_LIMIT_S = 60.0
_ANSWER = 7

# exit(7): mov x0, #7; mov x8, #93; svc #0
_AARCH64_CODE = struct.pack("<3I", 0xD28000E0, 0xD2800BA8, 0xD4000001)

# Stack pointer and reset vector; then r0 = SYS_EXIT, r1 = ApplicationExit, and the breakpoint that
# asks the emulator to end.
_CORTEX_M_CODE = struct.pack(
    "<2I4HI", 0x20001000, 0x00000009, 0x2018, 0x4901, 0xBEAB, 0xE7FE, 0x20026
)


def compiler() -> str:
    """This machine's compiler makes a library, which is called."""
    found = next((path for name in _COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        raise FileNotFoundError(f"none of {', '.join(_COMPILERS)} is on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "check.so")
        _compile([found], folder, "-O2", "-shared", "-fPIC", "-o", str(library))
        twice = ctypes.CDLL(str(library)).twice
        twice.argtypes, twice.restype = [ctypes.c_float], ctypes.c_float
        if twice(1.5) != 3.0:
            raise ArithmeticError("a compiled function came out wrong")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    return f"{version.stdout.splitlines()[0]}, compiled and called"


def zig() -> str:
    """The cross compiler makes an object for another processor."""
    command = [sys.executable, "-m", "ziglang"]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "check.o")
        flags = ("-target", "aarch64-linux-gnu", "-O2", "-c", "-o", str(made))
        _compile([*command, "cc"], folder, *flags)
        machine = struct.unpack_from("<H", made.read_bytes(), 18)[0]
    if machine != 183:  # EM_AARCH64
        raise ValueError(f"an object for aarch64 says that it is for machine {machine}")
    version = subprocess.run([*command, "version"], capture_output=True, text=True, check=True)
    return f"zig {version.stdout.strip()}, compiled for aarch64"


def qemu_aarch64() -> str:
    """The emulator runs a Linux program for aarch64."""
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01", 2, 183, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    size = 120 + len(_AARCH64_CODE)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x10000)
    return _emulate("qemu-aarch64", header + segment + _AARCH64_CODE, (), _ANSWER)


def qemu_system_arm() -> str:
    """The emulator boots a board with a Cortex-M4."""
    header = struct.pack(
        "<16sHHIIIIIHHHHHH",
        b"\x7fELF\x01\x01\x01", 2, 40, 1, 9, 52, 0, 0x05000000, 52, 32, 1, 0, 0, 0,
    )  # fmt: skip
    size = len(_CORTEX_M_CODE)
    segment = struct.pack("<8I", 1, 84, 0, 0, size, size, 5, 4)
    board = ("-M", "mps2-an386", "-display", "none", "-semihosting-config", "enable=on", "-kernel")
    return _emulate("qemu-system-arm", header + segment + _CORTEX_M_CODE, board, 0)


def tensorrt() -> str:
    """The TensorRT that comes with JetPack builds an engine."""
    return _one_engine("tensorrt")


def tensorrt_rtx() -> str:
    """TensorRT-RTX builds an engine, for which it needs no GPU."""
    return _one_engine("tensorrt_rtx")


def _one_engine(module: str) -> str:
    from importlib import import_module

    trt: Any = import_module(module)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if explicit is None else 1 << int(explicit))
    x = network.add_input("x", trt.float32, (1, 4))
    layer = network.add_activation(x, trt.ActivationType.RELU)
    network.mark_output(layer.get_output(0))
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    if plan is None:
        raise RuntimeError("it could not build an engine")
    return f"{trt.__version__}, one engine built"


def _compile(command: list[str], folder: str, *flags: str) -> None:
    source = Path(folder, "check.c")
    source.write_text(_C_SOURCE)
    subprocess.run([*command, str(source), *flags], check=True, capture_output=True)


def _emulate(name: str, program: bytes, arguments: tuple[str, ...], answer: int) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program")
        path.write_bytes(program)
        path.chmod(0o700)
        done = subprocess.run([found, *arguments, str(path)], capture_output=True, timeout=_LIMIT_S)
    if done.returncode != answer:
        raise RuntimeError(f"a program ended with {done.returncode} instead of {answer}")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    return f"{version.stdout.splitlines()[0].split('(')[0].strip()}, ran a program"
