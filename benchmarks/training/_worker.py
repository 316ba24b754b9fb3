"""Run in a fresh process: one training run of one program, timed.

``python -m dspctl.benchmarks.training._worker '{…}'`` prints one JSON object as its last line.
"""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from dspctl.errors import DspctlError

RAW_SECONDS = 2.0
FAILED = 3
"""Exit code of a run that could not be made; the last line then holds the reason."""


@dataclass(frozen=True)
class Timing:
    """What one run took.

    Attributes:
        steps: environment steps of the timed run.
        learn_s: seconds of the timed run, after the warm-up. For dspctl that is the whole call of
            ``train``, building everything and writing the run folder included; for the others the
            call of ``learn`` on a finished model.
        construct_s: seconds to build environments and model, where they are built apart.
        warm_up_s: seconds of a run of one rollout: for dspctl imports, for sbx compilation.
        environment_s: of learn_s, inside the environments' steps.
        acting_s: of learn_s, acting and bookkeeping while collecting; for the peers all the rest.
        update_s: of learn_s, inside the update (for dspctl: on the main thread).
        episode_return: mean of the last 100 training episodes, None before the first.
        raw_steps_per_s: random actions through the same vector environment.
    """

    steps: int
    learn_s: float
    construct_s: float
    warm_up_s: float
    environment_s: float
    acting_s: float
    update_s: float
    episode_return: float | None
    raw_steps_per_s: float


def run(request: dict[str, Any]) -> Timing:
    """One run as *request* says: ``program``, ``config``, ``vector`` and ``threads``."""
    from dspctl.trainer import TrainConfig

    config = TrainConfig.from_json(request["config"])
    if request["program"] == "dspctl":
        return _dspctl(config)
    return _peer(config, request)


def _dspctl(config: Any) -> Timing:
    from dspctl.trainer import load_run, train
    from dspctl.trainer.environments import describe
    from dspctl.trainer.environments.vector import make_vector

    with tempfile.TemporaryDirectory() as folder:
        rollout = config.environments * config.rollout_steps
        start = perf_counter()
        train(replace(config, method="ppo", steps=rollout), Path(folder) / "warm-up")
        warm_up_s = perf_counter() - start
        start = perf_counter()
        result = train(config, Path(folder) / "run")
        learn_s = perf_counter() - start
        rows = load_run(result.run).metrics()
    task = describe(config.environment)
    vector = make_vector(
        task,
        count=config.environments,
        seed=config.seed,
        backend=config.vector_backend,
        threads=config.threads,
    )
    rng = np.random.default_rng(config.seed)
    shape = (64, config.environments)
    actions: Any = (
        rng.integers(0, task.outputs, shape)
        if task.discrete
        else rng.uniform(task.action.low, task.action.high, (*shape, task.outputs))
    )
    actions = actions if task.discrete else actions.astype(np.float32)
    vector.reset()
    start, steps = perf_counter(), 0
    while (elapsed := perf_counter() - start) < RAW_SECONDS:
        for action in actions:
            vector.step(action)
        steps += config.environments * len(actions)
    vector.close()
    return Timing(
        steps=result.steps,
        learn_s=learn_s,
        construct_s=0.0,
        warm_up_s=warm_up_s,
        environment_s=sum(row["environment_s"] for row in rows),
        acting_s=sum(row["inference_s"] for row in rows),
        update_s=sum(row["update_s"] for row in rows),
        episode_return=rows[-1]["episode_return"],
        raw_steps_per_s=steps / elapsed,
    )


def _peer(config: Any, request: dict[str, Any]) -> Timing:
    if request["threads"] is not None:
        import torch

        torch.set_num_threads(request["threads"])
    from dspctl.benchmarks.training import peers

    start = perf_counter()
    peer = peers.build(request["program"], config, request["vector"])
    construct_s = perf_counter() - start
    _, warm_up_s = peer.learn(config.environments * config.rollout_steps)
    steps, learn_s = peer.learn(config.steps)
    environment_s, update_s = peer.stepping.seconds, peer.updating.seconds
    return Timing(
        steps=steps,
        learn_s=learn_s,
        construct_s=construct_s,
        warm_up_s=warm_up_s,
        environment_s=environment_s,
        acting_s=learn_s - environment_s - update_s,
        update_s=update_s,
        episode_return=peer.episode_return,
        raw_steps_per_s=peers.raw_steps_per_s(peer.environments, RAW_SECONDS, config.seed),
    )


if __name__ == "__main__":
    try:
        print(json.dumps(asdict(run(json.loads(sys.argv[1])))))
    except DspctlError as problem:
        print(json.dumps({"reason": str(problem)}))
        sys.exit(FAILED)
