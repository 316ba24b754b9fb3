"""Bundles with native code, exported once; read them, never write to them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from dspctl.exporter import Export, Progress, export
from dspctl.runtime import Policy
from tests.exporter.native.tools import needs
from tests.runtime.policies import make_policy, observations_of


@dataclass(frozen=True, eq=False)
class Exported:
    """A bundle, what it was made from, and what was reported meanwhile."""

    policy: Policy
    result: Export
    steps: tuple[Progress, ...]

    @property
    def path(self) -> Path:
        return self.result.path


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="session")
def discrete(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """For this machine, with recorded observations and a rate."""
    needs("cc")
    policy = make_policy(rule="argmax", masks=True, unread=1, bounded=True)
    steps: list[Progress] = []
    result = export(
        policy,
        "cpu",
        tmp_path_factory.mktemp("discrete") / "bundle",
        version="1.4",
        observations=observations_of(policy, 100),
        on_invalid="flag",
        safe_action=1,
        rate_hz=50,
        on_progress=steps.append,
    )
    return Exported(policy, result, tuple(steps))


@pytest.fixture(scope="session")
def continuous(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """For this machine, a Jetson and a microcontroller, with a name of its own."""
    needs("cc", "qemu-aarch64", "qemu-system-arm")
    pytest.importorskip("ziglang")
    policy = make_policy(rule="tanh_unscale", unread=0, on_invalid="hold")
    steps: list[Progress] = []
    result = export(
        policy,
        ["jetson-orin", "cpu", "cortex-m4", "cpu"],
        tmp_path_factory.mktemp("continuous") / "bundle",
        name="arm",
        on_progress=steps.append,
    )
    return Exported(policy, result, tuple(steps))
