"""Whole studies in real processes, which are interrupted and killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dspctl.benchmarks.study.driver import run_study
from dspctl.benchmarks.study.engines.local import LocalEngine
from dspctl.benchmarks.study.folder import StudyFolder
from dspctl.benchmarks.study.plan import plan
from dspctl.benchmarks.study.progress import Outcome, Overview, Watcher
from dspctl.benchmarks.study.spec import load_spec
from dspctl.compactor import compact
from dspctl.trainer import evaluate, load_run
from tests.benchmarks.study.studies import small, written

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 60.0
# Long enough to be met at work, with a checkpoint every other iteration.
LONG: dict[str, Any] = {"steps": 40_960, "checkpoint_seconds": 0.05}


def start(study: Path, folder: Path) -> "subprocess.Popen[str]":
    words = ["study", str(study), "-o", str(folder), "--jobs", "1", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "dspctl", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def until(found: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + WAIT_S
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def steps_of(run: Path) -> int:
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines()[:-1] if path.is_file() else []
    return int(json.loads(lines[-1])["steps"]) if lines else 0


def resumed_at(run: Path) -> list[int]:
    """The steps at which processes went on with a run, as its event files are named."""
    names = [path.name for path in (run / "tensorboard").iterdir()]
    return sorted(int(name.rsplit(".from", 1)[1]) for name in names)


def test_a_cell_is_a_whole_run(tmp_path: Path) -> None:
    spec = small(methods=["dsp-kd"], seeds=[4])
    outcome = run_study(spec, tmp_path, lambda folder: LocalEngine(folder, jobs=1))
    assert outcome.failures == ()
    teacher, student = sorted(outcome.results.cells, key=lambda cell: cell.method != "ppo")
    assert student.teacher == teacher.key
    assert (teacher.sparsity, teacher.penalty, teacher.units) == (None, None, (16, 16))
    assert (student.sparsity, student.penalty) == (0.5, 1e-4)
    # What the run left says the same, by another way than the cell's.
    run = load_run(tmp_path / "cells" / student.key / "run")
    assert run.info["teacher"]["source"] == str(tmp_path / "cells" / teacher.key / "run")
    assert run.config.seed == 4
    masked = run.policy()
    assert student.returns == evaluate(masked.act, "CartPole-v1", episodes=5).returns
    counts = compact(masked, observations=run.observations()).after
    assert (student.units, student.weights, student.flops) == (
        counts.units,
        counts.weights,
        counts.flops,
    )
    assert student.original_weights == 4 * 16 + 16 * 16 + 16 * 2
    assert student.original_flops == 16 * 7 + 16 * 31 + 2 * 31
    assert student.curve.steps == (1024, 2048, 3072, 4096)
    assert student.machine in outcome.results.machines


def test_after_kill_9_and_after_ctrl_c_the_same_command_runs_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    # The first cell is soon finished; the run of the variant is met in the middle, twice.
    study = written(tmp_path / "study.toml", methods=["dsp"], seeds=[0])
    settings = ", ".join(f"{name} = {value}" for name, value in LONG.items())
    with study.open("a") as file:
        file.write(f'[[variants]]\nname = "long"\nsettings = {{ {settings} }}\n')
    short, long = plan(load_spec(study))
    run, record = folder / "cells" / long.key / "run", folder / "cells" / short.key / "cell.json"

    driver = start(study, folder)
    until(lambda: steps_of(run) > 6_000, driver)
    driver.kill()
    driver.communicate()
    first = record.read_bytes()
    killed_at = steps_of(run)

    driver = start(study, folder)
    until(lambda: len(resumed_at(run)) == 2 and steps_of(run) > 14_000, driver)
    driver.send_signal(signal.SIGINT)
    out, err = driver.communicate(timeout=WAIT_S)
    assert driver.returncode == 130, err
    assert json.loads(out)["stopped"]
    assert json.loads(out)["ran"] == []
    assert load_run(run).info["status"] == "interrupted"
    stopped_at = int(load_run(run).info["steps"])
    assert not (run.parent / "cell.json").exists()

    driver = start(study, folder)
    out, err = driver.communicate(timeout=WAIT_S)
    assert driver.returncode == 0, err
    assert json.loads(out)["ran"] == [long.key]
    assert record.read_bytes() == first
    begun, resumed, again = resumed_at(run)
    # From checkpoints: one of a worker that ended with its driver, and one that was asked for.
    assert begun == 0 < resumed <= killed_at + 10 * 1024
    assert again == stopped_at > 14_000
    results = json.loads((folder / "results.json").read_text())
    assert [cell["steps"] for cell in results["cells"]] == [40_960, 4096]


@pytest.mark.parametrize(
    ("number", "times", "said"),
    [
        (signal.SIGKILL, 1, "ended by SIGKILL, which the system sends when memory runs out"),
        (signal.SIGSEGV, 1, "ended by SIGSEGV (see "),
        (signal.SIGTERM, 1, "asked to end by somebody else"),
        (signal.SIGKILL, 2, "ended by SIGKILL"),
    ],
)
def test_a_lost_process_is_started_again_as_often_as_allowed(
    tmp_path: Path, number: int, times: int, said: str
) -> None:
    engines: list[LocalEngine] = []
    notes: list[str] = []
    left = times

    def make(folder: StudyFolder) -> LocalEngine:
        engines.append(LocalEngine(folder, jobs=1, retries=1))
        return engines[0]

    def end(overview: Overview) -> None:
        nonlocal left
        at_work = [one for one in overview.running if one.steps and "seed 0" in one.title]
        for process in engines[0].processes("seed0") if left and at_work else []:
            left -= 1
            os.kill(process, number)

    settings = {**(small().settings or {}), "hidden": [16, 16], "steps": 40_960}
    outcome: Outcome = run_study(
        small(settings=settings, seeds=[0] if times == 1 else [0, 1]),
        tmp_path,
        make,
        watcher=Watcher(on_overview=end, on_note=notes.append),
    )
    (note,) = notes
    assert "seed 0" in note
    assert said in note
    finished = [cell.seed for cell in outcome.results.cells]
    if times == 1:
        assert finished == [0]
        assert outcome.failures == ()
    else:
        assert finished == [1]  # the rest goes on
        (failure,) = outcome.failures
        assert said in failure.reason


def test_a_failing_cell_says_why_and_the_exit_code_too(tmp_path: Path) -> None:
    # A rate at which training diverges; the other variant trains.
    study = written(tmp_path / "study.toml", methods=["dsp"], seeds=[0])
    with study.open("a") as file:
        file.write('[[variants]]\nname = "hot"\nsettings = { learning_rate = 1e9 }\n')
    process = start(study, tmp_path / "s")
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1, err
    (failure,) = json.loads(out)["failures"]
    assert "hot" in failure["title"]
    assert "training diverged after step 0: the actor" in failure["reason"]
    assert len(json.loads(out)["ran"]) == 1
