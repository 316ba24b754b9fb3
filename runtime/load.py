"""From a policy file or a bundle to something that acts: ``load(path)(observation)``."""

import logging
from collections.abc import Callable
from os import PathLike
from pathlib import Path

import numpy as np

from dspctl.errors import BackendUnavailable, DspctlError, MissingExtra, UnknownBackend
from dspctl.runtime.bundle import ONNX, Bundle, open_bundle
from dspctl.runtime.edges import edge_observations
from dspctl.runtime.numpy_runner import NumpyRunner
from dspctl.runtime.onnx_runner import OnnxRunner
from dspctl.runtime.parity import Golden, golden_from_policy, measure_parity
from dspctl.runtime.policy_file import SUFFIX, load_policy
from dspctl.runtime.runner import Runner

log = logging.getLogger(__name__)


def _open_numpy(bundle: Bundle) -> Runner:
    return NumpyRunner(bundle.policy)


def _open_onnx(bundle: Bundle) -> Runner:
    if bundle.onnx is None:
        raise BackendUnavailable(
            f"{bundle.path} holds no {ONNX}: export the policy with  --target onnx"
        )
    return OnnxRunner(bundle.policy, bundle.onnx)


# To add a backend: a function from a bundle to a runner, which raises BackendUnavailable or
# MissingExtra where it cannot run, and one line here. From the one that always runs to the one to
# prefer; "auto" tries them from the end.
_OPENERS: dict[str, Callable[[Bundle], Runner]] = {
    "numpy": _open_numpy,
    "onnxruntime": _open_onnx,
}

BACKENDS: tuple[str, ...] = tuple(_OPENERS)


def load(path: str | PathLike[str], backend: str = "auto") -> Runner:
    """Open a policy or a bundle, ready to act.

    A bundle's backend is used only after it has answered observations here, on this machine, as
    the reference did: a provider that is listed may still not run.

    Args:
        path: a policy file (NumPy runs it) or a bundle folder.
        backend: one of `BACKENDS`, or ``auto`` for the fastest that works; ``runner.backend``
            tells which it was.

    Raises:
        UnknownBackend: no such backend.
        BackendUnavailable: it cannot run this artefact here, or it computes something else.
        MissingExtra: its package is not installed.
        PolicyProblem, BundleProblem: the artefact cannot be used.
    """
    if backend != "auto" and backend not in _OPENERS:
        raise UnknownBackend(f"there is no backend {backend!r}: choose auto, {', '.join(BACKENDS)}")
    where = Path(path)
    if where.is_file() or (where.suffix == SUFFIX and not where.is_dir()):
        if backend not in ("auto", "numpy"):
            raise BackendUnavailable(
                f"{where} is a policy file, which only numpy runs: write a bundle with  "
                f"dspctl export {where} --target onnx -o bundle  and load that"
            )
        return NumpyRunner(load_policy(where))
    bundle = open_bundle(where)
    golden = bundle.golden or golden_from_policy(
        bundle.policy, edge_observations(bundle.policy, np.random.default_rng(0))
    )
    if backend != "auto":
        return _proved(bundle, backend, golden)
    reasons = []
    for name in reversed(BACKENDS):
        try:
            return _proved(bundle, name, golden)
        except (BackendUnavailable, MissingExtra) as error:
            log.info("backend %s is not used: %s", name, error)
            reasons.append(f"{name}: {error}")
    raise BackendUnavailable(f"no backend runs {where}: {'; '.join(reasons)}")


def _proved(bundle: Bundle, backend: str, golden: Golden) -> Runner:
    """The backend's runner, after it has reproduced *golden*."""
    runner = _OPENERS[backend](bundle)
    try:
        parity = measure_parity(runner, golden)
    except DspctlError:
        runner.close()
        raise
    except Exception as error:  # a foreign runtime's own types
        runner.close()
        raise BackendUnavailable(
            f"{backend} loads {bundle.path} but does not run it ({error}): use another backend"
        ) from error
    if not parity.passed:
        runner.close()
        raise BackendUnavailable(
            f"{backend} does not compute what the policy does here ({parity}): use another "
            "backend, and report this with the output of  dspctl doctor"
        )
    return runner
