"""What ``dspctl doctor`` tries: each function uses one thing for real and says what it saw.

A check runs in a process of its own, because a library built for another machine may end the
process rather than raise. It imports what it tries inside the function.
"""

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dspctl.cli.native_checks import (
    compiler,
    qemu_aarch64,
    qemu_system_arm,
    tensorrt,
    tensorrt_rtx,
    zig,
)


class Check(NamedTuple):
    """One thing to try.

    Attributes:
        name: how it is listed.
        purpose: what works only with it.
        install: the command that provides it.
        attempt: tries it; returns a short description, raises on any failure.
        required: dspctl does nothing without it.
    """

    name: str
    purpose: str
    install: str
    attempt: Callable[[], str]
    required: bool = False


def _python() -> str:
    return f"{platform.python_version()}, {platform.system()} {platform.machine()}"


def _cpu() -> str:
    model = platform.processor() or "unknown model"
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        named = [x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")]
        model = named[0] if named else model
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} usable, {model}"


def _numpy() -> str:
    import numpy as np

    product = np.ones((64, 64), np.float32) @ np.ones((64, 64), np.float32)
    if not (product == 64).all():
        raise ArithmeticError("a matrix product came out wrong")
    return f"{np.__version__}, matrix product"


def _policy_file() -> str:
    import numpy as np
    import safetensors
    from safetensors.numpy import load, save

    if load(save({"x": np.arange(3)}))["x"].tolist() != [0, 1, 2]:
        raise ArithmeticError("a tensor changed on its way through a file")
    return f"{safetensors.__version__}, write and read"


def _torch() -> str:
    import torch

    product = torch.ones(64, 64) @ torch.ones(64, 64)
    if not bool((product == 64).all()):
        raise ArithmeticError("a matrix product came out wrong")
    return f"{torch.__version__}, matrix product, {torch.get_num_threads()} threads"


def _environment(name: str) -> Callable[[], str]:
    def attempt() -> str:
        import gymnasium

        with gymnasium.make(name) as env:
            env.reset(seed=0)
            env.action_space.seed(0)
            env.step(env.action_space.sample())
        return f"gymnasium {gymnasium.__version__}, one step"

    return attempt


def _envpool() -> str:
    import numpy as np

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import envpool

    env = envpool.make_gymnasium("CartPole-v1", num_envs=2)
    env.reset()
    env.step(np.zeros(2, env.action_space.dtype))
    env.close()
    return f"{envpool.__version__}, one step of two environments"


def _onnx() -> str:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    shape = [1, 2]
    graph = helper.make_graph(
        [helper.make_node("Tanh", ["x"], ["y"])],
        "check",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.array([[0.5, -1.0]], np.float32)
    if not np.allclose(session.run(None, {"x": x})[0], np.tanh(x), atol=1e-6):
        raise ArithmeticError("ONNX Runtime's tanh came out wrong")
    return f"onnx {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}, one inference"


def _gpu() -> str:
    from dspctl.runtime.tensorrt.cuda import Cuda

    cuda = Cuda()
    try:
        capability = cuda.compute_capability
        cuda.wait(cuda.stream())
    finally:
        cuda.close()
    return f"compute capability {capability}, one stream"


def _matplotlib() -> str:
    import io

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([0, 1])
    figure.savefig(io.BytesIO(), format="png")
    return f"{matplotlib.__version__}, one picture"


def _cryptography() -> str:
    import cryptography
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    key.public_key().verify(key.sign(b"check"), b"check")
    return f"{cryptography.__version__}, one signature"


_LIBNVINFER = "apt-get install python3-libnvinfer"
_QEMU_ARM = "apt-get install qemu-system-arm"
_TRAIN = "pip install 'dspctl[train]'"

CHECKS: tuple[Check, ...] = (
    Check("python", "everything", "install Python 3.10 or newer", _python, required=True),
    Check("cpu", "everything", "", _cpu, required=True),
    Check("numpy", "everything", "pip install dspctl", _numpy, required=True),
    Check("safetensors", "policy files", "pip install dspctl", _policy_file, required=True),
    Check("torch", "train --update autograd", _TRAIN, _torch),
    Check("CartPole-v1", "train, eval, demo", _TRAIN, _environment("CartPole-v1")),
    Check("LunarLander-v3", "Box2D tasks", _TRAIN, _environment("LunarLander-v3")),
    Check("Hopper-v5", "MuJoCo tasks", _TRAIN, _environment("Hopper-v5")),
    Check("envpool", "faster training", "pip install 'dspctl[envpool]'", _envpool),
    Check("onnx", "export, fast backends", "pip install 'dspctl[export]'", _onnx),
    Check("matplotlib", "pictures", "pip install 'dspctl[bench]'", _matplotlib),
    Check("cryptography", "sign, signatures", "pip install 'dspctl[sign]'", _cryptography),
    Check("C compiler", "export --target cpu", "apt-get install gcc libc6-dev", compiler),
    Check("zig", "export to other machines", "pip install 'dspctl[native]'", zig),
    Check("qemu-aarch64", "parity of aarch64 code", "apt-get install qemu-user", qemu_aarch64),
    Check("qemu-system-arm", "tests of Cortex-M code", _QEMU_ARM, qemu_system_arm),
    Check("tensorrt-rtx", "export --target rtx", "pip install 'dspctl[rtx]'", tensorrt_rtx),
    Check("tensorrt", "engines on a Jetson", _LIBNVINFER, tensorrt),
    Check("NVIDIA GPU", "running TensorRT plans", "pip install 'dspctl[tensorrt]'", _gpu),
)


def main(name: str) -> None:
    """Try the check called *name*: its finding on stdout, or the reason on stderr and exit 1."""
    check = next(check for check in CHECKS if check.name == name)
    try:
        found = check.attempt()
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(found)


if __name__ == "__main__":
    main(sys.argv[1])
