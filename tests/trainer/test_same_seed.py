"""The same seed twice, for every method, where simulators are not classic control."""

from pathlib import Path

import pytest

from dspctl.trainer import METHODS
from dspctl.trainer.environments.older import envpool_has
from tests.trainer.same_seed import BACKENDS, ENVIRONMENTS, pair, teacher_of

FEW, MORE = 5_120, 20_480


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def teachers(folder: Path) -> dict[str, Path]:
    return {one: teacher_of(one, FEW, folder) for one in ENVIRONMENTS}


def check(
    environment: str, method: str, backend: str, steps: int, teachers: dict[str, Path], folder: Path
) -> None:
    if backend == "envpool" and not envpool_has(environment):
        pytest.skip("EnvPool is not installed, or has no such task")
    teacher = teachers[environment]
    found = pair(environment, method, backend, steps, teacher, folder / str(steps))
    assert found.one == found.other


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_seed_gives_the_same_hash(
    environment: str, backend: str, teachers: dict[str, Path], folder: Path
) -> None:
    check(environment, "dsp", backend, FEW, teachers, folder)


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", METHODS)
def test_of_every_method(
    environment: str, backend: str, method: str, teachers: dict[str, Path], folder: Path
) -> None:
    check(environment, method, backend, MORE, teachers, folder)
