"""Studies with made-up returns, for tests of what is made from them."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dspctl.benchmarks.study.record import CellResult, Curve, StudyResults

RANDOM = {"CartPole-v1": 20.0, "Hopper-v5": 20.0, "Pendulum-v1": -1200.0}


def cell(
    environment: str = "CartPole-v1",
    method: str = "dsp",
    seed: int = 0,
    returns: Sequence[float] = (500.0, 400.0),
    *,
    sparsity: float | None = 0.93,
    penalty: float | None = 1e-4,
    variant: str = "base",
    settings: Mapping[str, Any] | None = None,
    units: tuple[int, ...] = (9, 9),
) -> CellResult:
    """One cell; a policy of 4 inputs, two hidden layers and 2 outputs."""
    if method == "ppo":
        sparsity, penalty, units = None, None, (128, 128)
    sizes = (4, *units, 2)
    weights = sum(a * b for a, b in pairwise(sizes))
    flops = sum((2 * a - 1) * b for a, b in pairwise(sizes))
    settings = dict(settings or {})
    key = f"{environment}-{method}-{variant}-{sparsity}-{penalty}-{seed}-{settings}"
    steps = tuple(range(1000, 41_000, 1000))
    mean = float(np.mean(returns))
    share = np.clip((np.arange(40) - 4) / 16, 0, 1)
    left = [
        tuple(round(128 + (last - 128) * (1 - (1 - one) ** 3)) for last in units) for one in share
    ]
    return CellResult(
        key=key,
        environment=environment,
        method=method,
        variant=variant,
        sparsity=sparsity,
        penalty=penalty,
        seed=seed,
        settings=settings,
        returns=tuple(returns),
        units=units,
        original_units=(128, 128),
        weights=weights,
        nonzero_weights=weights - 3,
        original_weights=4 * 128 + 128 * 128 + 128 * 2,
        flops=flops,
        original_flops=7 * 128 + 255 * 128 + 255 * 2,
        steps=40_000,
        seconds=10.0 + seed,
        teacher="",
        curve=Curve(
            steps=steps,
            returns=(None, *(mean * (1 - 0.97**k) + seed for k in range(1, 40))),
            units=tuple(left),
            thresholds=tuple(None if not 0 < one < 1 else float(one) for one in share),
        ),
        machine="m",
    )


def study(cells: Sequence[CellResult], name: str = "made up") -> StudyResults:
    """A study of these cells."""
    ordered = tuple(sorted(cells, key=lambda one: one.key))
    machine = {"cpu": "test", "python": "3.11", "libraries": {"numpy": "2"}}
    return StudyResults(name=name, spec={"name": name}, machines={"m": machine}, cells=ordered)


def everything(seeds: int = 5) -> StudyResults:
    """Three environments, four methods, a sweep, lambdas and an ablation; Pendulum lacks some."""
    rng = np.random.default_rng(0)
    cells = []

    def add(environment: str, method: str, level: float, **more: Any) -> None:
        spread = {"CartPole-v1": 30.0, "Hopper-v5": 400.0, "Pendulum-v1": 25.0}[environment]
        for seed in range(seeds):
            base = level + spread * float(rng.normal())
            returns = np.minimum(base + spread * rng.normal(size=10), 3600)
            cells.append(cell(environment, method, seed, returns.tolist(), **more))

    tops = {"CartPole-v1": 490.0, "Hopper-v5": 3000.0, "Pendulum-v1": -150.0}
    for environment, top in tops.items():
        add(environment, "ppo", top)
        add(environment, "dsp", top - abs(top) * 0.2)
        if environment == "Pendulum-v1":
            continue
        add(environment, "dsp-kd", top * 0.97)
        for place, sparsity in enumerate((0.8, 0.9, 0.97, 0.99)):
            for method, loss in (("dsp", 0.25), ("dsp-kd", 0.08)):
                units = (max(1, round(128 * (1 - sparsity))),) * 2
                add(
                    *(environment, method, top * (1 - loss * place / 3)),
                    sparsity=sparsity,
                    units=units,
                    settings={"sparsity": sparsity},
                )
        for penalty in (1e-6, 1e-2):
            for sparsity in (0.8, 0.93):
                add(
                    *(environment, "dsp", top * (0.8 if penalty < 1e-3 else 0.4)),
                    sparsity=sparsity,
                    penalty=penalty,
                    settings={"penalty": penalty},
                )
        add(
            *(environment, "dsp", top * 0.6),
            variant="no folding",
            settings={"fold_means": False},
        )
        add(environment, "dense-small", top * 0.7, penalty=None)
        add(environment, "linear", top * 0.3, sparsity=None, penalty=None, units=())
    return study(cells)
