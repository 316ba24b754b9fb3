import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks import load_result
from dspctl.benchmarks.request import Request
from dspctl.runtime import save_policy
from tests.benchmarks.networks import network

REQUEST = Request(("numpy",), seconds=0.1, paced_seconds=0.1, memory=False, episodes=0)


def job(folder: Path, **changes: Any) -> Path:
    """A request on the disk."""
    save_policy(network((4, 3, 2)), folder / "policy.safetensors")
    np.save(folder / "observations.npy", np.zeros((50, 4), np.float32))
    values = {
        "subjects": {"one": str(folder / "policy.safetensors")},
        "request": asdict(REQUEST),
        "observations": str(folder / "observations.npy"),
        "out": str(folder / "bench.json"),
        **changes,
    }
    path = folder / "request.json"
    path.write_text(json.dumps(values))
    return path


def work(path: Path) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "dspctl.benchmarks.worker", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_request_is_measured_and_its_progress_printed(tmp_path: Path) -> None:
    code, lines = work(job(tmp_path))
    assert code == 0
    assert lines[-1] == {"finished": True}
    assert {line["stage"] for line in lines[:-1]} == {"latency", "paced"}
    assert all(line["done"] <= line["total"] for line in lines[:-1])
    result = load_result(tmp_path / "bench.json")
    assert result.status == "complete"
    assert result.settings.request == REQUEST
    assert result.settings.observations == "50 of 50 recorded observations"


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"subjects": {}}, "ConfigProblem", "nothing to measure"),
        ({"subjects": {"x": "/nowhere"}}, "PolicyNotFound", "/nowhere"),
        ({"extra": 1}, "ConfigProblem", "unknown"),
        ({"observations": "/nowhere.npy"}, "ConfigProblem", "cannot be used"),
        ({"request": {"hz": 1.0}}, "ConfigProblem", "lacks"),
        ({"request": {**asdict(REQUEST), "hz": 1.0}}, "InvalidRate", "50 to 10,000"),
    ],
)
def test_an_error_is_a_line_and_exit_2(
    tmp_path: Path, changes: dict[str, Any], kind: str, message: str
) -> None:
    code, lines = work(job(tmp_path, **changes))
    assert code == 2
    assert lines[-1]["error"]["type"] == kind
    assert message in lines[-1]["error"]["message"]
