"""Training runs and studies that are killed, or meet a bad disk.

Nothing is lost, and the same command goes on. ``make crashes`` does this some hundred times.
"""

from pathlib import Path

import pytest

from tests.crashes.chains import chain_of_disks, check_kills, jobs_in
from tests.crashes.disks import ALL, BadDisk
from tests.crashes.jobs import Job

NAMES = ["train", "study"]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    return jobs_in(tmp_path_factory.mktemp("references"), NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_kills_at_random_moments(jobs: dict[str, Job], name: str, tmp_path: Path) -> None:
    check_kills(jobs[name], 3, tmp_path)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        (name, how)
        if index % len(NAMES) == number
        else pytest.param(name, how, marks=pytest.mark.slow)
        for index, name in enumerate(NAMES)
        for number, how in enumerate(ALL)
    ],
    ids=str,
)
def test_a_disk_that_goes_bad(
    jobs: dict[str, Job], name: str, how: BadDisk, tmp_path: Path
) -> None:
    entry = chain_of_disks(jobs[name], how, 0, 0, tmp_path)
    if how.real and "only root may mount" in str(entry.get("error")):
        pytest.skip("only root may mount a file system")
    assert entry["ok"], entry
