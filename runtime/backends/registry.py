"""The backends: how each is opened from a bundle, and the proof that it computes the policy here.

A provider that is listed may still not run, and a library that loads may compute something else.
So no backend is used before it has answered the bundle's golden vectors on this machine.
"""

import contextlib
from collections.abc import Callable
from time import perf_counter_ns

import numpy as np

from dspctl.errors import BackendUnavailable, DspctlError
from dspctl.runtime.backends.native_runner import runner_from_bundle
from dspctl.runtime.backends.numpy_runner import NumpyRunner
from dspctl.runtime.backends.onnx_runner import OnnxRunner
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.bundle import ONNX, Bundle
from dspctl.runtime.policy import Policy
from dspctl.runtime.reference.edges import edge_observations, invalid_observations
from dspctl.runtime.reference.golden import Golden, golden_from_policy
from dspctl.runtime.reference.parity import Parity, measure_parity

_BLOCKS = 5
_BLOCK_NS = 500_000
"""Five blocks of half a millisecond each: enough to tell 0.3 us from 4, and no wait at start-up."""


def _open_native(bundle: Bundle) -> Runner:
    return runner_from_bundle(bundle)


def _open_onnx(bundle: Bundle) -> Runner:
    if bundle.onnx is None:
        raise BackendUnavailable(
            f"{bundle.path} holds no {ONNX}: export the policy with  --target onnx"
        )
    return OnnxRunner(bundle.policy, bundle.onnx)


def _open_tensorrt(bundle: Bundle) -> Runner:
    from dspctl.runtime.tensorrt.runner import open_tensorrt

    return open_tensorrt(bundle)


def _open_numpy(bundle: Bundle) -> Runner:
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
        raise BackendUnavailable(
            f"{runner.backend} does not compute what the policy does here ({parity}): use another "
            "backend, and report this with the output of  dspctl doctor"
        )
    except Exception as error:
        with contextlib.suppress(Exception):
            runner.close()
        if isinstance(error, DspctlError):
            raise
        raise BackendUnavailable(  # a foreign runtime's own types
            f"{runner.backend} loads the policy but does not run it ({error}): use another backend"
        ) from error


def latency_ns(runner: Runner, policy: Policy) -> float:
    """About how long one call takes here: the best of a few short blocks.

    Good enough to choose a backend by; ``dspctl bench`` measures.
    """
    observation = policy.guard.fill  # valid, whatever the guard says
    calls, took = 1, 0
    while took < _BLOCK_NS and calls < 1 << 20:
        calls *= 2
        took = _time_ns(runner, observation, calls)
    best = min(_time_ns(runner, observation, calls) for _ in range(_BLOCKS))
    return best / calls


def _time_ns(runner: Runner, observation: "np.typing.NDArray[np.float32]", calls: int) -> int:
    start = perf_counter_ns()
    for _ in range(calls):
        runner(observation)
    return perf_counter_ns() - start
