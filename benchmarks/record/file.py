"""Reading and writing a benchmark's result.

``bench.json`` holds every figure; ``bench-<backend>.npz`` holds that backend's raw latency
samples, ``bench-<backend>-paced.npz`` those of its control loop. All are replaced atomically after
every finished measurement, samples first, so a kill at any moment leaves a file that can be read
and holds everything finished until then. No other module knows the keys.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import Samples
from dspctl.benchmarks.calls.paced import PacedSamples
from dspctl.benchmarks.record.archive import read_archive
from dspctl.benchmarks.record.decode import decode_record
from dspctl.benchmarks.record.plausible import check_result
from dspctl.benchmarks.record.result import BenchResult
from dspctl.errors import ConfigProblem, ResultProblem
from dspctl.runtime.files import write_bytes, write_json
from dspctl.runtime.strict_json import value_from_json
from dspctl.runtime.untrusted import read_bytes

SCHEMA = 4
KIND = "dspctl.bench"

_SINGLE, _BATCHED = "single", "batched"
_WAKEUP, _INFERENCE, _WINDOWS = "wakeup", "inference", "window_steps"
_SIZES = "sizes"
_BESIDE = frozenset({"samples"})
"""Fields that are in files beside the JSON."""

_SENTENCE = 500
LARGEST_BYTES = 1 << 24
"""Of the JSON: a thousand times what a benchmark of two subjects writes."""
LONGEST_NS = 1 << 60
"""Of one sample: 36 years, and the sum of two is a number of 64 bits."""

_Arrays = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Raw:
    """Raw measurements of one subject on one backend, as far as their files are there.

    Attributes:
        single_ns: per round, int64 [calls].
        batched_ns: per round, float64 [samples], nanoseconds per call; empty where one call is
            long enough.
        wakeup_ns: per window, int64 [steps].
        inference_ns: per window, int64 [steps].
    """

    single_ns: Sequence[NDArray[np.int64]] = ()
    batched_ns: Sequence[NDArray[np.float64]] = ()
    wakeup_ns: Sequence[NDArray[np.int64]] = ()
    inference_ns: Sequence[NDArray[np.int64]] = ()

    def blocks(self, name: str, share: float) -> Sequence[NDArray[np.int64 | np.float64]]:
        """The samples behind a percentile, block by block; none where they are not there.

        Args:
            name: ``latency``, ``paced_latency`` or ``paced_inference``.
            share: which percentile; the median back to back has samples of its own.
        """
        if name == "latency":
            return self.batched_ns if share == 0.5 and len(self.batched_ns) else self.single_ns
        if name == "paced_inference":
            return self.inference_ns
        return [a + b for a, b in zip(self.wakeup_ns, self.inference_ns, strict=True)]


def save_result(result: BenchResult, path: Path) -> None:
    """Write the JSON; raises `WriteFailed`."""
    values = asdict(replace(result, samples={}))
    del values["samples"]
    write_json(path, {"kind": KIND, "schema": SCHEMA, **values})


def save_samples(samples: Mapping[str, Samples], backend: str, path: Path) -> None:
    """Write one backend's raw samples beside the JSON at *path*.

    ``single:<label>`` holds nanoseconds of single calls, ``batched:<label>`` of samples of
    ``calls:<label>`` calls each, both int64 [n], round after round; ``sizes:single:<label>`` and
    ``sizes:batched:<label>`` how many belong to each round.

    Raises:
        WriteFailed: the file could not be written; an old one is intact.
    """
    arrays: dict[str, NDArray[np.int64]] = {}
    for label, one in samples.items():
        for kind, blocks in ((_SINGLE, one.single_ns), (_BATCHED, one.batched_ns)):
            arrays[f"{kind}:{label}"] = np.concatenate([*blocks, np.zeros(0, np.int64)])
            arrays[f"{_SIZES}:{kind}:{label}"] = np.array([block.size for block in blocks])
        arrays[f"calls:{label}"] = np.array([one.calls_per_sample])
    _write_arrays(arrays, _samples_path(path, backend))


def save_paced_samples(samples: Mapping[str, PacedSamples], backend: str, path: Path) -> None:
    """Write the raw samples of one backend's control loops beside the JSON at *path*.

    ``wakeup:<label>`` and ``inference:<label>`` hold nanoseconds of each step, int64 [steps],
    ``window_steps:<label>`` the steps of each window; a step's latency is the sum of its two.

    Raises:
        WriteFailed: the file could not be written; an old one is intact.
    """
    arrays = {}
    for label, one in samples.items():
        arrays[f"{_WAKEUP}:{label}"] = one.wakeup_ns
        arrays[f"{_INFERENCE}:{label}"] = one.inference_ns
        arrays[f"{_WINDOWS}:{label}"] = np.array(one.window_steps, np.int64)
    _write_arrays(arrays, _samples_path(path, f"{backend}-paced"))


def sample_files(path: Path, backend: str) -> tuple[Path, Path]:
    """Where the raw samples of one backend lie: back to back, and paced."""
    return _samples_path(path, backend), _samples_path(path, f"{backend}-paced")


def load_result(path: Path) -> BenchResult:
    """Read a result and check its form.

    Raises:
        ResultProblem: no such file, not JSON, another kind or schema, or a field missing,
            unknown or malformed.
    """
    try:
        data = read_bytes(path, LARGEST_BYTES)
    except FileNotFoundError as error:
        raise ResultProblem(
            f"there is no benchmark result at {path}: make one with  dspctl bench"
        ) from error
    except (OSError, ValueError) as error:
        raise ResultProblem(f"{path} cannot be read ({error}): run the benchmark again") from error
    result = result_from_bytes(data, str(path))
    samples = {
        backend: {
            label: np.concatenate([*raw.single_ns])
            for label, raw in load_raw(path, backend).items()
            if raw.single_ns
        }
        for backend in result.backends
    }
    return replace(result, samples=samples)


def read_json(path: Path) -> Any:
    """A result as plain JSON values; raises as `load_result`."""
    load_result(path)
    return value_from_json(read_bytes(path, LARGEST_BYTES), str(path))


def result_from_bytes(data: bytes, path: str) -> BenchResult:
    """A result from the bytes of its JSON, without raw samples; raises as `load_result`.

    Args:
        data: the file; its size is the caller's to bound.
        path: what to call it in messages.
    """
    try:
        values = value_from_json(data, "it")
    except ValueError as error:
        raise ResultProblem(f"{path} is not a JSON file ({error}): run the benchmark again") from (
            error
        )
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise ResultProblem(f"{path} is not a benchmark result: give a file that  bench  wrote")
    if values.get("schema") != SCHEMA:
        raise ResultProblem(
            f"{path} has result schema {str(values.get('schema'))[:20]}, this dspctl reads "
            f"{SCHEMA}: "
            "run the benchmark again"
        )
    try:
        given = {key: value for key, value in values.items() if key not in ("kind", "schema")}
        result = decode_record(BenchResult, given, "result", without=_BESIDE)
        _check_backends(result)
        check_result(result)
    except (ConfigProblem, TypeError, ValueError) as error:  # what a record itself refuses
        raise ResultProblem(
            f"{path} is malformed ({str(error)[:_SENTENCE]}): run the benchmark again"
        ) from error
    return result


def _check_backends(result: BenchResult) -> None:
    """They become names of files.

    Raises:
        ValueError: a record is of a backend that was not asked for.
    """
    named = {
        *(one.backend for one in result.latency),
        *(one.backend for one in result.paced),
        *(one.backend for one in result.memory),
        *(one.backend for one in result.energy),
    }
    if strange := sorted(named - set(result.settings.request.backends)):
        raise ValueError(f"{', '.join(strange)} not among the request's backends")


def load_raw(path: Path, backend: str) -> dict[str, Raw]:
    """Raw measurements beside the JSON at *path*, by label.

    Empty where the files were not copied along, or are damaged.
    """
    calls, paced = (_arrays(file) for file in sample_files(path, backend))
    labels = [
        name.removeprefix(start)
        for arrays, start in ((calls, f"{_SINGLE}:"), (paced, f"{_WAKEUP}:"))
        for name in arrays
        if name.startswith(start)
    ]
    found = {}
    for label in dict.fromkeys(labels):
        single, batched = (
            _split(calls, f"{kind}:{label}", f"{_SIZES}:{kind}:{label}")
            for kind in (_SINGLE, _BATCHED)
        )
        per_sample = calls.get(f"calls:{label}", np.ones(1, np.int64))
        if per_sample.size != 1 or per_sample[0] < 1:
            continue
        wakeup, inference = (
            _split(paced, f"{kind}:{label}", f"{_WINDOWS}:{label}")
            for kind in (_WAKEUP, _INFERENCE)
        )
        if len(wakeup) != len(inference):  # one of them is damaged
            wakeup = inference = []
        found[label] = Raw(
            single_ns=single,
            batched_ns=[block / per_sample[0] for block in batched if block.size],
            wakeup_ns=wakeup,
            inference_ns=inference,
        )
    return found


def _split(arrays: _Arrays, name: str, sizes: str) -> list[NDArray[np.int64]]:
    """An array in its parts; none where either is missing or they do not fit."""
    values, counts = arrays.get(name), arrays.get(sizes)
    if values is None or counts is None or not counts.size:
        return []
    # Each of them first: a sum of large ones may come out as anything.
    if not (counts >= 0).all() or not (counts <= values.size).all():
        return []
    least = -LONGEST_NS if name.startswith("wakeup") else 0  # only a sleep can end early
    if int(counts.sum()) != values.size or not ((values >= least) & (values <= LONGEST_NS)).all():
        return []
    return list(np.split(values, np.cumsum(counts)[:-1]))


def _write_arrays(arrays: _Arrays, path: Path) -> None:
    buffer = io.BytesIO()
    # Without allow_pickle, which NumPy before 2.2 takes for an array; integers are never pickled.
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def stem_of(path: Path) -> str:
    """What the names of a result's other files begin with: its name without ``.json``.

    Any other end belongs to the name: ``lander-0.93`` and ``lander-0.96`` are two results.
    """
    return path.name.removesuffix(".json")


def _samples_path(path: Path, backend: str) -> Path:
    return path.with_name(f"{stem_of(path)}-{backend}.npz")


def _arrays(path: Path) -> _Arrays:
    """Every int64 array in one file; nothing where it is not there, is damaged or too large."""
    try:
        found = read_archive(path)
    except (OSError, ValueError):
        return {}
    return {name: values for name, values in found.items() if values.dtype == np.int64}
