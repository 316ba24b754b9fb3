"""Action distributions: sampling, log-probabilities, and the derivative of the PPO loss.

A head turns network outputs into a distribution over actions: `Categorical` over the logits of a
Discrete space, `Gaussian` around the means of a Box space with a learnt, state-independent
deviation. Noise is drawn for a whole rollout at once and added step by step.
"""

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime import ActionRule

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]


class Surrogate(NamedTuple):
    """Scalars of one minibatch of the clipped surrogate (DSP Eq 3).

    Attributes:
        loss: the surrogate with its sign turned, without entropy.
        entropy: mean entropy, nats.
        kl: estimate of KL(old || new), ``E[(ratio - 1) - log ratio]``.
        clip_fraction: share of samples outside the clip range.
    """

    loss: float
    entropy: float
    kl: float
    clip_fraction: float


class Head(Protocol):
    """A distribution family over actions."""

    def noise(self, steps: int, environments: int, rng: np.random.Generator) -> NDArray[Any]:
        """Random numbers for one rollout."""
        ...

    def sample(self, outputs: Matrix, extra: Vector, noise: NDArray[Any]) -> NDArray[Any]:
        """Actions in the distribution's own units, one per row."""
        ...

    def log_prob(self, outputs: Matrix, extra: Vector, actions: NDArray[Any]) -> Vector:
        """Log-probability of *actions*, float32 [rows]."""
        ...

    def surrogate(
        self,
        outputs: Matrix,
        extra: Vector,
        actions: NDArray[Any],
        old_log_prob: Vector,
        advantage: Vector,
        *,
        clip_range: float,
        entropy_weight: float,
    ) -> tuple[Surrogate, Matrix, Vector]:
        """The loss ``-surrogate - entropy_weight * entropy`` and its derivatives.

        Returns:
            Scalars, d loss / d outputs float32 [rows, out], d loss / d extra float32 [extra].
        """
        ...

    def imitation(self, outputs: Matrix, targets: Matrix) -> tuple[float, Matrix]:
        """How far *outputs* are from a teacher's *targets*, float32 [rows, out] both.

        Returns:
            The loss, a mean over rows, and its derivative float32 [rows, out].
        """
        ...


def head_of(rule: ActionRule, outputs: int) -> Head:
    """The distribution over the actions that *rule* makes of so many network outputs."""
    if rule.discrete:
        return Categorical(outputs)
    return Gaussian(*reach(rule))


def reach(rule: ActionRule) -> tuple[Vector, Vector]:
    """Least and largest outputs that make a difference to a continuous action, float32 [out]."""
    if rule.kind == "clip":
        return rule.low, rule.high
    if rule.kind == "clip_unscale":  # ±1 is mapped to the bounds
        return -np.ones_like(rule.low), np.ones_like(rule.high)
    return np.full_like(rule.low, -np.inf), np.full_like(rule.high, np.inf)


def _clipped(
    log_prob: Vector, old_log_prob: Vector, advantage: Vector, clip_range: float
) -> tuple[Vector, float, float, float]:
    """d loss / d log_prob of the clipped surrogate, its value, the KL and the clip fraction."""
    rows = len(log_prob)
    log_ratio = log_prob - old_log_prob
    ratio = np.exp(log_ratio)
    clipped = np.clip(ratio, np.float32(1 - clip_range), np.float32(1 + clip_range))
    clip_fraction = np.count_nonzero(clipped != ratio) / rows
    gain = ratio * advantage
    clipped *= advantage
    # Where the clipped branch is the smaller one, the minimum does not depend on the policy.
    weight = np.where(gain <= clipped, gain, 0)
    weight *= np.float32(-1 / rows)
    loss = -float(np.minimum(gain, clipped, out=clipped).sum()) / rows
    ratio -= 1
    ratio -= log_ratio
    return weight, loss, float(ratio.sum()) / rows, clip_fraction


class Categorical:
    """Discrete actions from logits."""

    def __init__(self, actions: int) -> None:
        self._actions = actions

    def noise(self, steps: int, environments: int, rng: np.random.Generator) -> NDArray[Any]:
        """Gumbel noise: the argmax of logits plus it is a sample of the softmax."""
        uniform = rng.random((steps, environments, self._actions), dtype=np.float32)
        # random() may return 0 exactly; its logarithm would be infinite.
        return -np.log(-np.log(np.maximum(uniform, np.float32(1e-10))) + np.float32(1e-10))

    def sample(self, outputs: Matrix, extra: Vector, noise: NDArray[Any]) -> NDArray[Any]:
        """Actions int64 [rows]."""
        return np.asarray((outputs + noise).argmax(axis=1))

    def log_prob(self, outputs: Matrix, extra: Vector, actions: NDArray[Any]) -> Vector:
        """Log-softmax at *actions*."""
        result: Vector = self._log_softmax(outputs)[actions, np.arange(len(actions))]
        return result

    @staticmethod
    def _log_softmax(outputs: Matrix) -> Matrix:
        # One row per action: reductions over few actions are then additions of long vectors.
        logits = outputs.T.copy()
        logits -= logits.max(axis=0)
        logits -= np.log(np.exp(logits).sum(axis=0))
        return logits

    def surrogate(
        self,
        outputs: Matrix,
        extra: Vector,
        actions: NDArray[Any],
        old_log_prob: Vector,
        advantage: Vector,
        *,
        clip_range: float,
        entropy_weight: float,
    ) -> tuple[Surrogate, Matrix, Vector]:
        """See `Head.surrogate`; d log p(a) / d logits is onehot(a) - p."""
        log_p = self._log_softmax(outputs)
        p = np.exp(log_p)
        rows = np.arange(len(actions))
        weight, loss, kl, clip_fraction = _clipped(
            log_p[actions, rows], old_log_prob, advantage, clip_range
        )
        d = p * -weight
        d[actions, rows] += weight
        entropy = -(p * log_p).sum(axis=0)
        if entropy_weight:
            # d entropy / d logits = -p (log p + entropy)
            log_p += entropy
            log_p *= p
            log_p *= np.float32(entropy_weight / len(actions))
            d += log_p
        scalars = Surrogate(loss, float(entropy.sum()) / len(actions), kl, clip_fraction)
        return scalars, np.ascontiguousarray(d.T), np.zeros(0, np.float32)

    def imitation(self, outputs: Matrix, targets: Matrix) -> tuple[float, Matrix]:
        """Cross-entropy with the teacher's probabilities; its derivative is p - targets."""
        log_p = self._log_softmax(outputs).T
        loss = -float((targets * log_p).sum()) / len(targets)
        d = np.exp(log_p) - targets
        d *= np.float32(1 / len(targets))
        return loss, np.ascontiguousarray(d)


class Gaussian:
    """Continuous actions around means, with one learnt log deviation per dimension.

    Args:
        low: float32 [dimensions], outputs under which the action stays the same; -inf for none.
        high: float32 [dimensions], outputs above which it does; +inf for none.
    """

    def __init__(self, low: Vector, high: Vector) -> None:
        self._dimensions = len(low)
        self._low, self._high = low, high

    def noise(self, steps: int, environments: int, rng: np.random.Generator) -> NDArray[Any]:
        """Standard normal numbers."""
        return rng.standard_normal((steps, environments, self._dimensions), dtype=np.float32)

    def sample(self, outputs: Matrix, extra: Vector, noise: NDArray[Any]) -> NDArray[Any]:
        """Actions float32 [rows, dimensions], unclipped."""
        return np.asarray(outputs + np.exp(extra) * noise)

    def log_prob(self, outputs: Matrix, extra: Vector, actions: NDArray[Any]) -> Vector:
        """Log-density of *actions* under the diagonal Gaussian."""
        z = (actions - outputs) * np.exp(-extra)
        return self._log_density(z, extra)

    def _log_density(self, z: Matrix, extra: Vector) -> Vector:
        constant = np.float32(float(extra.sum()) + 0.5 * self._dimensions * math.log(2 * math.pi))
        result: Vector = np.einsum("ij,ij->i", z, z)
        result *= np.float32(-0.5)
        result -= constant
        return result

    def surrogate(
        self,
        outputs: Matrix,
        extra: Vector,
        actions: NDArray[Any],
        old_log_prob: Vector,
        advantage: Vector,
        *,
        clip_range: float,
        entropy_weight: float,
    ) -> tuple[Surrogate, Matrix, Vector]:
        """See `Head.surrogate`; d log p / d mean = z / std, d log p / d log std = z² - 1."""
        inverse = np.exp(-extra)
        z = (actions - outputs) * inverse
        weight, loss, kl, clip_fraction = _clipped(
            self._log_density(z, extra), old_log_prob, advantage, clip_range
        )
        d_extra = weight @ (z * z) - weight.sum()
        d_extra -= np.float32(entropy_weight)  # the entropy grows by one with each log std
        z *= weight[:, None]
        z *= inverse
        entropy = float(extra.sum()) + 0.5 * self._dimensions * (1 + math.log(2 * math.pi))
        return Surrogate(loss, entropy, kl, clip_fraction), z, d_extra

    def act_alike(self, outputs: Matrix, targets: Matrix) -> NDArray[np.bool_]:
        """Where both are at or beyond the same bound, bool [rows, dimensions]."""
        above = (targets >= self._high) & (outputs > self._high)
        return np.asarray(above | ((targets <= self._low) & (outputs < self._low)))

    def imitation(self, outputs: Matrix, targets: Matrix) -> tuple[float, Matrix]:
        """Squared distance of the means, summed over dimensions; none where both act as the bound.

        Teachers saturate in up to two thirds of the states, where every mean beyond the bound is as
        good as theirs: a small network is not to spend units on how far beyond.
        """
        error = outputs - targets
        error[self.act_alike(outputs, targets)] = 0
        loss = float(np.einsum("ij,ij->", error, error)) / len(error)
        error *= np.float32(2 / len(error))
        return loss, error
