"""Kills of ``dspctl train`` and ``dspctl study``."""

import fcntl
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from dspctl.benchmarks.study.cell import read_cell
from dspctl.benchmarks.study.record import CellResult, load_results
from dspctl.runtime import load_policy
from dspctl.runtime.locks import LOCK
from dspctl.trainer import load_run
from dspctl.trainer.environments import describe
from dspctl.trainer.runs import checkpoint_file
from dspctl.trainer.runs.checkpoint import RunFolder
from tests.crashes.jobs import Case, Job, contents, hold
from tests.trainer.outcomes import assert_same

_SMALL = {
    "--steps": "3072", "--environments": "4", "--rollout-steps": "64", "--hidden": "16-16",
    "--vector-backend": "gymnasium", "--checkpoint-seconds": "0.05", "--trials": "3",
    "--threads": "1", "--method": "dsp", "--sparsity": "0.5",
}  # fmt: skip
_EPISODES = ["--episodes", "3", "--json"]
_GONE_S = 10.0

_STUDY = """
name = "small"
environments = ["CartPole-v1"]
sparsities = [0.5]
episodes = 3
methods = ["dsp"]
seeds = {seeds}
[settings]
steps = 2048
environments = 4
rollout_steps = 128
hidden = [16, 16]
vector_backend = "gymnasium"
checkpoint_seconds = 0.05
trials = 2
"""


def check_run(run: Path) -> int:
    """Every file of a run can be read; returns the steps of its last checkpoint."""
    if not (run / "config.json").exists():
        return -1  # it never began, and begins again
    opened = load_run(run)
    opened.metrics()
    for path in (run / "candidates").glob("*.safetensors"):
        load_policy(path)
    if (run / "policy.safetensors").exists():
        opened.policy()
        opened.observations()
    if not checkpoint_file.exists(run):
        hold(not opened.finished, f"{run} is finished without a checkpoint")
        return 0
    found = checkpoint_file.read_newest(run, lambda parts: parts)
    hold(not found.damaged, f"a checkpoint is damaged: {found.damaged}")
    steps = RunFolder.reopen(run, {}).load_state(describe(opened.config.environment)).steps
    if opened.finished:
        opened.policy()
        hold(steps == int(opened.info["steps"]), "the checkpoint is not of the end")
    return steps


def check_no_temporaries(folder: Path) -> None:
    """The command that goes on has removed what was half-written."""
    left = [str(path) for path in folder.rglob(".*.tmp*")]
    hold(not left, f"half-written files are still there: {left}")


class TrainJob(Job):
    """A run, new or with ``--force`` over a finished one; gone on with by ``--resume``."""

    name = "train"

    def needed(self) -> None:
        return

    def _new(self, place: Path, seed: int) -> list[str]:
        settings = [word for pair in _SMALL.items() for word in pair]
        run = ["-o", str(place / "run"), "--seed", str(seed)]
        return ["train", "CartPole-v1", *settings, *run, *_EPISODES]

    def older(self, place: Path) -> None:
        self.finish(self._new(place, 1), place)

    def words(self, case: Case) -> list[str] | None:
        run = case.place / "run"
        new = [*self._new(case.place, 0), *(["--force"] if case.replaces else [])]
        if not (run / "config.json").exists():
            return new
        opened = load_run(run)
        if opened.config.seed == 1:
            return new
        return None if opened.finished else ["train", "--resume", str(run), *_EPISODES]

    def check_left(self, case: Case) -> str:
        run = case.place / "run"
        steps = check_run(run)
        if steps >= 0 and load_run(run).config.seed == 1:
            older = contents(self.reference_of_older / "run")
            left = contents(run)
            left[LOCK] = older[LOCK]  # says who held it last
            same = {name: left.get(name) for name in older} == older
            hold(same, "the finished run was changed and is still called finished")
            return "the older run"
        hold(steps >= case.known.get("steps", -1), f"steps went back to {steps}")
        case.known["steps"] = steps
        return f"step {steps}"

    def check_done(self, case: Case) -> None:
        check_run(case.place / "run")
        assert_same(case.place / "run", self.reference / "run")
        check_no_temporaries(case.place / "run")


class StudyJob(Job):
    """A study of two cells; every other time one is finished and the file was extended."""

    name = "study"

    def needed(self) -> None:
        for name, seeds in (("study", "[0, 1]"), ("half", "[0]")):
            (self.folder / f"{name}.toml").write_text(_STUDY.format(seeds=seeds))

    def _words(self, file: str, place: Path) -> list[str]:
        study = str(self.folder / f"{file}.toml")
        return ["study", study, "-o", str(place / "study"), "--jobs", "1", "--json"]

    def older(self, place: Path) -> None:
        self.finish(self._words("half", place), place)

    def words(self, case: Case) -> list[str] | None:
        return self._words("study", case.place)

    def check_left(self, case: Case) -> str:
        folder = case.place / "study"
        if not folder.exists():
            return "nothing"
        _until_alone(folder)
        records: dict[str, bytes] = case.known.setdefault("records", {})
        for name, data in records.items():
            found = folder / name
            hold(found.exists() and found.read_bytes() == data, f"{name} was changed or lost")
        for path in sorted(folder.glob("cells/*/cell.json")):
            read_cell(path)
            records[path.relative_to(folder).as_posix()] = path.read_bytes()
        if case.replaces:
            hold(records, "the cell that was finished is gone")
        for run in folder.glob("cells/*/run"):
            check_run(run)
        cells = self._check_results(folder)
        hold(cells >= case.known.get("cells", 0), "results.json has fewer cells than before")
        case.known["cells"] = cells
        return f"{len(records)} cells, {cells} of them in results.json"

    def _check_results(self, folder: Path) -> int:
        if (folder / "results.sqlite").exists():
            with closing(sqlite3.connect(folder / "results.sqlite")) as tables:
                (answer,) = tables.execute("pragma integrity_check").fetchone()
                hold(answer == "ok", f"results.sqlite: {answer}")
                tables.execute("select count(*) from cells").fetchone()
        if not (folder / "results.json").exists():
            return 0
        return len(load_results(folder / "results.json").cells)

    def check_done(self, case: Case) -> None:
        self.check_left(case)
        folder, whole = case.place / "study", self.reference / "study"
        here, there = (load_results(one / "results.json").cells for one in (folder, whole))
        hold([_same(cell) for cell in here] == [_same(cell) for cell in there], "other results")
        for cell in there:
            assert_same(folder / "cells" / cell.key / "run", whole / "cells" / cell.key / "run")
        check_no_temporaries(folder)


def _same(cell: CellResult) -> dict[str, object]:
    return {name: value for name, value in vars(cell).items() if name != "seconds"}


def _until_alone(folder: Path) -> None:
    """Wait for the processes of a study that was killed, which end by themselves."""
    if not (folder / LOCK).exists():
        return
    deadline = time.monotonic() + _GONE_S
    with (folder / LOCK).open("rb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                hold(time.monotonic() < deadline, "processes of the killed study are at work")
                time.sleep(0.02)
