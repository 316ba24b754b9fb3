"""Run in a fresh process: how much memory importing, loading and running a policy takes.

``python -m dspctl.benchmarks.memory._probe '{"path": …, "backend": …, "calls": 100}'`` prints
one JSON object; without a path it stops after NumPy, which is the baseline.

Nothing but the standard library may be imported before the first snapshot, so this module's
package must stay cheap to import.
"""

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

BACKEND_LIBRARIES = {"onnxruntime": ("onnxruntime",)}
"""Foreign libraries that a backend loads, imported apart from loading the policy."""


def resident() -> dict[str, int]:
    """Memory of this process in bytes: rss, pss and the peak of rss, 0 where unknown."""
    found = {"rss_bytes": 0, "pss_bytes": 0, "peak_rss_bytes": 0}
    for path, keys in (
        ("/proc/self/smaps_rollup", {"Rss": "rss_bytes", "Pss": "pss_bytes"}),
        # VmHWM belongs to this program's memory alone; getrusage's ru_maxrss survives execve
        # and would report the parent's peak.
        ("/proc/self/status", {"VmHWM": "peak_rss_bytes"}),
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
    report: dict[str, Any] = {"baseline": resident()}
    if "path" not in request:
        return report
    start = time.perf_counter_ns()
    runtime = import_module("dspctl.runtime")
    for library in BACKEND_LIBRARIES.get(request["backend"], ()):
        import_module(library)
    imported = time.perf_counter_ns()
    report["imported"] = resident()
    begin = time.perf_counter_ns()
    with runtime.load(Path(request["path"]), request["backend"]) as runner:
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
    return report


if __name__ == "__main__":
    print(json.dumps(probe(json.loads(sys.argv[1]))))
