"""What a training run is: one frozen record, validated when made, saved whole with the run.

Each field carries its sentence as ``Annotated`` metadata, which is also the help text of the
command-line flag of the same name.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

from dspctl.errors import ConfigProblem, ImpossibleWidths, InvalidSparsity, UnknownActivation
from dspctl.trainer.settings.limits import check_limits, checked_values

if TYPE_CHECKING:
    from dspctl.trainer.pruning.methods import Method

HiddenActivation = Literal["tanh", "relu"]
LearningRateSchedule = Literal["constant", "linear", "hold-linear"]
ThresholdReading = Literal["quantile", "mass", "literal"]
Ranking = Literal["global", "global-raw", "per-layer"]
VectorBackend = Literal["auto", "envpool", "gymnasium"]
UpdateKernel = Literal["fused", "autograd"]


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of one training run."""

    environment: Annotated[str, "Gymnasium environment id."]
    seed: Annotated[int, "Seed of initialisation, exploration, minibatches and environments."] = 0
    steps: Annotated[int, "Environment steps to train for, over all environments."] = 1_000_000
    method: Annotated[str, "Pruning method: a named preset of the four axes, or 'ppo'."] = "dsp"

    # --- collecting
    environments: Annotated[int, "Environments stepped side by side."] = 16
    rollout_steps: Annotated[int, "Steps per environment between two updates."] = 256
    vector_backend: Annotated[
        VectorBackend, "Who steps the environments; auto takes EnvPool where it has the task."
    ] = "auto"
    threads: Annotated[
        int, "Threads of the run: 2 updates the critic beside collecting, 1 does one at a time."
    ] = 2
    normalize_observations: Annotated[bool, "Centre and scale observations by running stats."] = (
        True
    )
    normalize_rewards: Annotated[bool, "Divide rewards by the deviation of running returns."] = True

    # --- PPO
    minibatch: Annotated[int, "Transitions per gradient step."] = 256
    epochs: Annotated[int, "Passes over each rollout."] = 10
    learning_rate: Annotated[float, "Adam's step size at the start."] = 1e-3
    learning_rate_schedule: Annotated[
        LearningRateSchedule,
        "constant, linear to 0, or held until learning_rate_hold and then linear to 0.",
    ] = "linear"
    learning_rate_hold: Annotated[
        float, "Share of the run during which hold-linear keeps the rate."
    ] = 0.5
    gamma: Annotated[float, "Discount per step."] = 0.99
    gae_lambda: Annotated[float, "GAE's lambda: 0 is one-step TD, 1 Monte Carlo."] = 0.95
    clip_range: Annotated[float, "PPO's clip range epsilon (Eq 3)."] = 0.2
    entropy: Annotated[float, "Weight of the entropy bonus."] = 0.0
    target_kl: Annotated[
        float, "Stop the actor's epochs once an epoch's mean KL exceeds this; 0 never stops."
    ] = 0.02
    gradient_norm: Annotated[float, "Largest gradient norm, for actor and critic each."] = 0.5
    normalize_advantages: Annotated[bool, "Centre and scale advantages per minibatch."] = True

    # --- networks
    hidden: Annotated[tuple[int, ...], "Hidden units per layer, of actor and critic each."] = (
        128,
        128,
    )
    actor_hidden: Annotated[
        tuple[int, ...] | None,
        "Hidden units per layer that the actor starts with; sparsity still counts against hidden.",
    ] = None
    activation: Annotated[HiddenActivation, "Hidden activation."] = "tanh"
    biases: Annotated[bool, "Whether layers have biases (the DSP paper's have none)."] = True
    initial_log_std: Annotated[float, "Log standard deviation of continuous actions, at first."] = (
        0.0
    )
    hidden_gain: Annotated[float, "Gain of the hidden layers' orthogonal initialisation."] = (
        math.sqrt(2)
    )
    update: Annotated[
        UpdateKernel, "fused: hand-derived NumPy gradients; autograd: torch, the reference."
    ] = "fused"

    # --- pruning
    sparsity: Annotated[
        float, "Share of the actor's hidden units (l1, pops: of its weights) to remove, in [0, 1)."
    ] = 0.93
    critic_sparsity: Annotated[float, "The same of the critic."] = 0.0
    penalty: Annotated[float, "lambda, the weight of the method's regulariser (Eq 13)."] = 1e-4
    threshold: Annotated[
        ThresholdReading, "Reading of Eq 16: quantile reaches the sparsity exactly."
    ] = "quantile"
    ranking: Annotated[
        Ranking, "Compare units across layers (normalised or raw) or within each layer."
    ] = "global"
    initial_sparsity: Annotated[float, "p_i of the cubic schedule (Eq 17)."] = 0.0
    prune_start: Annotated[float, "Share of the run before the first pruning step (t_0)."] = 0.1
    prune_end: Annotated[float, "Share of the run after which units stay; then recovery."] = 0.5
    prune_every: Annotated[int, "Iterations between pruning steps (delta t)."] = 1
    floor: Annotated[
        int, "Fewest units a hidden layer keeps; 0: half of an equal share (dsp-kd: 80%)."
    ] = 0
    fold_means: Annotated[
        bool, "Add a removed unit's mean activation to the next layer's bias."
    ] = True

    # --- distillation
    teacher: Annotated[
        str, "Run or policy file to learn from; a method that needs one trains it first if empty."
    ] = ""
    start: Annotated[
        str,
        "Policy file whose weights a student starts from, and whose inputs alone one of kd reads; "
        "empty takes the teacher's weights, if any fit.",
    ] = ""
    distillation: Annotated[float, "Weight of the distance from the teacher, at first."] = 0.5
    imitation_end: Annotated[
        float, "Share of the run during which the teacher alone teaches, without rewards."
    ] = 0.55
    distillation_end: Annotated[
        float, "Share of the run by which the distance's weight has fallen to 0."
    ] = 0.95
    imitation_rate: Annotated[
        float, "Gradient steps per environment step while the teacher alone teaches."
    ] = 0.1
    memory: Annotated[int, "States kept with what the teacher does there, for imitation."] = 100_000

    objective: Annotated[
        float, "Share of the teacher's return that a student of pops must keep to be delivered."
    ] = 0.95

    # --- keeping
    trials: Annotated[
        int, "Times the policy is tried once units stay; the best is delivered. 0: the last one."
    ] = 8
    checkpoint_seconds: Annotated[float, "Seconds between checkpoints."] = 30.0

    def __post_init__(self) -> None:
        self._check_ranges()
        check_limits(self)
        for name in ("sparsity", "critic_sparsity", "initial_sparsity"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InvalidSparsity(
                    f"{name} must be in [0, 1), not {value}: it is the share of hidden units to "
                    "remove, so 0.93 removes 93%"
                )
        if self.activation not in get_args(HiddenActivation):
            raise UnknownActivation(
                f"activation {self.activation!r} is not one of "
                f"{', '.join(get_args(HiddenActivation))}: every backend runs these"
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigProblem(
                    f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}"
                )
        for name in ("hidden", "actor_hidden"):
            if any(width < 1 for width in getattr(self, name) or ()):
                raise ImpossibleWidths(
                    f"layers of {name} need at least one unit, not {getattr(self, name)}"
                )
        self._check_widths()

    def _check_widths(self) -> None:
        method = self._method
        if method.widths is not None and self.actor_hidden is not None:
            raise ConfigProblem(
                f"{self.method} chooses the actor's widths itself: leave out actor_hidden, or pass "
                f"--method {'kd' if method.teacher else 'ppo'}"
            )
        widths = self.actor_widths
        if any(width < 1 for width in widths):
            raise ImpossibleWidths(
                f"sparsity {self.sparsity} leaves too few units for {len(self.hidden)} layers: "
                "lower sparsity, or widen the layers"
            )
        if method.prunes:
            if not self.hidden or not widths:
                raise ImpossibleWidths("there is no hidden layer to prune: pass --method ppo")
            if method.granularity == "unit":
                self._check_room("sparsity", widths)
                self._check_room("critic_sparsity", self.hidden)

    def _check_room(self, name: str, widths: tuple[int, ...]) -> None:
        """Whether layers of *widths* can lose what the sparsity called *name* asks for."""
        sparsity = getattr(self, name)
        kept = units_kept(sum(self.hidden), sparsity)
        floor = self.layer_floor(sparsity, len(widths))
        if kept >= sum(widths):
            return  # nothing leaves
        if any(width < self.floor for width in widths) or kept < floor * len(widths):
            layers = "-".join(map(str, widths))
            raise ImpossibleWidths(
                f"{name} {sparsity} keeps {kept} of the {sum(self.hidden)} units of a "
                f"{layers} network, but a floor of {floor} per layer needs "
                f"{floor * len(widths)}: lower {name} or the floor, or widen the layers"
            )

    @property
    def _method(self) -> "Method":
        # The methods' modules read this one.
        from dspctl.trainer.pruning.methods import method_named

        return method_named(self.method)

    @property
    def actor_widths(self) -> tuple[int, ...]:
        """Hidden units per layer that the actor starts with.

        ``actor_hidden`` where it is given, else what the method chooses, else ``hidden``. What is
        counted as removed is counted against ``hidden`` in every case.
        """
        if self.actor_hidden is not None:
            return self.actor_hidden
        widths = self._method.widths
        return self.hidden if widths is None else widths(self.hidden, self.sparsity)

    def layer_floor(self, sparsity: float, layers: int | None = None) -> int:
        """Fewest units each of *layers* hidden layers keeps at *sparsity*; as many as ``hidden``
        has unless it is said.

        By default the method's share of an equal one: a layer far narrower than its neighbour is a
        bottleneck that no later training opens again (``docs/decisions/0007``).
        """
        if self.floor:
            return self.floor
        layers = max(1, len(self.hidden) if layers is None else layers)
        equal = units_kept(sum(self.hidden), sparsity) / layers
        return max(1, int(self._method.floor_share * equal))

    def _check_ranges(self) -> None:
        for name in (
            "steps",
            "environments",
            "rollout_steps",
            "threads",
            "minibatch",
            "epochs",
            "prune_every",
            "memory",
        ):
            if getattr(self, name) < 1:
                raise ConfigProblem(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.rollout_steps < 2:
            raise ConfigProblem(
                "rollout_steps must be at least 2, since the step after an episode's end only "
                f"resets and a rollout of {self.rollout_steps} may hold nothing else"
            )
        for name in (
            "learning_rate",
            "clip_range",
            "gradient_norm",
            "hidden_gain",
            "imitation_rate",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigProblem(f"{name} must be positive, not {value}")
        for name in (
            "entropy",
            "target_kl",
            "penalty",
            "floor",
            "checkpoint_seconds",
            "distillation",
            "trials",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigProblem(f"{name} must not be negative, not {value}")
        for name in ("gamma", "gae_lambda", "learning_rate_hold", "objective"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigProblem(f"{name} must be in [0, 1], not {getattr(self, name)}")
        if not 0 <= self.imitation_end <= self.distillation_end <= 1:
            raise ConfigProblem(
                "imitation must end before distillation does, both as shares of the run in [0, 1]: "
                f"not imitation_end {self.imitation_end} and distillation_end "
                f"{self.distillation_end}"
            )
        if self.seed < 0:
            raise ConfigProblem(f"seed must not be negative, not {self.seed}")
        if not 0 <= self.prune_start < self.prune_end <= 1:
            raise ConfigProblem(
                "pruning must start before it ends, both as shares of the run in [0, 1]: not "
                f"prune_start {self.prune_start} and prune_end {self.prune_end}"
            )

    @property
    def iterations(self) -> int:
        """Rollouts of the whole run: enough for at least ``steps`` steps."""
        return -(-self.steps // (self.environments * self.rollout_steps))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as written to a run's ``config.json``."""
        actor = None if self.actor_hidden is None else list(self.actor_hidden)
        return {**asdict(self), "hidden": list(self.hidden), "actor_hidden": actor}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Inverse of `to_json`.

        Raises:
            ConfigProblem: a field is unknown, or of another type.
        """
        return cls(**checked_values(values, _HINTS))


_HINTS = get_type_hints(TrainConfig, include_extras=True)
_CHOICES: dict[str, tuple[str, ...]] = {
    name: get_args(get_args(hint)[0])
    for name, hint in _HINTS.items()
    if name not in ("activation",) and get_args(get_args(hint)[0]) and "Literal" in str(hint)
}


def field_help(name: str) -> str:
    """The sentence that documents a field."""
    return str(get_args(_HINTS[name])[1])


def units_kept(total: int, sparsity: float) -> int:
    """Hidden units left of *total* at *sparsity* (DSP Eq 22), e.g. 18 of 256 at 0.93."""
    return total - round(sparsity * total)
