from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dspctl.benchmarks import load_result
from dspctl.cli.app import app
from tests.benchmarks.remote.board import HOST, Board

SHORT = [
    "--backend",
    "numpy",
    "--seconds",
    "0.1",
    "--no-memory",
    "--executions",
    "1",
    "--episodes",
    "3",
]


def bench(*words: Any) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["bench", *map(str, words), *SHORT])
    return done.exit_code, done.output


def test_returns_are_played_here_when_the_board_is_done(
    board: Board, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gymnasium")
    board.start()
    out = tmp_path / "bench.json"
    words = (bundle, "--host", HOST, "-o", out)

    def interrupt(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dspctl.benchmarks.measurement.measure_return", interrupt)
        assert bench(*words)[0] != 0
    # What the board measured is whole, and lacks the episodes alone.
    left = load_result(out)
    assert (left.status, left.returns, left.settings.request.episodes) == ("complete", (), 0)
    board.stop()  # it is not needed again
    code, printed = bench(*words)
    assert code == 0, printed
    whole = load_result(out)
    assert (whole.status, whole.settings.request.episodes) == ("complete", 3)
    assert len(whole.returns[0].returns) == 3
    assert whole.latency == left.latency
    code, printed = bench(*words)
    assert code == 2
    assert "--force" in printed


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", ""])
def test_a_host_that_would_be_an_option_is_refused(host: str, tmp_path: Path) -> None:
    code, printed = bench(tmp_path, "--host", host)
    assert code == 2
    assert "dspctl: " in printed


def test_a_run_is_not_a_bundle_for_a_board(tmp_path: Path) -> None:
    code, printed = bench(tmp_path, "--host", "board")
    assert code == 2
    assert "bundle" in printed
