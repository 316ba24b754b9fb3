"""Bundles and benchmark results that are killed, or meet a bad disk.

Nothing is lost, and the same command goes on. ``make crashes`` does this some hundred times.
"""

from pathlib import Path

import pytest

from tests.crashes.chains import check_disk, check_kills, disk_cases, jobs_in
from tests.crashes.disks import BadDisk
from tests.crashes.jobs import Job

NAMES = ["export", "bench"]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    return jobs_in(tmp_path_factory.mktemp("references"), NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_kills_at_random_moments(jobs: dict[str, Job], name: str, tmp_path: Path) -> None:
    check_kills(jobs[name], 3, tmp_path)


@pytest.mark.parametrize(("name", "how"), disk_cases(NAMES), ids=str)
def test_a_disk_that_goes_bad(
    jobs: dict[str, Job], name: str, how: BadDisk, tmp_path: Path
) -> None:
    check_disk(jobs[name], how, tmp_path)
