"""Blocks of calls, taken in turns: C timed from inside C, Python from inside Python."""

import ctypes
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from dspctl.benchmarks.native.contenders import (
    compile_contender,
    compile_race,
    dspctl_fast,
    dspctl_strict,
    emx,
    recommended,
    shipped,
    this_target,
)
from dspctl.benchmarks.stats import percentile
from dspctl.runtime.policy import Policy

BLOCK_NS = 200_000
"""Length of a block of C calls."""

PYTHON_CALLS = 50

OURS, STRICT, EMX = "C, fast, gcc", "C, strict, gcc", "emx-onnx-cgen, gcc"
ORT, NATIVE = "ONNX Runtime run, Python", "native runner, Python"


@dataclass(frozen=True)
class Timing:
    """One contender on one policy: nanoseconds per call over the rounds.

    Attributes:
        policy: which network.
        contender: what ran it.
        p50_ns: median over the blocks.
        min_ns: fastest block.
        blocks_ns: mean of every block.
    """

    policy: str
    contender: str
    p50_ns: float
    min_ns: float
    blocks_ns: list[float]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values; of the blocks, what nine in ten did not exceed."""
        return {
            "policy": self.policy,
            "contender": self.contender,
            "min_ns": self.min_ns,
            "p50_ns": self.p50_ns,
            "p90_ns": percentile(np.array(self.blocks_ns), 0.9),
        }


Block = Callable[[], float]
"""Runs one block and returns nanoseconds per call."""


def c_block(race: Any, library: Path, observations: NDArray[np.float32]) -> Block:
    """Blocks of calls to a contender's C function."""
    function = ctypes.CDLL(str(library)).contender
    action = (ctypes.c_double * 512)()
    rows, size = observations.shape

    def run(calls: int) -> float:
        spent: int = race.race(
            function,
            ctypes.c_void_p(observations.ctypes.data),
            ctypes.c_size_t(rows),
            ctypes.c_size_t(size),
            ctypes.c_int64(calls),
            action,
        )
        return spent / calls

    run(1000)
    calls = max(64, round(BLOCK_NS / max(1.0, run(1000))))
    return lambda: run(calls)


def python_block(call: Callable[[Any], object], observations: list[Any]) -> Block:
    """Blocks of calls from Python; the loop itself costs some 20 ns per call."""
    cycled = (observations * (PYTHON_CALLS // len(observations) + 1))[:PYTHON_CALLS]

    def run() -> float:
        start = perf_counter_ns()
        for observation in cycled:
            call(observation)
        return (perf_counter_ns() - start) / PYTHON_CALLS

    for _ in range(20):
        run()
    return run


def contenders(
    policy: Policy, observations: NDArray[np.float32], race: Any, folder: Path
) -> dict[str, Block]:
    """Label → blocks, for everything that runs *policy* here."""
    target = this_target()
    compiled = {
        OURS: (dspctl_fast, shipped(target)),
        STRICT: (dspctl_strict, shipped(target, strict=True)),
        "C, fast, zig cc": (dspctl_fast, shipped(target, family="zig")),
        EMX: (emx, recommended()),
    }
    found: dict[str, Block] = {}
    for index, (label, (generate, compiler)) in enumerate(compiled.items()):
        place = folder / str(index)
        place.mkdir(parents=True)
        library = compile_contender(generate, policy, compiler, place)
        found[label] = c_block(race, library, observations)
    return {**found, **_python(policy, observations, folder)}


def _python(policy: Policy, observations: NDArray[np.float32], folder: Path) -> dict[str, Block]:
    import onnxruntime as ort

    from dspctl.exporter import export
    from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy
    from dspctl.runtime import load

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = bytes_from_model(onnx_from_policy(policy, guard=False))
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = [{"observation": row[None]} for row in observations]
    export(policy, "cpu", folder / "bundle")
    native = load(folder / "bundle", "native")
    binding = load(folder / "bundle", "onnxruntime")
    rows = list(observations)
    return {
        ORT: python_block(lambda feed: session.run(None, feed), feeds),
        NATIVE: python_block(native, rows),
        "onnxruntime runner, Python": python_block(binding, rows),
    }


def measure_all(
    policies: dict[str, tuple[Policy, NDArray[np.float32]]], rounds: int, console: Console
) -> list[Timing]:
    """Every contender on every policy; one round holds one block of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        race = ctypes.CDLL(str(compile_race(folder)))
        race.race.restype = ctypes.c_int64
        blocks: dict[tuple[str, str], Block] = {}
        for label, (policy, observations) in policies.items():
            for contender, block in contenders(
                policy, observations, race, folder / label.replace("/", "_")
            ).items():
                blocks[label, contender] = block
        spent: dict[tuple[str, str], list[float]] = {key: [] for key in blocks}
        for turn in track(range(rounds), "rounds", console=console):
            keys = list(blocks) if turn % 2 == 0 else list(reversed(blocks))
            for key in keys:
                spent[key].append(round(blocks[key](), 2))
    return [
        Timing(*key, percentile(np.array(each), 0.5), min(each), each)
        for key, each in spent.items()
    ]
