"""The program of a bundle that runs on this machine."""

from pathlib import Path

from dspctl.errors import BackendUnavailable
from dspctl.runtime.backends.native_library import choose_target
from dspctl.runtime.bundle import open_bundle
from dspctl.runtime.machine import this_machine


def command_of(bundle: Path) -> Path:
    """The ``policy`` command of a verified bundle that fits this processor best.

    Raises:
        BackendUnavailable: the bundle holds no native code, or it is a policy file.
        WrongProcessor: none of it may run here.
        BundleProblem: the bundle cannot be used.
    """
    if bundle.is_file():
        raise BackendUnavailable(
            f"{bundle} is a policy file, which has no static program: write a bundle with  "
            f"dspctl export {bundle} --target cpu -o bundle  and measure that"
        )
    opened = open_bundle(bundle)
    target = choose_target(opened.manifest.builds, opened.libraries, this_machine())
    return bundle / "native" / target / "policy"
