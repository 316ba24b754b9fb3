"""One candidate, trained, compacted and tried in a process of its own.

Reads ``job.json`` in the folder that it is given and leaves ``policy.safetensors`` and
``point.json`` there. Its run stays beside them, so that a candidate that was stopped goes on.
It ends when its standard input does: with the process that started it, even if that is killed.
"""

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dspctl.benchmarks._process import end_with_parent
from dspctl.benchmarks.record.decode import decode_record
from dspctl.benchmarks.shrink.check import share_kept
from dspctl.benchmarks.shrink.inputs import without_inputs
from dspctl.benchmarks.shrink.ladder import Candidate
from dspctl.benchmarks.shrink.record import Network, Point
from dspctl.errors import RunIncomplete, RunNotFound, TrainingDiverged
from dspctl.runtime import Policy
from dspctl.runtime.files import write_json

if TYPE_CHECKING:
    from dspctl.trainer import TrainConfig

JOB, POINT, POLICY, RUN = "job.json", "point.json", "policy.safetensors", "run"
START = "start.safetensors"


@dataclass(frozen=True)
class Job:
    """What a process is asked to do.

    Attributes:
        environment: gymnasium id.
        teacher: run folder or policy file.
        candidate: the network.
        start: policy file of which a pruned candidate removes units, and of which one that is
            asked to read fewer features leaves them out; else empty.
        hidden: the teacher's hidden layers, of which sparsity is a share.
        steps: environment steps; 0 takes the recipe's.
        keep: share of the teacher's return to keep: training ends with the first trial that shows
            it; 0 trains to the end.
        returns: of the teacher, one per trial episode.
    """

    environment: str
    teacher: str
    candidate: Candidate
    start: str
    hidden: tuple[int, ...]
    steps: int
    keep: float
    returns: tuple[float, ...]


_TRIALS = 12
"""More than a run that nobody waits for has: training ends with the first that is good enough."""


def run(folder: Path, job: Job) -> Point:
    """Train, compact, try; raises as `train` and `compact`."""
    from dspctl.compactor import compact
    from dspctl.runtime import save_policy
    from dspctl.trainer import load_run, train
    from dspctl.trainer.environments import describe
    from dspctl.trainer.selection import Trial, Trials, play_once

    config, task, path = config_of(folder, job), describe(job.environment), folder / RUN

    def returns_of(policy: Policy) -> list[float]:
        return [float(one) for one in play_once(policy, task, config, len(job.returns))]

    def on_trial(trial: Trial, policy: Policy) -> bool:
        """Whether it passes; a trial's few episodes say if the test's many are worth playing."""
        theirs = float(np.mean(job.returns[: Trials.episodes]))  # of the same episodes
        if trial.mean < theirs - (1 - job.keep) * abs(theirs):
            return False
        return share_kept(returns_of(policy), job.returns).low >= job.keep

    def trained(resume: bool) -> bool:
        done = train(config, path, resume=resume, on_trial=on_trial if job.keep else None)
        return done.finished

    try:
        # The settings are the last thing that a new run writes.
        finished = trained(resume=(path / "config.json").is_file())
    except (RunIncomplete, RunNotFound):  # a part of it was cut off: it starts again
        shutil.rmtree(path)
        finished = trained(resume=False)
    except TrainingDiverged:
        finished = True  # more training would diverge again; the policy is the last good one
    made = load_run(path)
    policy = compact(made.policy(), observations=made.observations()).policy
    save_policy(policy, folder / POLICY, force=True)
    network = network_of(policy, returns_of(policy))
    return Point(job.candidate, network, float(made.info["seconds"]), finished)


def config_of(folder: Path, job: Job) -> "TrainConfig":
    """The settings of a candidate's run; writes the policy that a narrowed one starts from."""
    from dspctl.runtime import load_policy, save_policy
    from dspctl.trainer import recipe

    candidate = job.candidate
    learns: dict[str, Any] = {
        "method": "kd",
        "teacher": job.teacher,
        "actor_hidden": candidate.hidden,
    }
    if candidate.without:
        # What it starts from lacks the inputs, and training holds them at nothing then.
        start = without_inputs(load_policy(Path(job.start)), candidate.without)
        learns["start"] = str(save_policy(start, folder / START, force=True).resolve())
        if candidate.start == "rewards":
            learns |= {"imitation_end": 0.0, "distillation": 0.0}
    elif candidate.start == "rewards":
        learns = {"method": "linear"}
    elif candidate.start == "pruned":
        sparsity = 1 - candidate.size / sum(job.hidden)
        learns |= {"method": "dsp-kd", "start": job.start, "sparsity": sparsity}
    return recipe(
        job.environment,
        **learns,
        hidden=job.hidden,
        activation=candidate.activation,
        seed=candidate.seed,
        steps=job.steps or None,
        threads=1,
        trials=_TRIALS,
    )


def network_of(policy: Policy, returns: list[float]) -> Network:
    """The record of a policy and its returns."""
    counts = policy.counts
    return Network(
        units=counts.units,
        inputs=int(policy.inputs.size),
        weights=counts.weights,
        flops=counts.flops,
        returns=tuple(returns),
    )


def main(folder: Path) -> int:
    """Do the job in *folder*."""
    end_with_parent()
    job = decode_record(Job, json.loads((folder / JOB).read_text()), "job")
    write_json(folder / POINT, asdict(run(folder, job)))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
