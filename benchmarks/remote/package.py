"""dspctl's own modules as a parcel: what measuring in Python on another machine needs."""

from pathlib import Path

import dspctl
from dspctl.benchmarks.remote.cache import Parcel, digest_of

_PARTS = ("runtime", "benchmarks")
_NOT_NEEDED = ("native", "plots", "remote", "report", "results", "training")
"""Folders of ``benchmarks`` that measuring does not import."""

_DATA = ("runtime/bundle/bundle.schema.json",)


def package() -> Parcel:
    """The modules below ``dspctl``, and the metadata by which their version is found.

    In a checkout the parts are links; here they are folders of the package.
    """
    home = Path(dspctl.__file__).parent
    files = {f"dspctl/{name}": (home / name).read_bytes() for name in ("__init__.py", "errors.py")}
    for part in _PARTS:
        folder = (home / part).resolve()
        for module in sorted(folder.rglob("*.py")):
            inside = module.relative_to(folder)
            if part == "benchmarks" and inside.parts[0] in _NOT_NEEDED:
                continue
            files[f"dspctl/{part}/{inside.as_posix()}"] = module.read_bytes()
    for name in _DATA:
        files[f"dspctl/{name}"] = (home / name).read_bytes()
    metadata = f"Metadata-Version: 2.1\nName: dspctl\nVersion: {dspctl.__version__}\n"
    files[f"dspctl-{dspctl.__version__}.dist-info/METADATA"] = metadata.encode()
    return Parcel(f"python-{digest_of(files)}", files)
