"""One build per target, mode and policy for all tests of this folder."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from dspctl.exporter.native.build import NativeBuild, build_native
from dspctl.exporter.native.targets import resolve_targets
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import Guard, OnInvalid
from dspctl.runtime.reference.golden import Golden, golden_from_policy
from tests.exporter.native.tools import needs, run, write_files
from tests.runtime.policies import make_policy

NAME = "lander"


class Case(NamedTuple):
    """A policy with golden vectors, some of them invalid."""

    policy: Policy
    golden: Golden


def observations(policy: Policy, rows: int = 48) -> NDArray[np.float32]:
    """Valid rows, then rows with NaN, infinities and values out of range."""
    rng = np.random.default_rng(7)
    rows_ = rng.uniform(-1.5, 1.5, (rows, policy.observation.size)).astype(np.float32)
    first, last = policy.inputs[0], policy.inputs[-1]
    rows_[-6, first], rows_[-5, last], rows_[-4] = np.nan, np.inf, -np.inf
    rows_[-3, first], rows_[-2, last] = 100.0, -100.0
    rows_[-1, first], rows_[-1, last] = np.nan, 100.0
    return rows_


def make_case(kind: str) -> Case:
    """``discrete`` flags, ``held`` holds, ``continuous`` clamps, ``clipped`` flags."""
    rule, mode = _KINDS[kind]
    policy = make_policy(
        3, sizes=(8, 9, 9, 4), activation="relu", rule=rule, unread=1, scale=1.5, start=-2
    )
    size = policy.observation.size
    guard = Guard(
        low=np.full(size, -2, np.float32),
        high=np.full(size, 2, np.float32),
        safe_action=policy.guard.safe_action,
        on_invalid=mode,
    )
    policy = replace(policy, guard=guard)
    return Case(policy, golden_from_policy(policy, observations(policy)))


_KINDS: dict[str, tuple[str, OnInvalid]] = {
    "discrete": ("argmax", "flag"),
    "held": ("argmax", "hold"),
    "continuous": ("tanh_unscale", "clamp"),
    "clipped": ("clip", "flag"),
}

Run = Callable[..., "subprocess.CompletedProcess[str]"]
CaseOf = Callable[[str], Case]
Built = Callable[..., tuple[NativeBuild, Path]]


@pytest.fixture(scope="session")
def case() -> CaseOf:
    """The policies by kind, each made once."""
    return cache(make_case)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, case: CaseOf) -> Built:
    """A build, and the folder that holds its files: made on first use, then shared."""

    @cache
    def build(target: str, kind: str, strict: bool, command: bool) -> tuple[NativeBuild, Path]:
        needs(*(("gcc",) if target == "cpu" else ()))
        (resolved,) = resolve_targets([target])
        policy, golden = case(kind)
        made = build_native(policy, NAME, resolved, golden, strict=strict, command=command)
        folder = tmp_path_factory.mktemp(f"{target}-{kind}-{strict}")
        return made, write_files(folder, made.files, tuple(made.executables))

    def get(
        target: str, kind: str = "discrete", strict: bool = False, command: bool = True
    ) -> tuple[NativeBuild, Path]:
        return build(target, kind, strict, command)

    return get


@pytest.fixture(scope="session")
def policy(built: Built) -> Run:
    """Run a policy's command, as this machine's compiler built it."""

    def call(
        *words: str, kind: str = "discrete", text: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        _, folder = built("cpu", kind)
        return run(folder / "policy", *words, text=text)

    return call
