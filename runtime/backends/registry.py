"""The backends: how each is opened from a bundle, and the proof that it computes the policy here.

A provider that is listed may still not run, and a library that loads may compute something else.
So no backend is used before it has answered the bundle's golden vectors on this machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from dspctl.runtime.on_demand import errors
from dspctl.runtime.reference.parity import Parity, measure_parity

if TYPE_CHECKING:
    from dspctl.runtime.backends.runner import Runner
    from dspctl.runtime.bundle import Bundle
    from dspctl.runtime.reference.golden import Golden


# Each opener imports its backend: a process uses one, and should hold no other.
def _open_native(bundle: Bundle) -> Runner:
    from dspctl.runtime.backends.native_runner import runner_from_bundle

    return runner_from_bundle(bundle)


def _open_onnx(bundle: Bundle) -> Runner:
    from dspctl.runtime.backends.onnx_runner import OnnxRunner
    from dspctl.runtime.bundle import ONNX

    if bundle.onnx is None:
        raise errors.BackendUnavailable(
            f"{bundle.path} holds no {ONNX}: export the policy with  --target onnx"
        )
    return OnnxRunner(bundle.policy, bundle.onnx)


def _open_tensorrt(bundle: Bundle) -> Runner:
    from dspctl.runtime.tensorrt.runner import open_tensorrt

    return open_tensorrt(bundle)


def _open_numpy(bundle: Bundle) -> Runner:
    from dspctl.runtime.backends.numpy_runner import NumpyRunner

    return NumpyRunner(bundle.policy)


# To add a backend: a function from a bundle to a runner, which raises BackendUnavailable or
# MissingExtra where it cannot run, and one line here. In the order in which "auto" tries them: of
# two that are equally fast the earlier one is taken. NumPy is last, because it always runs.
OPENERS: dict[str, Callable[[Bundle], Runner]] = {
    "native": _open_native,
    "onnxruntime": _open_onnx,
    "tensorrt": _open_tensorrt,
    "numpy": _open_numpy,
}


def golden_of(bundle: Bundle) -> Golden:
    """The bundle's golden vectors; without them, the reference's answers on generated cases."""
    if bundle.golden is not None:
        return bundle.golden
    # Random numbers take 2.5 MB of memory; a bundle with vectors needs none.
    import numpy as np

    from dspctl.runtime.reference.edges import edge_observations, invalid_observations
    from dspctl.runtime.reference.golden import golden_from_policy

    rng = np.random.default_rng(0)
    rows = (edge_observations(bundle.policy, rng), invalid_observations(bundle.policy, rng))
    return golden_from_policy(bundle.policy, np.concatenate(rows))


def prove(runner: Runner, golden: Golden) -> Parity:
    """Compare *runner* with the reference, here and now; it is closed unless it passes.

    Raises:
        BackendUnavailable: it does not run, or computes something else.
    """
    try:
        parity = measure_parity(runner, golden)
        if parity.passed:
            return parity
        raise errors.BackendUnavailable(
            f"{runner.backend} does not compute what the policy does here ({parity}): use another "
            "backend, and report this with the output of  dspctl doctor"
        )
    except Exception as error:
        with contextlib.suppress(Exception):
            runner.close()
        if isinstance(error, errors.DspctlError):
            raise
        raise errors.BackendUnavailable(  # a foreign runtime's own types
            f"{runner.backend} loads the policy but does not run it ({error}): use another backend"
        ) from error
