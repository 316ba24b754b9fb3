"""Chains of kills: one output, killed again and again, and then made to the end.

A chain is decided by the seed and its number alone, but for what the clock decides.
"""

import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.crashes.bundles import BenchJob, ExportJob
from tests.crashes.commands import Ended, Strike, run
from tests.crashes.disks import ALL, BadDisk, bad_disk
from tests.crashes.jobs import Broken, Job, hold
from tests.crashes.runs import StudyJob, TrainJob

JOBS = {job.name: job for job in (TrainJob, StudyJob, ExportJob, BenchJob)}
_ANOTHER = 0.7
"""Chance that a command which goes on after a kill is killed as well."""
_TRIES = 20
_EXIT_ERROR = 2
_EXIT_FAILED_CELLS = 1
_ADVICE = ("free ", "repeat ", "choose ", "make ", "go on with ")

Entry = dict[str, Any]
Report = Callable[[Entry], None]


def jobs_in(folder: Path, names: list[str]) -> dict[str, Job]:
    """The jobs, with all that they compare with, which is made once."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs: dict[str, Job] = {}
    for name in names:
        jobs[name] = JOBS[name](folder)
        jobs[name].needed()
    return jobs


def moment(job: Job, rng: Random) -> Strike:
    """When a kill comes: anywhere, early, late, or right before something is done to the disk."""
    whole = job.measured
    kind = rng.random()
    if kind < 0.4:
        return Strike("kill", operation=rng.randint(1, whole.operations))
    low, high = (0.0, 0.15) if kind < 0.5 else (0.8, 1.1) if kind < 0.65 else (0.0, 1.05)
    return Strike("kill", after_s=rng.uniform(low, high) * whole.seconds)


def chain_of_kills(job: Job, number: int, seed: int, folder: Path) -> Iterator[Entry]:
    """Kill a command, check what is left, and repeat; then let it come to its end.

    Yields an entry for every kill, and one for the end. The folder stays if a promise was broken.
    """
    rng = Random(f"{seed} {job.name} {number}")
    work = folder / f"{job.name}-{number:04d}"
    shutil.rmtree(work, ignore_errors=True)
    case = job.begin(work / "place", rng)
    begun = "an older one" if case.replaces else "nothing"
    entry: Entry = {"chain": number, "job": job.name, "before": begun}
    kills = 0
    try:
        for turn in range(_TRIES):
            words = job.words(case)
            if words is None:
                break
            strike = moment(job, rng) if turn == 0 or rng.random() < _ANOTHER else None
            ended = run(words, case.place, work / "temporary", strike)
            if not ended.killed:
                expected = case.known.get("code", 0)
                hold(ended.code == expected, f"exit code {ended.code}: {ended.stderr[-2000:]}")
                break
            kills += 1
            entry = {**entry, "kill": kills, "moment": str(strike), "met": True}
            entry["left"] = job.check_left(case)
            yield {**entry, "ok": True}
        entry = {"chain": number, "job": job.name, "before": begun, "kills": kills}
        job.check_done(case)
    except Exception as error:
        yield {**entry, "ok": False, "error": _words(error), "folder": str(work)}
        return
    shutil.rmtree(work)
    yield {**entry, "ended": True, "ok": True}


def check_kills(job: Job, kills: int, folder: Path) -> None:
    """Kill a job so often at least, in as many chains as that takes."""
    met = number = 0
    while met < kills:
        number += 1
        for entry in chain_of_kills(job, number, 0, folder):
            hold(entry["ok"], str(entry))
            met += "kill" in entry


def disk_cases(names: list[str]) -> list[Any]:
    """Parameters of a test: every command with every bad disk, most of them marked slow."""
    return [
        (name, how)
        if index % len(names) == number
        else pytest.param(name, how, marks=pytest.mark.slow)
        for index, name in enumerate(names)
        for number, how in enumerate(ALL)
    ]


def check_disk(job: Job, how: BadDisk, folder: Path) -> None:
    """One command on a disk that goes bad; skips where the machine does not allow a real one."""
    entry = chain_of_disks(job, how, 0, 0, folder)
    if how.real and "only root may mount" in str(entry.get("error")):
        pytest.skip("only root may mount a file system")
    assert entry["ok"], entry


def chain_of_disks(job: Job, how: BadDisk, number: int, seed: int, folder: Path) -> Entry:
    """A disk that fills up or turns read-only on the way: a sentence, nothing lost, and after it
    has been seen to the same command comes to its end."""
    rng = Random(f"{seed} {job.name} {how.name} {number}")
    work = folder / f"{job.name}-{how.name}-{number:04d}"
    shutil.rmtree(work, ignore_errors=True)
    entry: Entry = {"chain": number, "job": job.name, "disk": how.name}
    try:
        with bad_disk(how, work / "place") as disk:
            case = job.begin(work / "place", rng)
            words = job.words(case)
            assert words is not None
            entry["before"] = "an older one" if case.replaces else "nothing"
            entry["moment"], ended = disk.run(job, words, work / "temporary", rng)
            entry["code"] = ended.code
            entry["met"] = ended.code != 0
            if ended.code != 0:
                _check_sentence(job, ended)
                entry["said"] = ended.stderr.strip().splitlines()[-1]
            entry["left"] = job.check_left(case)
            disk.mend()
            words = job.words(case)
            if words is not None:
                again = run(words, case.place, work / "temporary")
                expected = case.known.get("code", 0)
                hold(again.code == expected, f"exit code {again.code}: {again.stderr[-2000:]}")
            job.check_done(case)
    except Exception as error:
        return {**entry, "ok": False, "error": _words(error), "folder": str(work)}
    shutil.rmtree(work)
    return {**entry, "ended": True, "ok": True}


def _check_sentence(job: Job, ended: Ended) -> None:
    """Exit code 2 and a sentence that says what to do; a study may have listed cells instead."""
    hold("Traceback" not in ended.stderr, f"a traceback: {ended.stderr[-3000:]}")
    allowed = {_EXIT_ERROR} | ({_EXIT_FAILED_CELLS} if job.name == "study" else set())
    hold(ended.code in allowed, f"exit code {ended.code}: {ended.stderr[-2000:]}")
    if ended.code == _EXIT_ERROR:
        last = ended.stderr.strip().splitlines()[-1]
        hold(last.startswith("dspctl: "), f"no sentence: {last}")
        hold(any(word in last for word in _ADVICE), f"no advice: {last}")


def _words(error: Exception) -> str:
    if isinstance(error, Broken):
        return str(error)
    return "".join(traceback.format_exception(error))[-3000:]
