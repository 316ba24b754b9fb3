"""From a policy file or a bundle to something that acts: ``load(path)(observation)``."""

import logging
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from dspctl.errors import BackendUnavailable, MissingExtra, UnknownBackend
from dspctl.runtime.backends.numpy_runner import NumpyRunner
from dspctl.runtime.backends.registry import OPENERS, golden_of, latency_ns, prove
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.bundle import Bundle, open_bundle
from dspctl.runtime.policy.file import SUFFIX, load_policy

log = logging.getLogger(__name__)

BACKENDS: tuple[str, ...] = tuple(OPENERS)
"""In the order in which ``auto`` tries them."""

_CLEARLY = 0.9
"""A later backend is taken where it needs less than this share of the earlier one's time."""


@dataclass(frozen=True)
class Attempt:
    """What trying one backend gave.

    Attributes:
        backend: one of `BACKENDS`.
        latency_ns: of one call, roughly; None where it cannot be used.
        reason: why it cannot be used; empty where it can.
    """

    backend: str
    latency_ns: float | None
    reason: str = ""

    def __str__(self) -> str:
        if self.latency_ns is None:
            return f"{self.backend} cannot be used ({self.reason})"
        return f"{self.backend} takes {self.latency_ns / 1000:.2f} us"


def load(path: str | PathLike[str], backend: str = "auto") -> Runner:
    """Open a policy or a bundle, ready to act.

    A bundle's backend is used only after it has answered the golden vectors here, on this machine,
    as the reference did. ``auto`` tries every one of `BACKENDS`, times those that pass and takes
    the fastest; ``runner.backend`` tells which it was and ``runner.why`` what was found.

    Args:
        path: a policy file (NumPy runs it) or a bundle folder.
        backend: one of `BACKENDS`, or ``auto``.

    Raises:
        UnknownBackend: no such backend.
        BackendUnavailable: it cannot run this artefact here, or it computes something else.
        MissingExtra: its package is not installed.
        PolicyProblem, BundleProblem: the artefact cannot be used.
    """
    if backend != "auto" and backend not in OPENERS:
        raise UnknownBackend(f"there is no backend {backend!r}: choose auto, {', '.join(BACKENDS)}")
    where = Path(path)
    if where.is_file() or (where.suffix == SUFFIX and not where.is_dir()):
        if backend not in ("auto", "numpy"):
            raise BackendUnavailable(
                f"{where} is a policy file, which only numpy runs: write a bundle with  "
                f"dspctl export {where} --target cpu -o bundle  and load that"
            )
        runner: Runner = NumpyRunner(load_policy(where))
        runner.why = "a policy file runs with numpy"
        return runner
    bundle = open_bundle(where)
    if backend == "auto":
        return _fastest(bundle)
    runner = OPENERS[backend](bundle)
    prove(runner, golden_of(bundle))
    runner.why = f"{backend} was asked for"
    return runner


def _fastest(bundle: Bundle) -> Runner:
    golden = golden_of(bundle)
    attempts: list[Attempt] = []
    chosen: Runner | None = None
    shortest_ns = float("inf")
    for name, opener in OPENERS.items():
        try:
            runner = opener(bundle)
            prove(runner, golden)
        except (BackendUnavailable, MissingExtra) as error:
            attempts.append(Attempt(name, None, str(error)))
            continue
        took_ns = latency_ns(runner, bundle.policy)
        attempts.append(Attempt(name, took_ns))
        if took_ns < _CLEARLY * shortest_ns:
            if chosen is not None:
                chosen.close()
            chosen, shortest_ns = runner, took_ns
        else:
            runner.close()
    found = "; ".join(map(str, attempts))
    if chosen is None:
        raise BackendUnavailable(f"no backend runs {bundle.path}: {found}")
    chosen.why = f"the fastest that reproduces the golden vectors here: {found}"
    log.info("%s: %s, %s", bundle.path, chosen.backend, chosen.why)
    return chosen
