"""One benchmark's folder on another machine: what is asked for, and where the result comes."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.record.file import stem_of
from dspctl.benchmarks.remote.bundles import Packed
from dspctl.benchmarks.remote.cache import Cache, Parcel, digest_of
from dspctl.benchmarks.remote.connection import Done
from dspctl.benchmarks.request import Request
from dspctl.errors import HostStorage

OUT = "bench.json"
"""Name of the result, in the folder ``out`` of a run."""

# A name as it is here, so that the result says what a local one would say.
_LINK = """
cd "$1/$2" && mkdir -p out || exit 8
rm -rf subjects && mkdir subjects && cd subjects || exit 8
shift 2
number=0
while [ $# -gt 1 ]; do
    mkdir "$number" && ln -s "../../../$1" "$number/$2" || exit 8
    number=$((number + 1)); shift 2
done
"""
_PREPARE = """
umask 077
cd "$1" && mkdir -p "$2/out" || exit 8
"""


@dataclass(frozen=True)
class Run:
    """A benchmark's place on the other machine.

    Attributes:
        name: of its folder in the cache; the same benchmark has the same one.
    """

    name: str

    @property
    def out(self) -> str:
        """The folder of the result."""
        return f"{self.name}/out"

    @property
    def request(self) -> str:
        """The file that the worker reads."""
        return f"{self.name}/job/request.json"


def prepare(
    cache: Cache,
    bundles: Mapping[str, Packed],
    request: Request,
    observations: NDArray[Any] | None,
) -> Run:
    """Write the job; what an earlier run of the same job measured stays.

    Raises:
        HostStorage: it cannot be written.
        ConnectionLost: the connection ended.
    """
    names = [one.path.resolve().name for one in bundles.values()]
    files: dict[str, bytes] = {}
    if observations is not None:
        buffer = io.BytesIO()
        np.save(buffer, observations, allow_pickle=False)
        files["observations.npy"] = buffer.getvalue()
    wanted = {
        "labels": list(bundles),
        "bundles": [one.parcel.name for one in bundles.values()],
        "names": names,
        "request": asdict(request),
    }
    run = Run(f"run-{digest_of(files, [json.dumps(wanted).encode()])[:32]}")
    place = f"{cache.root}/{run.name}"
    job = {
        "subjects": {
            label: f"{place}/subjects/{index}/{name}"
            for index, (label, name) in enumerate(zip(bundles, names, strict=True))
        },
        "request": asdict(request),
        "observations": f"{place}/job/observations.npy" if files else None,
        "out": f"{place}/out/{OUT}",
    }
    _check(cache.run(_PREPARE, run.name), cache.host)
    cache.put(Parcel(f"{run.name}/job", {**files, "request.json": json.dumps(job).encode()}))
    pairs = [
        word
        for one, name in zip(bundles.values(), names, strict=True)
        for word in (one.parcel.name, name)
    ]
    _check(cache.run(_LINK, run.name, *pairs), cache.host)
    return run


def _check(done: Done, host: str) -> None:
    if done.code != 0:
        raise HostStorage(
            f"{host} cannot keep the benchmark's files ({done.complaint}): free some space there, "
            "then repeat the command"
        )


def place_of(path: Path, name: str) -> Path:
    """Where a file of a run's result lies here: under the name of *path*."""
    return path.with_name(f"{stem_of(path)}{name.removeprefix(stem_of(Path(OUT)))}")
