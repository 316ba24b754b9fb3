"""Runs that last longer, or are stopped more often, than what reads them takes at once."""

import json
import shutil
from pathlib import Path

import pytest

from dspctl.errors import RunIncomplete
from dspctl.trainer import load_run, train
from dspctl.trainer.runs import reading
from dspctl.trainer.runs.checkpoint import RunFolder
from tests.trainer.outcomes import assert_same
from tests.trainer.tiny import tiny

CONFIG = tiny(steps=4_096)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(CONFIG, tmp_path_factory.mktemp("whole") / "run").run


def stopped(run: Path, iterations: int) -> Path:
    calls = iter([False] * (iterations - 1) + [True])
    train(CONFIG, run, should_stop=lambda: next(calls))
    return run


def test_more_records_than_are_read(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(tmp_path / "run", 2)
    with (run / "metrics.jsonl").open("a") as file:  # of a process that was killed later
        file.writelines((whole / "metrics.jsonl").read_text().splitlines(keepends=True)[2:3])
        file.write('{"iteration": 4, "st')
    with monkeypatch.context() as patch:
        patch.setattr(reading, "_METRICS_BYTES", 100)
        with pytest.raises(RunIncomplete, match="tensorboard --logdir"):
            load_run(run).metrics()
        assert train(CONFIG, run, resume=True).finished
    assert_same(run, whole)


@pytest.mark.parametrize("iteration", [0, 2, 4, 9])
def test_records_are_cut_after_a_checkpoint(tmp_path: Path, whole: Path, iteration: int) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    folder = RunFolder.reopen(run, {})
    folder.cut_metrics(iteration)
    assert (run / "metrics.jsonl").read_bytes() == b"".join(lines[:iteration])
    (run / "metrics.jsonl").write_bytes(b"".join([*lines[:2], b"[]\n", *lines[2:]]))
    with pytest.raises(RunIncomplete, match="damaged in line 3"):
        folder.cut_metrics(max(iteration, 2))
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to(whole / "metrics.jsonl")
    with pytest.raises(RunIncomplete, match="a link"):
        folder.cut_metrics(iteration)


def test_more_resumptions_than_are_read(tmp_path: Path) -> None:
    run = stopped(tmp_path / "run", 2)
    info = json.loads((run / "run.json").read_text())
    info["resumptions"] = [{"steps": n, "environments": "restored"} for n in range(1_000)]
    (run / "run.json").write_text(json.dumps(info))
    assert train(CONFIG, run, resume=True).finished
    kept = load_run(run).info["resumptions"]
    assert [one["steps"] for one in kept] == [*range(1, 1_000), 2_048]
