"""Reading and writing a benchmark's result.

``bench.json`` holds every figure; ``bench-<backend>.npz`` holds that backend's raw latency
samples, ``bench-<backend>-paced.npz`` those of its control loop. All are replaced atomically after
every finished measurement, samples first, so a kill at any moment leaves a file that can be read
and holds everything finished until then. No other module knows the keys.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import Samples
from dspctl.benchmarks.calls.paced import PacedSamples
from dspctl.benchmarks.record.decode import decode_record
from dspctl.benchmarks.record.result import BenchResult
from dspctl.errors import ResultProblem
from dspctl.runtime.files import write_bytes, write_json

SCHEMA = 3
KIND = "dspctl.bench"

_SINGLE, _BATCHED = "single:", "batched:"
_BESIDE = frozenset({"samples"})
"""Fields that are in files beside the JSON."""


def save_result(result: BenchResult, path: Path) -> None:
    """Write the JSON; raises `WriteFailed`."""
    values = asdict(replace(result, samples={}))
    del values["samples"]
    write_json(path, {"kind": KIND, "schema": SCHEMA, **values})


def save_samples(samples: Mapping[str, Samples], backend: str, path: Path) -> None:
    """Write one backend's raw samples beside the JSON at *path*.

    ``single:<label>`` holds nanoseconds of single calls, ``batched:<label>`` of samples of several
    calls; both int64 [rounds, samples of a round].

    Raises:
        WriteFailed: the file could not be written; an old one is intact.
    """
    arrays = {}
    for label, one in samples.items():
        arrays[_SINGLE + label] = np.stack(one.single_ns)
        arrays[_BATCHED + label] = np.stack(one.batched_ns)
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
        arrays[f"wakeup:{label}"] = one.wakeup_ns
        arrays[f"inference:{label}"] = one.inference_ns
        arrays[f"window_steps:{label}"] = np.array(one.window_steps, np.int64)
    _write_arrays(arrays, _samples_path(path, f"{backend}-paced"))


def load_result(path: Path) -> BenchResult:
    """Read a result and check its form.

    Raises:
        ResultProblem: no such file, not JSON, another kind or schema, or a field missing,
            unknown or malformed.
    """
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ResultProblem(
            f"there is no benchmark result at {path}: make one with  dspctl bench"
        ) from error
    except (OSError, ValueError) as error:
        raise ResultProblem(f"{path} is not a JSON file ({error}): run the benchmark again") from (
            error
        )
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise ResultProblem(f"{path} is not a benchmark result: give a file that  bench  wrote")
    if values.get("schema") != SCHEMA:
        raise ResultProblem(
            f"{path} has result schema {values.get('schema')}, this dspctl reads {SCHEMA}: "
            "run the benchmark again"
        )
    try:
        given = {key: value for key, value in values.items() if key not in ("kind", "schema")}
        result = decode_record(BenchResult, given, "result", without=_BESIDE)
    except (TypeError, ValueError) as error:  # a value that a record itself refuses
        raise ResultProblem(
            f"{path} is malformed ({type(error).__name__}: {error}): run the benchmark again"
        ) from error
    return replace(result, samples={name: _samples(path, name) for name in result.backends})


def _write_arrays(arrays: Mapping[str, NDArray[np.int64]], path: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def _samples_path(path: Path, backend: str) -> Path:
    return path.with_name(f"{path.stem}-{backend}.npz")


def _samples(path: Path, backend: str) -> dict[str, NDArray[np.int64]]:
    """One backend's single calls; empty where the file was not copied along or is damaged."""
    try:
        with np.load(_samples_path(path, backend), allow_pickle=False) as archive:
            return {
                name.removeprefix(_SINGLE): archive[name].ravel()
                for name in archive.files
                if name.startswith(_SINGLE)
            }
    except (OSError, ValueError, zipfile.BadZipFile):
        return {}
