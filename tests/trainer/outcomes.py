"""What two runs must share to be the same run."""

import json
from pathlib import Path
from typing import Any

from dspctl.trainer import load_run

TIMES = {"seconds", "steps_per_s", "environment_s", "inference_s", "update_s"}
KEPT = ("policy.safetensors", "observations.safetensors")


def figures(run: Path) -> list[dict[str, Any]]:
    """All records of a run but its times."""
    return [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in load_run(run).metrics()
    ]


def assert_same(run: Path, reference: Path) -> None:
    """The same policy and recorded observations, byte for byte, and the same records."""
    assert load_run(run).finished
    for name in KEPT:
        assert (run / name).read_bytes() == (reference / name).read_bytes(), name
    assert json.dumps(figures(run)) == json.dumps(figures(reference))
    for name in ("trials", "selected", "rounds", "delivered", "units"):
        assert load_run(run).info.get(name) == load_run(reference).info.get(name), name
