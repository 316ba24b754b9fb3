"""Everything that one training iteration hands to the next."""

from dataclasses import dataclass
from importlib import metadata

import numpy as np

import dspctl
from dspctl.runtime import Layer, Normalizer, Policy
from dspctl.trainer.environments import Task
from dspctl.trainer.ppo.adam import Adam
from dspctl.trainer.ppo.heads import Head, head_of
from dspctl.trainer.ppo.learner import Learner
from dspctl.trainer.ppo.network import Layout, Network
from dspctl.trainer.ppo.normalize import ReturnScaler, RunningMoments
from dspctl.trainer.pruning import Pruner, method_named
from dspctl.trainer.runs.carry import Carry
from dspctl.trainer.settings.config import TrainConfig

OBSERVATION_CLIP = 10.0
LARGEST_TRAINING_SEED = 1_000_000_000
"""Below those of trials and of evaluation."""


@dataclass(eq=False)
class TrainState:
    """The state of a run between two iterations; a checkpoint is exactly this.

    Attributes:
        actor: the policy network; its extra parameters are the log deviations.
        critic: the value network.
        head: the action distribution.
        observations: statistics of raw observations.
        scaler: statistics of discounted returns.
        rng: exploration noise.
        environment_seed: seed of the environments when they are first made.
        iteration: iterations finished.
        steps: environment steps taken.
        seconds: time spent training, over all resumptions.
        carry: what the loop of the process that saved it had under way; None before any did.
    """

    actor: Learner
    critic: Learner
    head: Head
    observations: RunningMoments
    scaler: ReturnScaler
    rng: np.random.Generator
    environment_seed: int
    iteration: int = 0
    steps: int = 0
    seconds: float = 0.0
    carry: Carry | None = None

    @classmethod
    def initial(cls, config: TrainConfig, task: Task) -> "TrainState":
        """Fresh networks and streams of random numbers, all from ``config.seed``."""
        init, noise, actor_rng, critic_rng, environments = (
            np.random.default_rng(sequence)
            for sequence in np.random.SeedSequence(config.seed).spawn(5)
        )
        method = method_named(config.method)
        inputs = task.observation.size

        def learner(
            hidden: tuple[int, ...],
            outputs: int,
            output_gain: float,
            extra: int,
            sparsity: float,
            rng: np.random.Generator,
            *,
            outputs_are_actions: bool,
        ) -> Learner:
            network = Network.initialise(
                Layout((inputs, *hidden, outputs), biases=config.biases, extra=extra),
                config.activation,
                init,
                hidden_gain=config.hidden_gain,
                output_gain=output_gain,
                extra=config.initial_log_std,
            )
            pruner = Pruner(method, config, network, sparsity)
            # Eq 13 is the actor's objective. Values may be large and Omega grows with their square:
            # the same lambda would hold a critic down instead of sorting its units.
            regularizer = method.regularizer if pruner.active and outputs_are_actions else None
            return Learner(network, Adam(network.layout.length), pruner, regularizer, rng)

        # A small output layer makes the first policy nearly uniform, the values nearly unbiased
        # (Andrychowicz 2021, section 3.2).
        extra = 0 if task.discrete else task.outputs
        return cls(
            actor=learner(
                config.actor_widths,
                task.outputs,
                0.01,
                extra,
                config.sparsity,
                actor_rng,
                outputs_are_actions=True,
            ),
            critic=learner(
                config.hidden,
                1,
                1.0,
                0,
                config.critic_sparsity,
                critic_rng,
                outputs_are_actions=False,
            ),
            head=head_of(task.action, task.outputs),
            observations=RunningMoments(inputs, frozen=method.teacher),
            scaler=ReturnScaler(config.environments, config.gamma),
            rng=noise,
            environment_seed=int(environments.integers(LARGEST_TRAINING_SEED)),
        )

    def normalizer(self, config: TrainConfig) -> Normalizer | None:
        """The observation statistics as the policy carries them, or None when switched off."""
        if not config.normalize_observations:
            return None
        return Normalizer(
            mean=self.observations.mean.astype(np.float32),
            scale=self.observations.scale().astype(np.float32),
            clip=OBSERVATION_CLIP,
        )

    def policy(self, config: TrainConfig, task: Task, normalizer: Normalizer | None) -> Policy:
        """The actor as a policy of its original widths, with masks where units were removed.

        Args:
            config: the run's settings.
            task: its environment.
            normalizer: the one the actor last acted with, so that the policy is what was trained.
        """
        archive = self.actor.pruner.archive
        archive.record(self.actor.network)
        weights = archive.layout.weights(archive.parameters)
        biases = archive.layout.bias_vectors(archive.parameters)
        pruner = self.actor.pruner
        # Weights that left by themselves are zeros, which need no mask.
        units_left = pruner.active and pruner.weight_mask is None
        masks = [*archive.masks(), None] if units_left else [None] * len(weights)
        return Policy(
            environment=task.environment,
            observation=task.observation,
            layers=tuple(
                Layer(
                    weight=weight.copy(),
                    bias=None if bias is None else bias.copy(),
                    activation="identity" if index == len(weights) - 1 else config.activation,
                    mask=mask,
                )
                for index, (weight, bias, mask) in enumerate(
                    zip(weights, biases, masks, strict=True)
                )
            ),
            action=task.action,
            inputs=np.arange(task.observation.size, dtype=np.int64),
            normalizer=normalizer,
            lineage={
                "method": config.method,
                "seed": config.seed,
                "steps": self.steps,
                "units": list(self.actor.network.hidden),
                "dspctl": dspctl.__version__,
                "packages": _packages(config),
            },
        )


def _packages(config: TrainConfig) -> dict[str, str]:
    """Versions of what trained: the bill of materials of a bundle lists them."""
    packages = ["gymnasium", "numpy", *(["torch"] if config.update == "autograd" else [])]
    return {package: metadata.version(package) for package in packages}
