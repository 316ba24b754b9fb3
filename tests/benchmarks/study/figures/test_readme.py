"""The README's table of returns is that of the stored study."""

import re
from pathlib import Path

import numpy as np
import pytest

from dspctl.benchmarks.study.record import load_results

ROOT = Path(__file__).resolve().parents[4]
ENVIRONMENTS = ("CartPole-v1", "LunarLander-v3", "Hopper-v5", "Walker2d-v5")


def means(method: str) -> list[float]:
    """Mean return over five seeds in every environment of the table."""
    stored = load_results(ROOT / "benchmarks" / "results" / "study" / "methods.json")
    found = []
    for environment in ENVIRONMENTS:
        cells = [
            one for one in stored.cells if (one.environment, one.method) == (environment, method)
        ]
        assert [one.seed for one in cells] == [0, 1, 2, 3, 4]
        found.append(float(np.mean([np.mean(one.returns) for one in cells])))
    return found


def figures(start: str) -> list[str]:
    """Figures of the README's row that starts so."""
    lines = (ROOT / "README.md").read_text().splitlines()
    (line,) = [one for one in lines if re.match(rf"\| {re.escape(start)}[,:].*\d \|", one)]
    return [one.strip() for one in line.split("|")[2:-1]]


@pytest.mark.parametrize("method", ["ppo", "dsp", "dsp-kd", "dense-small", "kd-small"])
def test_returns_are_those_of_the_study(method: str) -> None:
    assert figures(f"`{method}`") == [f"{one:.0f}" for one in means(method)]


def test_shares_are_of_the_teachers() -> None:
    kept = [100 * ours / theirs for ours, theirs in zip(means("dsp-kd"), means("ppo"), strict=True)]
    text = (ROOT / "README.md").read_text()
    assert f"| share kept | {' | '.join(f'{one:.0f}%' for one in kept)} |" in text
