"""TensorRT's Python package, whichever it is, and the log that it writes.

``tensorrt`` (JetPack, servers) and ``tensorrt_rtx`` (RTX GPUs in PCs) are one family of modules;
what differs between their versions is found by looking at what a module has.
"""

import importlib
import platform
import re
from pathlib import Path
from typing import Any

from dspctl.errors import MissingTensorRT
from dspctl.runtime.l4t import l4t_release
from dspctl.runtime.tensorrt.cuda import Cuda
from dspctl.runtime.tensorrt.stamp import EngineMachine, Flavor

MODULES: dict[str, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
_MOST_LINES = 8

_ROOT = Path("/")


def tensorrt_module(flavor: Flavor, purpose: str) -> Any:
    """Import TensorRT.

    Raises:
        MissingTensorRT: it is not installed, or its libraries do not load; *purpose* needs it.
    """
    name = MODULES[flavor]
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        raise MissingTensorRT(name, purpose) from error


def logger_of(trt: Any) -> Any:
    """A logger for TensorRT's objects, whose ``lines`` hold its errors and warnings in order.

    It must live as long as every object that was made with it.
    """

    class Lines(trt.ILogger):  # type: ignore[misc]  # the base is known only at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in self.kept:
                self.lines.append(msg.strip())

        kept = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING)

    return Lines()


def last_lines(logger: Any) -> str:
    """The latest of a logger's lines, as one text for an error's message."""
    return "; ".join(logger.lines[-_MOST_LINES:]) or "it logged nothing"


def engine_machine(trt: Any, cuda: Cuda, root: Path = _ROOT) -> EngineMachine:
    """This machine as far as a plan is tied to it. Raises DeviceError without a usable GPU."""
    return EngineMachine(
        tensorrt=version_of(trt),
        compute_capability=cuda.compute_capability,
        l4t=l4t_release(root),
        platform=platform_name(),
    )


def version_of(trt: Any) -> str:
    """The module's version without anything but numbers, such as ``10.3.0.30``."""
    found = re.match(r"\d+(\.\d+)+", str(trt.__version__))
    return found.group() if found else "0.0"


def platform_name() -> str:
    """Operating system and processor, such as ``linux-aarch64``."""
    return f"{platform.system()}-{platform.machine()}".lower()
