"""From a policy file or a bundle to something that acts: ``load(path)(observation)``.

Only what the backend in question needs is imported, and only the bytes that it runs are held: a
vehicle's process is to be small.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dspctl.runtime.backends.registry import OPENERS, golden_of, prove
from dspctl.runtime.on_demand import errors

if TYPE_CHECKING:
    from os import PathLike

    from dspctl.runtime.backends.runner import Runner
    from dspctl.runtime.trust import Trust

BACKENDS: tuple[str, ...] = tuple(OPENERS)
"""In the order in which ``auto`` tries them."""


def load(path: str | PathLike[str], backend: str = "auto", *, trust: Trust | None = None) -> Runner:
    """Open a policy or a bundle, ready to act.

    A bundle's backend is used only after it has answered the golden vectors here, on this machine,
    as the reference did. ``auto`` tries every one of `BACKENDS`, times those that pass and takes
    the fastest; ``runner.backend`` tells which it was and ``runner.why`` what was found.

    Args:
        path: a policy file (NumPy runs it) or a bundle folder.
        backend: one of `BACKENDS`, or ``auto``.
        trust: whose signature a bundle has to carry; None for nobody's.

    Raises:
        UnknownBackend: no such backend.
        BackendUnavailable: it cannot run this artefact here, or it computes something else.
        MissingExtra: its package is not installed, or *trust* is given without ``cryptography``.
        BundleUnsigned, BundleSignatureInvalid, KeyUntrusted, KeyRevoked: nobody whom *trust* names
            signed it; a policy file nobody can sign.
        KeyProblem: a key that *trust* names cannot be read.
        PolicyProblem, BundleProblem: the artefact cannot be used.
    """
    if backend != "auto" and backend not in OPENERS:
        raise errors.UnknownBackend(
            f"there is no backend {backend!r}: choose auto, {', '.join(BACKENDS)}"
        )
    from dspctl.runtime.policy.file import SUFFIX, load_policy

    where = Path(path)
    try:
        is_file = where.is_file() or (where.suffix == SUFFIX and not where.is_dir())
    except OSError as error:
        raise errors.PolicyNotFound.unreadable(where, error) from error
    if is_file:
        if backend not in ("auto", "numpy"):
            raise errors.BackendUnavailable(
                f"{where} is a policy file, which only numpy runs: write a bundle with  "
                f"dspctl export {where} --target cpu -o bundle  and load that"
            )
        if trust is not None and trust.required:
            raise errors.BundleUnsigned(
                f"{where} is a policy file, which carries no signature, and one is required: give "
                "the bundle that was made from it"
            )
        from dspctl.runtime.backends.numpy_runner import NumpyRunner

        runner: Runner = NumpyRunner(load_policy(where))
        runner.why = "a policy file runs with numpy"
        return runner
    from dspctl.runtime.bundle import open_bundle

    if backend == "auto":
        from dspctl.runtime.fastest import fastest_runner

        return fastest_runner(open_bundle(where, trust=trust))
    hold = _is_library if backend == "native" else None
    bundle = open_bundle(where, hold=hold, trust=trust)
    runner, golden = OPENERS[backend](bundle), golden_of(bundle)
    del bundle  # its memory serves for the comparison
    prove(runner, golden)
    runner.why = f"{backend} was asked for"
    return runner


def _is_library(name: str) -> bool:
    """The one kind of file that the native backend runs; the rest of a bundle is for others."""
    return name.endswith(".so")
