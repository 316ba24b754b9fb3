"""Generated C as Python functions, compiled by the system compiler under the strictest warnings."""

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dspctl.exporter.c import CSource, c_from_policy
from dspctl.exporter.native.targets import NATIVE_TARGETS, NativeTarget
from dspctl.runtime import Policy
from dspctl.runtime.machine import this_machine
from dspctl.runtime.policy.guard import Guard

WARNINGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
UNTOUCHED = 77
"""What an action buffer holds before a call."""


@dataclass(frozen=True)
class Compiled:
    """One policy's functions."""

    policy: Policy
    source: CSource
    library: ctypes.CDLL

    def act(self, observation: NDArray[np.float32]) -> tuple[int, NDArray[Any]]:
        """Status and action; entries that were not written hold `UNTOUCHED`."""
        action = self._buffer(1)[0]
        status = self._call("act", observation, action)
        return status, action

    def outputs(self, observation: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]]:
        """Status and network outputs."""
        outputs = np.full(self.policy.layers[-1].width, UNTOUCHED, np.float32)
        name = "logits" if self.policy.action.discrete else "mean"
        status = self._call(name, observation, outputs)
        return status, outputs

    def act_batch(
        self, observations: NDArray[np.float32]
    ) -> tuple[int, NDArray[np.uint8], NDArray[Any]]:
        """Combined status, a status each, and the actions [n, action_size]."""
        rows = np.ascontiguousarray(observations, np.float32)
        actions = self._buffer(len(rows))
        statuses = np.full(len(rows), UNTOUCHED, np.uint8)
        function = self.library[f"{self.source.name}_act_batch"]
        combined = function(
            ctypes.c_void_p(rows.ctypes.data),
            ctypes.c_void_p(actions.ctypes.data),
            ctypes.c_void_p(statuses.ctypes.data),
            ctypes.c_size_t(len(rows)),
        )
        return combined, statuses, actions

    def _buffer(self, rows: int) -> NDArray[Any]:
        if self.policy.action.discrete:
            return np.full((rows, 1), UNTOUCHED, np.int32)
        return np.full((rows, self.policy.action.low.size), UNTOUCHED, np.float32)

    def _call(self, name: str, observation: NDArray[np.float32], result: NDArray[Any]) -> int:
        row = np.ascontiguousarray(observation, np.float32)
        function = self.library[f"{self.source.name}_{name}"]
        status: int = function(
            ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(result.ctypes.data)
        )
        return status


def scalar_and_runnable() -> list[NativeTarget]:
    """Scalar code, which any compiler takes, and every vector target that this machine runs."""
    machine = this_machine()
    native = [
        target
        for target in NATIVE_TARGETS.values()
        if target.hosted and machine.runs(target.architecture, target.requires)
    ]
    return [NATIVE_TARGETS["cortex-m7"], *native]


def compile_all(
    policies: Sequence[Policy],
    target: NativeTarget,
    folder: Path,
    *,
    strict: bool = False,
    optimise: str = "-O2",
) -> list[Compiled]:
    """Compile every policy for *target* with the system compiler into one library."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.fail("no C compiler: install gcc")
    sources = [
        c_from_policy(policy, f"net_{index}", target, strict=strict)
        for index, policy in enumerate(policies)
    ]
    for source in sources:
        (folder / f"{source.name}.h").write_text(source.header)
        (folder / f"{source.name}.c").write_text(source.source)
    library = folder / "nets.so"
    command = [compiler, *WARNINGS, optimise, *(target.system_flags if target.hosted else ())]
    command += [f"-ffp-contract={'off' if strict else 'fast'}", "-shared", "-fPIC", "-nostdlib"]
    command += ["-o", str(library), *(f"{source.name}.c" for source in sources)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    opened = ctypes.CDLL(str(library))
    return [
        Compiled(policy, source, opened) for policy, source in zip(policies, sources, strict=True)
    ]


def guarded(policy: Policy, mode: Any, low: float = -2.0, high: float = 2.0) -> Policy:
    """*policy* with features valid between *low* and *high*, but the last one unbounded."""
    from dataclasses import replace

    size = policy.observation.size
    lows, highs = np.full(size, low, np.float32), np.full(size, high, np.float32)
    most = np.finfo(np.float32).max
    lows[-1], highs[-1] = -most, most
    return replace(policy, guard=Guard(lows, highs, policy.guard.safe_action, mode))


def awkward_observations(policy: Policy, rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Ordinary values mixed with NaN, infinities, range ends and values just beyond them."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows, policy.observation.size)).astype(np.float32)
    beyond = np.nextafter(np.float32(2), np.float32(3))
    special = np.array([np.nan, np.inf, -np.inf, 2, -2, beyond, -beyond, 0, 1e-40], np.float32)
    spoiled = rng.random(values.shape) < 0.1
    return np.where(spoiled, rng.choice(special, values.shape), values).astype(np.float32)


def shapes() -> list[dict[str, Any]]:
    """Arguments of ``make_policy`` that reach every template and every layout."""
    rules = ["argmax", "clip", "clip_unscale", "tanh_unscale"]
    sizes = [(8, 9, 9, 4), (5, 20, 3), (3, 40, 33, 2), (40, 2), (1, 1), (4, 64, 2, 64, 2)]
    cases = [
        {"sizes": size, "rule": rule, "activation": activation, "unread": index % 3}
        for index, (size, (rule, activation)) in enumerate(
            (sizes[number % len(sizes)], pair)
            for number, pair in enumerate(product(rules, ["tanh", "relu", "identity"]))
        )
    ]
    return [
        *cases,
        {"sizes": (8, 128, 128, 4), "activation": "tanh"},
        {"sizes": (100, 2), "normalizer": False},
        {"sizes": (7, 12, 5), "bias": False, "masks": True, "clip": None},
        {"sizes": (6, 300, 3), "activation": "relu", "start": -3},
        {"sizes": (30, 56, 3), "unread": 20},
        {"sizes": (6, 3, 4), "unread": 2, "normalizer": False},
        {"sizes": (3, 5, 4), "unread": 30},
    ]
