"""``verify(bundle)``: is this folder what was exported, and does it work on this machine?

NumPy and safetensors suffice. Whatever else is installed is tried too: every backend that runs here
answers the golden vectors, and every native library that this processor runs is one of them.
"""

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from dspctl.errors import BackendUnavailable, DspctlError, EngineMismatch, MissingExtra
from dspctl.runtime.backends.native_runner import runner_from_bundle
from dspctl.runtime.backends.registry import OPENERS, golden_of, prove
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.bundle import Bundle, open_bundle
from dspctl.runtime.machine import this_machine
from dspctl.runtime.reference.golden import Golden
from dspctl.runtime.reference.parity import Parity
from dspctl.runtime.trust import Trust

State = Literal["passed", "not here", "failed"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        state: ``not here`` where this machine cannot tell, which is no failure.
        found: what was seen, or why it was not tried.
        parity: the comparison with the reference, where there was one.
    """

    name: str
    state: State
    found: str
    parity: Parity | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "name": self.name,
            "state": self.state,
            "found": self.found,
            "parity": None if self.parity is None else self.parity.to_json(),
        }


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        bundle: what was verified; its files were compared with their hashes to get here.
        machine: this machine, in words.
        contents: schema, hashes, signatures where there are some, golden vectors.
        backends: one per backend; one per library for the native one.
        versions: what took part at export against what is here. They are told, not judged: the
            golden vectors judge.
    """

    bundle: Bundle
    machine: str
    contents: tuple[Finding, ...]
    backends: tuple[Finding, ...]
    versions: tuple[tuple[str, str, str], ...]

    @property
    def passed(self) -> bool:
        """True when nothing failed."""
        return all(finding.state != "failed" for finding in (*self.contents, *self.backends))

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        manifest = self.bundle.manifest
        return {
            "path": str(self.bundle.path),
            "name": manifest.name,
            "version": manifest.version,
            "machine": self.machine,
            "passed": self.passed,
            "digest": self.bundle.digest,
            "signed_by": list(self.bundle.signed_by),
            "contents": [finding.to_json() for finding in self.contents],
            "backends": [finding.to_json() for finding in self.backends],
            "versions": [
                {"package": name, "at_export": then, "here": now}
                for name, then, now in self.versions
            ],
        }


def verify(path: Path, trust: Trust | None = None) -> Verification:
    """Verify a bundle on this machine.

    Args:
        path: the folder.
        trust: whose signature it has to carry; None for nobody's.

    Raises:
        BundleProblem: a file is missing, changed or additional, the manifest is malformed, or
            nobody whom *trust* names signed it.
        KeyProblem, MissingExtra: the keys cannot be read, or there is nothing to check them with.
        PolicyProblem: the policy inside cannot be used.
    """
    bundle = open_bundle(path, trust=trust)
    golden = golden_of(bundle)
    return Verification(
        bundle=bundle,
        machine=str(this_machine()),
        contents=tuple(_contents(bundle, trust)),
        backends=tuple(_backends(bundle, golden)),
        versions=tuple(_versions(bundle)),
    )


def _contents(bundle: Bundle, trust: Trust | None) -> Iterator[Finding]:
    manifest = bundle.manifest
    yield Finding("schema", "passed", "2, as this dspctl reads it")
    yield Finding("files", "passed", f"{len(manifest.files)} and the manifest, none changed")
    if bundle.signed_by:
        yield Finding("signature", "passed", f"by {', '.join(bundle.signed_by)}")
    elif bundle.signatures:
        named = ", ".join(each.key_id for each in bundle.signatures)
        yield Finding("signature", "not here", f"not checked, no key is given: claims {named}")
    elif trust is not None:
        yield Finding("signature", "not here", "none in the bundle, and none is required")
    if bundle.golden is None:
        yield Finding("golden vectors", "not here", "none in the bundle: edge cases stand in")
    else:
        count = len(bundle.golden.observations)
        yield Finding("golden vectors", "passed", f"{count} observations")


def _backends(bundle: Bundle, golden: Golden) -> Iterator[Finding]:
    for name, opener in OPENERS.items():
        if name == "native" and bundle.libraries:
            for target in bundle.libraries:
                open_runner = partial(runner_from_bundle, bundle, target)
                yield _try(f"native, {target}", open_runner, golden)
        else:
            yield _try(name, partial(opener, bundle), golden)


def _try(name: str, open_runner: Callable[[], Runner], golden: Golden) -> Finding:
    try:
        runner = open_runner()
    except EngineMismatch as error:  # a plan lies there, and it is the wrong one
        return Finding(name, "failed", str(error))
    except (BackendUnavailable, MissingExtra) as error:
        return Finding(name, "not here", str(error))
    try:
        parity = prove(runner, golden)
    except DspctlError as error:
        return Finding(name, "failed", str(error))
    runner.close()
    share = f"{100 * parity.largest_bound_share:.1f}%"
    return Finding(
        name,
        "passed",
        f"largest output error {parity.largest_output_error:.1e}, {share} of its tolerance",
        parity,
    )


def _versions(bundle: Bundle) -> Iterator[tuple[str, str, str]]:
    from dspctl import __version__

    yield "dspctl", bundle.manifest.dspctl, __version__
    for package, then in sorted(bundle.manifest.tools.items()):
        try:
            now = metadata.version(package)
        except metadata.PackageNotFoundError:
            now = platform.python_version() if package == "python" else ""
        yield package, then, now
