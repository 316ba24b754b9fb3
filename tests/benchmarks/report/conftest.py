from collections.abc import Iterator
from pathlib import Path

import pytest

from dspctl import compactor, trainer
from dspctl.runtime import load_policy, save_policy
from dspctl.runtime.files import sha256_of
from tests.benchmarks.report import results
from tests.benchmarks.report.browser import CHROMIUM, Browser, browser
from tests.exporter.native.tools import needs

pytest.importorskip("altair")
pytest.importorskip("vl_convert")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two runs trained for a second each; read them, never write to them."""
    home = tmp_path_factory.mktemp("runs")
    for method in ("ppo", "dsp"):
        config = trainer.recipe(
            "CartPole-v1", method=method, steps=8192, threads=1, hidden=(24, 24), sparsity=0.75
        )
        trainer.train(config, home / method)
    return {method: home / method for method in ("ppo", "dsp")}


@pytest.fixture(scope="session")
def policies(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two runs, compacted."""
    home = tmp_path_factory.mktemp("policies")
    return {
        method: save_policy(
            compactor.compact(load_policy(run / "policy.safetensors"), observations=None).policy,
            home / f"{method}.safetensors",
        )
        for method, run in runs.items()
    }


@pytest.fixture(scope="session")
def bench(policies: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result of these two policies, all quantities filled, samples beside it."""
    one = results.result(environment="CartPole-v1", sha256=tuple(map(sha256_of, policies.values())))
    return results.write(one, tmp_path_factory.mktemp("bench") / "bench.json")


@pytest.fixture(scope="session")
def page(
    bench: Path,
    runs: dict[str, Path],
    policies: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The page of everything."""
    from dspctl.benchmarks.report.build import write_report

    out = tmp_path_factory.mktemp("page") / "report.html"
    return write_report([bench, *runs.values(), *policies.values()], out).path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each opens the page it needs."""
    needs(CHROMIUM)
    with browser() as found:
        yield found
