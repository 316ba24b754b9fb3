import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from dspctl import compactor, trainer
from dspctl.cli.app import app
from dspctl.runtime import save_policy

ROOT = Path(__file__).resolve().parents[2]


class Outcome:
    """What a command left behind: its two streams, exit code, and the exception if any."""

    def __init__(self, code: int, stdout: str, stderr: str, error: BaseException | None) -> None:
        self.code, self.stdout, self.stderr, self.error = code, stdout, stderr, error

    def json(self) -> Any:
        return json.loads(self.stdout)


Call = Callable[..., Outcome]


@pytest.fixture
def call() -> Call:
    """Run a command in this process."""

    def run(*words: str | Path) -> Outcome:
        result = CliRunner().invoke(app, [str(word) for word in words], prog_name="dspctl")
        return Outcome(result.exit_code, result.stdout, result.stderr, result.exception)

    return run


@pytest.fixture
def spawn() -> Call:
    """Run a command, or Python code, in a process of its own."""

    def run(*words: str | Path, code: str = "", cwd: Path | None = None) -> Outcome:
        start = ["-c", code] if code else ["-m", "dspctl"]
        done = subprocess.run(
            [sys.executable, *start, *map(str, words)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return Outcome(done.returncode, done.stdout, done.stderr, None)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, trained for a second; read it, never write to it."""
    run = tmp_path_factory.mktemp("runs") / "cartpole"
    config = trainer.recipe("CartPole-v1", steps=4096, threads=1, hidden=(16, 16), sparsity=0.5)
    trainer.train(config, run)
    return run


@pytest.fixture(scope="session")
def policy(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compact policy file; read it, never write to it."""
    run = trainer.load_run(trained)
    compacted = compactor.compact(run.policy(), observations=run.observations()).policy
    return save_policy(compacted, tmp_path_factory.mktemp("policies") / "policy.safetensors")


Damage = Callable[[dict[str, Any], dict[str, Any]], None]


@pytest.fixture
def damaged(policy: Path, tmp_path: Path) -> Callable[[Damage], Path]:
    """A copy of the policy after *damage* has been at its tensors and metadata."""

    def write(damage: Damage) -> Path:
        tensors = load_file(policy)
        with safe_open(policy, "numpy") as file:
            held = file.metadata()
        meta = json.loads(held["dspctl.policy"])
        damage(tensors, meta)
        path = tmp_path / "damaged.safetensors"
        save_file(tensors, path, {"dspctl.policy": json.dumps(meta, sort_keys=True)})
        return path

    return write
