"""The training loop: PPO (Schulman 2017) with a pruning method composed in.

One iteration, top to bottom: collect, wait for the critic, value the states, estimate advantages,
start the critic's update, update the actor, prune. The critic learns in its own thread while the
actor learns and the next rollout is collected; since neither needs it, the result is the same as
doing one after the other.
"""

import logging
import platform
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import dspctl
from dspctl.errors import TrainingDiverged
from dspctl.trainer.background import Background
from dspctl.trainer.batches import batches_from_rollout
from dspctl.trainer.checkpoint import RunFolder
from dspctl.trainer.config import TrainConfig
from dspctl.trainer.environments import Task, describe
from dspctl.trainer.metrics import EpisodeStatistics, MetricsWriter, progress_figures
from dspctl.trainer.pruning import method_named
from dspctl.trainer.rollout import Collector, Seconds
from dspctl.trainer.state import TrainState
from dspctl.trainer.update import FusedGradients, Gradients, update_actor, update_critic
from dspctl.trainer.vector import VectorEnvironment, make_vector

log = logging.getLogger(__name__)

RECORDED_OBSERVATIONS = 20_000
"""Raw observations kept for the proofs of compaction and export."""
_MEAN_ROWS = 1024  # rows over which a leaving unit's mean activation is taken


@dataclass(frozen=True)
class Progress:
    """What a progress bar shows; one after every iteration.

    Attributes:
        iteration: iterations finished.
        iterations: iterations in all.
        steps: environment steps taken.
        total_steps: environment steps in all.
        episode_return: mean return of the last 100 training episodes, None before the first.
        units: the actor's hidden units, per layer.
        threshold: the last pruning threshold, None before the first pruning step.
        sparsity: share of the actor's hidden units that is gone.
        steps_per_s: speed of this iteration.
        phase: ``training``, ``pruning`` or ``recovery``.
        seconds: time spent training so far.
    """

    iteration: int
    iterations: int
    steps: int
    total_steps: int
    episode_return: float | None
    units: tuple[int, ...]
    threshold: float | None
    sparsity: float
    steps_per_s: float
    phase: str
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """What `train` leaves behind.

    Attributes:
        run: the run folder.
        finished: False when it was stopped before the last step.
        steps: environment steps taken.
        seconds: time spent training.
        units: the actor's hidden units, per layer.
    """

    run: Path
    finished: bool
    steps: int
    seconds: float
    units: tuple[int, ...]


def train(
    config: TrainConfig,
    run: Path,
    *,
    resume: bool = False,
    force: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainResult:
    """Train a policy and write everything about it into the folder *run*.

    Args:
        config: every setting; `dspctl.trainer.recipe` gives good ones. Ignored when resuming: the
            run's own are used.
        run: the run folder, new or empty unless *resume* or *force* is set.
        resume: go on from the run's last checkpoint.
        force: replace a run that is there.
        on_progress: called after every iteration.
        should_stop: asked after every iteration; True writes a checkpoint and returns.

    Raises:
        OutputExists: the folder holds something; see `RunFolder.create`.
        RunNotFound, RunIncomplete, RunVersion: nothing that can be resumed.
        TrainingDiverged: a parameter or observation stopped being finite.
        UnknownEnvironment, UnsupportedSpace, EnvironmentProblem: see `describe`.
    """
    if resume:
        folder = RunFolder.reopen(run, {})
        config = folder.config
    task = describe(config.environment)
    method_named(config.method)
    if resume:
        state = folder.load_state(task)
        folder.cut_metrics(state.iteration)
    else:
        folder = RunFolder.create(run, config, _about_this_machine(), force=force)
        state = TrainState.initial(config, task)
    vector = make_vector(
        task,
        count=config.environments,
        # A resumed run cannot restore the simulators, so it starts them anew from another seed.
        seed=state.environment_seed + state.iteration,
        backend=config.vector_backend,
        threads=config.threads,
    )
    try:
        # BLAS threads of its own would fight with ours; these matrices are too small for them.
        with (
            threadpool_limits(1),
            MetricsWriter(run, resumed_at=state.steps if resume else None) as metrics,
            Background[float](config.threads) as background,
        ):
            loop = _Loop(config, task, state, vector, folder, metrics, background)
            finished = loop.run(on_progress, should_stop)
    finally:
        vector.close()
    return TrainResult(run, finished, state.steps, state.seconds, state.actor.network.hidden)


class _Loop:
    """The iterations of one process; everything that outlives it is in the `TrainState`."""

    def __init__(
        self,
        config: TrainConfig,
        task: Task,
        state: TrainState,
        vector: VectorEnvironment,
        folder: RunFolder,
        metrics: MetricsWriter,
        background: Background[float],
    ) -> None:
        self.config, self.task, self.state, self.folder = config, task, state, folder
        self.metrics, self.background = metrics, background
        self.vector_backend = vector.backend
        self.collector = Collector(task, vector, config.environments, config.rollout_steps)
        self.episodes = EpisodeStatistics(config.environments)
        self.gradients = _gradients(config.update)
        self.normalizer = state.normalizer(config)
        kept = -(-RECORDED_OBSERVATIONS // (config.environments * config.rollout_steps))
        self.recorded: deque[NDArray[np.float32]] = deque(maxlen=kept)
        # A resumed run goes on adding to where its time went.
        self.seconds = {
            part: folder.info.get("time_split_s", {}).get(part, 0.0)
            for part in ("environment", "inference", "update")
        }

    def run(
        self,
        on_progress: Callable[[Progress], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> bool:
        """Iterate to the end, or until asked to stop; returns True at the end."""
        config, state = self.config, self.state
        self.folder.write_info(vector_backend=self.vector_backend)
        saved_at = perf_counter()
        while state.iteration < config.iterations:
            progress = self.iterate()
            if on_progress is not None:
                on_progress(progress)
            if should_stop is not None and should_stop():
                break
            if perf_counter() - saved_at > config.checkpoint_seconds:
                self.save("running")
                saved_at = perf_counter()
        finished = state.iteration >= config.iterations
        self.save("finished" if finished else "interrupted")
        return finished

    def iterate(self) -> Progress:
        """One rollout and one update (Algorithm 1 of the DSP paper)."""
        config, state = self.config, self.state
        actor, critic = state.actor, state.critic
        started = perf_counter()
        self.normalizer = state.normalizer(config)
        rollout, seconds = self.collector.collect(
            actor.network, state.head, self.normalizer, state.rng
        )
        value_loss = self.background.wait()
        # The critic learnt until just now, so its turn is here; the actor's is after its update.
        recent = rollout.observations.reshape(-1, rollout.observations.shape[-1])[:_MEAN_ROWS]
        critic.pruner.step(state.iteration, critic.network, critic.optimiser, recent)
        batches = batches_from_rollout(rollout, state, config)
        self.recorded.append(rollout.raw[:-1][rollout.valid])
        learning_rate = learning_rate_at(state.iteration, config)
        self.background.start(
            partial(update_critic, critic, batches.critic, config, learning_rate, self.gradients)
        )
        actor_stats = update_actor(
            actor, state.head, batches.actor, config, learning_rate, self.gradients
        )
        self._check_finite()
        phase = actor.pruner.phase(state.iteration)
        learnt_from = batches.actor.observations[:_MEAN_ROWS]
        actor.pruner.step(state.iteration, actor.network, actor.optimiser, learnt_from)
        self.episodes.update(rollout)
        state.iteration += 1
        state.steps += rollout.rewards.size
        times = self._clock(started, seconds)
        self.metrics.write(
            {
                **progress_figures(state, self.episodes),
                **actor_stats._asdict(),
                # Of the update that ended in this iteration: the one on the rollout before.
                "value_loss": value_loss,
                "explained_variance": batches.explained_variance,
                "learning_rate": learning_rate,
                **times,
            }
        )
        return Progress(
            iteration=state.iteration,
            iterations=config.iterations,
            steps=state.steps,
            total_steps=config.iterations * rollout.rewards.size,
            episode_return=self.episodes.mean_return,
            units=actor.network.hidden,
            threshold=actor.pruner.threshold,
            sparsity=actor.pruner.sparsity,
            steps_per_s=times["steps_per_s"],
            phase=phase,
            seconds=state.seconds,
        )

    def _clock(self, started: float, seconds: Seconds) -> dict[str, float]:
        """Account for the iteration that began at *started*; returns its figures."""
        elapsed = perf_counter() - started
        update_s = elapsed - seconds.environment - seconds.inference
        self.state.seconds += elapsed
        self.seconds["environment"] += seconds.environment
        self.seconds["inference"] += seconds.inference
        self.seconds["update"] += update_s
        return {
            "steps_per_s": self.config.environments * self.config.rollout_steps / elapsed,
            "environment_s": seconds.environment,
            "inference_s": seconds.inference,
            "update_s": update_s,
        }

    def _check_finite(self) -> None:
        if not np.isfinite(self.state.actor.network.parameters).all():
            raise TrainingDiverged(
                f"the actor's weights stopped being finite at step {self.state.steps}: lower "
                "--learning-rate or --penalty; the last checkpoint is intact"
            )

    def save(self, status: str) -> None:
        """Write checkpoint, policy and status; waits for the critic, whose state is part of it."""
        started = perf_counter()
        self.background.wait()
        state = self.state
        state.seconds += perf_counter() - started
        # The policy goes first: a run whose checkpoint says that it is finished then has one. A run
        # that was resumed at its very end has recorded nothing and keeps what was written.
        if status != "running" and self.recorded:
            observations = np.concatenate(self.recorded)[-RECORDED_OBSERVATIONS:]
            policy = state.policy(self.config, self.task, self.normalizer)
            self.folder.write_policy(policy, observations)
        self.folder.save_state(state)
        self.folder.write_info(
            status=status,
            steps=state.steps,
            seconds=state.seconds,
            units=list(state.actor.network.hidden),
            critic_units=list(state.critic.network.hidden),
            time_split_s=self.seconds,
        )


def learning_rate_at(iteration: int, config: TrainConfig) -> float:
    """The step size during *iteration*, counted from 0."""
    if config.learning_rate_schedule == "constant":
        return config.learning_rate
    held = config.learning_rate_hold if config.learning_rate_schedule == "hold-linear" else 0.0
    done = iteration / config.iterations
    if done <= held:
        return config.learning_rate
    return config.learning_rate * (1 - done) / (1 - held)


def _gradients(name: str) -> Gradients:
    if name == "fused":
        return FusedGradients()
    # torch is loaded only where it is used: it takes longer to import than a small run to train.
    import torch

    from dspctl.trainer.autograd import AutogradGradients

    torch.set_num_threads(1)
    return AutogradGradients()


def _about_this_machine() -> dict[str, Any]:
    return {
        "dspctl": dspctl.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
