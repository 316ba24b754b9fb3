from collections.abc import Iterator
from pathlib import Path

import pytest

from dspctl.exporter import export
from tests.benchmarks.networks import network
from tests.benchmarks.remote.board import SSHD, Board
from tests.exporter.native.tools import needs


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A board that is not started yet, and the client that reaches it."""
    needs("ssh", "ssh-keygen", SSHD)
    made = Board(tmp_path / "board")
    monkeypatch.setenv("DSPCTL_SSH", str(made.client))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle with native code for this machine."""
    needs("gcc")
    folder = tmp_path_factory.mktemp("bundles") / "small"
    export(network((4, 5, 2)), "cpu", folder)
    return folder
