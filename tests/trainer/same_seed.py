"""Two runs of one seed, compared by what they end with: ``python -m tests.trainer.same_seed``.

Every method on a Box2D and a MuJoCo task, with EnvPool and with gymnasium: SHA-256 of the policy
file and of the numbers in the last checkpoint. ``--steps`` is the length of each run.
"""

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from dspctl.trainer import METHODS, TrainConfig, load_run, recipe, train
from dspctl.trainer.runs import checkpoint_file

ENVIRONMENTS = ("LunarLander-v3", "Hopper-v5")
BACKENDS = ("envpool", "gymnasium")
_STAGES = 10


class Hashes(NamedTuple):
    """What a run ended with.

    Attributes:
        policy: SHA-256 of ``policy.safetensors``.
        checkpoint: of all arrays of the last checkpoint, networks and moments among them; of a
            run of stages that of the last stage.
    """

    policy: str
    checkpoint: str


class Pair(NamedTuple):
    """Two runs of the same settings."""

    environment: str
    method: str
    backend: str
    one: Hashes
    other: Hashes

    @property
    def same(self) -> bool:
        return self.one == self.other


def hashes(run: Path) -> Hashes:
    """Of a finished run."""
    assert load_run(run).finished
    policy = hashlib.sha256((run / "policy.safetensors").read_bytes()).hexdigest()
    stages = sorted(run.glob("stages/*"))
    last = stages[-1] if stages else run
    tensors = checkpoint_file.read_newest(last, lambda parts: parts).state.tensors
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape} ".encode())
        digest.update(tensors[name].tobytes())
    return Hashes(policy, digest.hexdigest())


def settings(
    environment: str, method: str, backend: str, steps: int, teacher: Path | None
) -> TrainConfig:
    """A short run that prunes to its end; only pops, which has to, plays trials."""
    short: dict[str, Any] = {
        "method": method,
        "steps": steps,
        "environments": 8,
        "rollout_steps": steps // _STAGES // 8,
        "hidden": (32, 32),
        "sparsity": 0.75,
        "vector_backend": backend,
        "trials": 2 if method == "pops" else 0,
        "seed": 7,
    }
    if METHODS[method].teacher:
        short["teacher"] = str(teacher)
    return recipe(environment, **short)


def pair(
    environment: str, method: str, backend: str, steps: int, teacher: Path, folder: Path
) -> Pair:
    """Train twice, in *folder*."""
    config = settings(environment, method, backend, steps, teacher)
    name = f"{environment}-{method}-{backend}"
    runs = [train(config, folder / f"{name}-{number}").run for number in (1, 2)]
    return Pair(environment, method, backend, hashes(runs[0]), hashes(runs[1]))


def teacher_of(environment: str, steps: int, folder: Path) -> Path:
    """What the methods with a teacher learn from."""
    config = settings(environment, "ppo", "gymnasium", steps, None)
    return train(config, folder / f"{environment}-teacher").run


def main() -> int:
    """Returns 1 if two runs differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_480)
    parser.add_argument("--environments", nargs="+", default=list(ENVIRONMENTS))
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    asked = parser.parse_args()
    table = Table("environment", "backend", "method", "policy", "checkpoint", "")
    work = [
        (environment, backend, method)
        for environment in asked.environments
        for backend in asked.backends
        for method in asked.methods
    ]
    different = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        teachers = {one: teacher_of(one, asked.steps, folder) for one in asked.environments}
        for environment, backend, method in track(work, console=Console(stderr=True)):
            teacher = teachers[environment]
            found = pair(environment, method, backend, asked.steps, teacher, folder)
            different += not found.same
            short = (found.one.policy[:12], found.one.checkpoint[:12])
            verdict = "same" if found.same else "different"
            table.add_row(environment, backend, method, *short, verdict)
            print(environment, backend, method, *short, verdict, flush=True)
    Console(stderr=True).print(table)
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
