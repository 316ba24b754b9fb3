import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from dspctl.benchmarks import load_result
from dspctl.benchmarks.record.file import load_raw, sample_files
from dspctl.benchmarks.request import Request
from dspctl.runtime import save_policy
from tests.benchmarks.networks import network

KILLS = 8
REQUEST = Request(("numpy", "onnxruntime"), seconds=0.4, paced_seconds=0.4, episodes=5)


def start(job: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "dspctl.benchmarks.worker", str(job)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_a_benchmark_that_is_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    subjects = {
        "a": str(save_policy(network((4, 16, 2)), tmp_path / "a.safetensors")),
        "b": str(save_policy(network((4, 3, 2)), tmp_path / "b.safetensors")),
    }
    out, job = tmp_path / "bench.json", tmp_path / "job.json"
    values = {"subjects": subjects, "request": asdict(REQUEST), "observations": None}
    job.write_text(json.dumps({**values, "out": str(out)}))
    moments = random.Random(0)
    finished: tuple[str, ...] = ()
    figures: dict[tuple[str, str], float] = {}
    cut = 0
    for _ in range(KILLS):
        process = start(job)
        time.sleep(moments.uniform(0.2, 1.8))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            cut += 1
        process.wait()
        if not out.exists():
            continue
        left = load_result(out)  # valid, whenever it was
        assert left.finished[: len(finished)] == finished
        finished = left.finished
        for one in left.latency:
            key = (one.label, one.backend)
            assert figures.setdefault(key, one.p50_ns.estimate) == one.p50_ns.estimate
            raw = load_raw(out, one.backend)[one.label]
            assert sum(block.size for block in raw.single_ns) == one.single_calls
    assert cut > 0
    assert start(job).wait() in (0, 2)  # 2: it was complete before the last kill
    whole = load_result(out)
    assert whole.status == "complete"
    assert whole.finished[: len(finished)] == finished
    assert set(whole.backends) == {"numpy"}  # policy files have no ONNX graph
    assert len(whole.returns) == len(whole.memory) == len(whole.paced) == len(subjects)
    # No half-written file is left beside the result, and none that does not belong to it.
    names = {path.name for backend in whole.backends for path in sample_files(out, backend)}
    left_over = {path.name for path in tmp_path.iterdir()} - names
    assert {name for name in left_over if not name.startswith(".")} == {
        "a.safetensors",
        "b.safetensors",
        "bench.json",
        "job.json",
    }
