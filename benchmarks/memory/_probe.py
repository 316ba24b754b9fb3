"""Run in a fresh process: how much memory importing, loading and running a policy takes.

``python -m dspctl.benchmarks.memory._probe '{"path": …, "backend": …, "calls": 100}'`` prints
one JSON object; without a path it stops after NumPy, which is the baseline.

Nothing but the standard library may be imported before the first snapshot, so this module's
package must stay cheap to import. After it only what the backend needs is imported: a module more
would be counted as the backend's.
"""

import json
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

BACKEND_LIBRARIES = {"onnxruntime": ("onnxruntime",), "torch": ("torch",)}
"""Foreign libraries that a backend loads, imported apart from loading the policy."""


def resident(process: str = "self") -> dict[str, int]:
    """Memory of a process in bytes: rss, pss and the peak of rss, 0 where unknown."""
    found = {"rss_bytes": 0, "pss_bytes": 0, "peak_rss_bytes": 0}
    for path, keys in (
        (f"/proc/{process}/smaps_rollup", {"Rss": "rss_bytes", "Pss": "pss_bytes"}),
        # VmHWM belongs to this program's memory alone; getrusage's ru_maxrss survives execve
        # and would report the parent's peak.
        (f"/proc/{process}/status", {"VmHWM": "peak_rss_bytes"}),
    ):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition(":")
            if key in keys:
                found[keys[key]] = int(value.split()[0]) * 1024
    return found


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Import NumPy, then the runtime, then load and run; a snapshot after each."""
    import_module("numpy")
    resident()  # what taking a snapshot needs belongs to the baseline
    report: dict[str, Any] = {"baseline": resident()}
    if "path" not in request:
        return report
    path, backend = Path(request["path"]), request["backend"]
    start = time.perf_counter_ns()
    open_runner = _opener(path, backend)
    imported = time.perf_counter_ns()
    report["imported"] = resident()
    begin = time.perf_counter_ns()
    with open_runner(path, backend) as runner:
        loaded = time.perf_counter_ns()
        observation = runner.policy.guard.fill  # valid, whatever the guard says
        runner(observation)
        acted = time.perf_counter_ns()
        for _ in range(int(request["calls"]) - 1):
            runner(observation)
        report["ran"] = resident()
    report["import_ns"] = imported - start
    report["load_ns"] = loaded - begin
    report["first_action_ns"] = acted - loaded
    report["files"] = mapped_files()
    return report


def mapped_files() -> list[str]:
    """Files of which this process has pages: libraries above all; empty where unknown."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
    return sorted(path for path in paths if Path(path).is_file())


def _opener(path: Path, backend: str) -> Any:
    """Import what *backend* needs, and return the function that opens a policy on it."""
    runtime = import_module("dspctl.runtime")
    for library in BACKEND_LIBRARIES.get(backend, ()):
        with suppress(ImportError):  # opening says what to install
            import_module(library)
    if backend == "tensorrt":
        _start_gpu(path)
    if backend == "torch":
        return import_module("dspctl.benchmarks.backends").open_runner
    return runtime.load


def _start_gpu(path: Path) -> None:
    """Import TensorRT, and make the CUDA context: neither is the policy's.

    **Not yet run on hardware.** Whatever fails here fails again in opening, which says why.
    """
    errors = import_module("dspctl.errors")
    with suppress(ImportError, OSError, errors.DspctlError):
        stamp = import_module("dspctl.runtime.tensorrt.stamp")
        flavor = "tensorrt" if stamp.engine_folder(path, "tensorrt", "fp32").is_dir() else "rtx"
        import_module("dspctl.runtime.tensorrt.api").tensorrt_module(flavor, "running a plan")
        cuda = import_module("dspctl.runtime.tensorrt.cuda").Cuda()
        cuda.call("cudaFree", 0)  # before CUDA 12 the context is made by the first such call


if __name__ == "__main__":
    print(json.dumps(probe(json.loads(sys.argv[1]))))
