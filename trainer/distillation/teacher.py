"""The teacher: a policy whose outputs a student learns."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import TeacherMismatch
from dspctl.runtime import ActionRule, Policy, load_policy
from dspctl.trainer.environments import Task
from dspctl.trainer.ppo.heads import reach


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained policy that a student learns from.

    Attributes:
        policy: what it does, with masks if it was pruned.
        source: where it came from, as it was named.
    """

    policy: Policy
    source: str

    def targets(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a student's head should say about *raw* observations, float32 [rows, obs_dim].

        Returns:
            float32 [rows, out]: probabilities of discrete actions; means of continuous ones, at
            most the bound beyond which the action stays the same.
        """
        outputs = np.asarray(self.policy.outputs(raw), np.float32)
        rule = self.policy.action
        if rule.discrete:
            outputs = outputs - outputs.max(axis=1, keepdims=True)
            np.exp(outputs, out=outputs)
            outputs /= outputs.sum(axis=1, keepdims=True)
            return np.asarray(outputs)
        return np.asarray(np.clip(outputs, *reach(rule)))

    @property
    def sha256(self) -> str:
        """Of its numbers, so that a run says which teacher it had."""
        digest = hashlib.sha256()
        for layer in self.policy.layers:
            for part in (layer.weight, layer.bias, layer.mask):
                digest.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def open_teacher(source: Path, task: Task) -> Teacher:
    """The policy file, or the policy of a run folder, at *source*.

    Raises:
        TeacherMismatch: it was trained for other observations or actions than *task* has.
        RunNotFound, RunIncomplete, RunVersion: a folder without a policy.
        PolicyProblem: a file that is no policy.
    """
    policy = policy_of(source)
    if policy.environment != task.environment:
        raise TeacherMismatch(
            f"the teacher {source} was trained on {policy.environment}, the student is to learn "
            f"{task.environment}: name a run or policy of {task.environment}, or none and one is "
            "trained first"
        )
    rule, width = policy.action, policy.layers[-1].width
    if (
        policy.observation.size != task.observation.size
        or rule.discrete != task.discrete
        or width != task.outputs
        or not _same_range(rule, task)
    ):
        raise TeacherMismatch(
            f"the teacher {source} reads and acts otherwise than {task.environment} does now, "
            "which has changed since it was trained: train it again, or name none"
        )
    return Teacher(policy, str(source))


def policy_of(source: Path) -> Policy:
    """The policy file at *source*, or what the run in that folder delivered; raises as above."""
    from dspctl.trainer.runs.checkpoint import load_run

    try:
        is_run = source.is_dir()
    except OSError:
        is_run = False  # load_policy says why it cannot be looked at
    return load_run(source).policy() if is_run else load_policy(source)


def _same_range(rule: ActionRule, task: Task) -> bool:
    if rule.discrete:
        return rule.start == task.action.start
    return (
        rule.kind == task.action.kind
        and np.array_equal(rule.low, task.action.low)
        and np.array_equal(rule.high, task.action.high)
    )
