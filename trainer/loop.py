"""The training loop: PPO (Schulman 2017) with a pruning method composed in.

One iteration, top to bottom: collect, wait for the critic, value the states, estimate advantages,
start the critic's update, update the actor, prune. The critic learns in its own thread while the
actor learns and the next rollout is collected; since neither needs it, the result is the same as
doing one after the other.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime import Policy
from dspctl.trainer.background import Background
from dspctl.trainer.distillation import Memory, Teacher, imitate
from dspctl.trainer.distillation.phases import distillation_at, imitates
from dspctl.trainer.environments import Task
from dspctl.trainer.environments.vector import VectorEnvironment
from dspctl.trainer.pops.sparsest import Sparsest
from dspctl.trainer.ppo.batches import batches_from_rollout
from dspctl.trainer.ppo.learning_rate import learning_rate_at
from dspctl.trainer.ppo.rollout import Collector, Rollout, Seconds
from dspctl.trainer.ppo.update import (
    ActorBatch,
    FusedGradients,
    Gradients,
    update_actor,
    update_critic,
)
from dspctl.trainer.progress import Progress
from dspctl.trainer.pruning import method_named
from dspctl.trainer.runs.checkpoint import RunFolder
from dspctl.trainer.runs.handover import carry_of, take_over
from dspctl.trainer.runs.metrics import EpisodeStatistics, MetricsWriter, progress_figures
from dspctl.trainer.runs.resuming import return_to_checkpoint
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.selection import OnTrial, Selection, Stopped, Trials
from dspctl.trainer.settings.config import TrainConfig
from dspctl.trainer.watch import Watch

log = logging.getLogger(__name__)

RECORDED_OBSERVATIONS = 20_000
"""Raw observations kept for the proofs of compaction and export."""
_MEAN_ROWS = 1024  # rows over which a leaving unit's mean activation is taken


class Loop:
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
        teacher: Teacher | None,
        on_trial: OnTrial | None = None,
    ) -> None:
        self.teacher, self.on_trial = teacher, on_trial
        if teacher is not None:
            self.memory = Memory(config.memory, task.observation.size, task.outputs)
        self.config, self.task, self.state, self.folder = config, task, state, folder
        self.metrics, self.background = metrics, background
        self.collector = Collector(task, vector, config.environments, config.rollout_steps)
        self.episodes = EpisodeStatistics(config.environments)
        self.gradients = _gradients(config.update)
        self.watch = Watch(config, task)
        self.normalizer = state.normalizer(config)
        self.value_loss: float | None = None
        kept = -(-RECORDED_OBSERVATIONS // (config.environments * config.rollout_steps))
        self.recorded: deque[NDArray[np.float32]] = deque(maxlen=kept)
        self.selection = _selection(folder, config, task, state, early=on_trial is not None)
        self.best: Policy | None = None
        self.vector = vector
        self.go_on = state.carry is not None and take_over(self, state.carry)
        if not self.go_on:
            state.scaler.returns = np.zeros(config.environments)
        state.carry = None  # what it held is in use now
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
        self.folder.write_info(vector_backend=self.vector.backend)
        self.selection.should_stop = should_stop
        try:
            enough = self._iterations(on_progress, should_stop)
            finished = state.iteration >= config.iterations
            if finished and not enough:  # else the last policy is the one that was good enough
                started = perf_counter()
                self.best = self.selection.best()
                state.seconds += perf_counter() - started
        except Stopped:
            enough = finished = False
        if self.watch.suspicious and not finished and not enough:
            self.leave()
        else:
            self.save("finished" if finished else "interrupted")
        return finished

    def _iterations(
        self,
        on_progress: Callable[[Progress], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> bool:
        """`run` up to its last iteration; returns whether a policy was good enough to end with."""
        config, state = self.config, self.state
        saved_at = perf_counter()
        enough = self.selection.owed(state.iteration) and self.consider()
        while state.iteration < config.iterations and not enough:
            progress = self.iterate()
            enough = self.selection.due(state.iteration) and self.consider()
            if on_progress is not None:
                on_progress(progress)
            if enough or (should_stop is not None and should_stop()):
                break
            due = perf_counter() - saved_at > config.checkpoint_seconds
            if due and not self.watch.suspicious:
                self.save("running")
                saved_at = perf_counter()
        return enough

    def _end_critic(self) -> None:
        """Wait for the critic's update and judge it; its loss waits for the next record."""
        loss = self.background.wait()
        if loss is not None:
            self.value_loss = loss
            self.watch.critic(loss, self.state.critic.network.parameters)

    def iterate(self) -> Progress:
        """One rollout and one update (Algorithm 1 of the DSP paper)."""
        config, state = self.config, self.state
        actor, critic = state.actor, state.critic
        started = perf_counter()
        self.normalizer = state.normalizer(config)
        rollout, seconds = self.collector.collect(
            actor.network, state.head, self.normalizer, state.rng
        )
        self._end_critic()
        value_loss, self.value_loss = self.value_loss, None
        # The critic learnt until just now, so its turn is here; the actor's is after its update.
        recent = rollout.observations.reshape(-1, rollout.observations.shape[-1])[:_MEAN_ROWS]
        critic.pruner.step(state.iteration, critic.network, critic.optimiser, recent)
        batches = batches_from_rollout(rollout, state, config)
        self.watch.values(batches.explained_variance)
        self.recorded.append(rollout.raw[:-1][rollout.valid])
        learning_rate = learning_rate_at(state.iteration, config)
        self.background.start(
            partial(update_critic, critic, batches.critic, config, learning_rate, self.gradients)
        )
        actor_stats = self._update_actor(batches.actor, rollout, learning_rate)
        self.watch.actor(actor_stats, actor.network.parameters)
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
                **actor_stats,
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

    def _update_actor(
        self, batch: ActorBatch, rollout: Rollout, learning_rate: float
    ) -> dict[str, float]:
        """Learn from the teacher alone, from rewards alone, or from both; returns figures."""
        config, state, teacher = self.config, self.state, self.teacher
        weight = 0.0
        if teacher is not None:
            targets = teacher.targets(rollout.raw[:-1][rollout.valid])
            batch = batch._replace(targets=targets)
            weight = distillation_at(state.iteration, config)
            if imitates(state.iteration, config):
                self.memory.add(batch.observations, targets)
                return imitate(
                    state.actor,
                    state.head,
                    self.memory,
                    minibatches=max(1, round(config.imitation_rate * rollout.rewards.size)),
                    rows=config.minibatch,
                    learning_rate=learning_rate,
                    max_norm=config.gradient_norm,
                    penalty=config.penalty,
                )._asdict()
        return update_actor(
            state.actor, state.head, batch, config, learning_rate, self.gradients, weight
        )._asdict()

    def consider(self) -> bool:
        """Try the policy as it is now; returns whether it is good enough to end with."""
        started = perf_counter()
        policy = self.state.policy(self.config, self.task, self.normalizer)
        trial = self.selection.consider(self.state.iteration, policy)
        enough = self.on_trial is not None and self.on_trial(trial, policy)
        self.state.seconds += perf_counter() - started
        return enough

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

    def save(self, status: str) -> None:
        """Write checkpoint, policy and status; waits for the critic, whose state is part of it."""
        started = perf_counter()
        self._end_critic()
        state = self.state
        state.seconds += perf_counter() - started
        # The policy goes first: a run whose checkpoint says that it is finished then has one. A run
        # that was resumed at its very end, from a checkpoint of an earlier version, has recorded
        # nothing and keeps what was written.
        if status != "running" and self.recorded:
            observations = np.concatenate(self.recorded)[-RECORDED_OBSERVATIONS:]
            policy = self.best or state.policy(self.config, self.task, self.normalizer)
            self.folder.write_policy(policy, observations)
        state.carry = carry_of(self)
        self.metrics.sync()
        self.folder.save_state(state)
        self.selection.forget(state.iteration)
        self.folder.write_info(
            status=status,
            steps=state.steps,
            seconds=state.seconds,
            units=list(state.actor.network.hidden),
            critic_units=list(state.critic.network.hidden),
            time_split_s=self.seconds,
        )

    def leave(self) -> None:
        """Stop where no checkpoint should replace the one that is there: the run goes on from that,
        and until then its policy is the run's."""
        self._end_critic()
        self.metrics.sync()
        state = return_to_checkpoint(self.folder, self.task, "interrupted")
        log.warning(
            "the policy explores next to nothing (updates in a row: %d), so the checkpoint of step "
            "%d stays, and %s goes on from there",
            self.watch.collapsed,
            state.steps,
            self.folder.path,
        )


def _selection(
    folder: RunFolder, config: TrainConfig, task: Task, state: TrainState, *, early: bool
) -> Trials:
    """The run's trials; *early* ones begin as soon as one can be good enough to end with."""
    if method_named(config.method).delivers == "sparsest":
        return Sparsest(folder, config, task, iteration=state.iteration)
    first = state.actor.pruner.settled
    if early and not state.actor.pruner.active:
        # A small network can be good as soon as it has learnt to imitate.
        first = min(first, round(config.imitation_end * config.iterations))
    return Selection(folder, config, task, first=first, iteration=state.iteration)


def _gradients(name: str) -> Gradients:
    if name == "fused":
        return FusedGradients()
    # torch is loaded only where it is used: it takes longer to import than a small run to train.
    import torch

    from dspctl.trainer.ppo.autograd import AutogradGradients

    torch.set_num_threads(1)
    return AutogradGradients()
