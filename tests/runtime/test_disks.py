"""What a program could not do because of a disk."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from dspctl.errors import WriteFailed
from dspctl.runtime.disks import check_disk


class Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(
    "said",
    [
        "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device",
        "policy bench: could not write /t/samples (No space left on device): free some space",
        "/usr/bin/ld: final link failed: No space left on device",
        "OSError: [Errno 30] Read-only file system: '/t/x'",
        "cc1: Disk quota exceeded",
    ],
)
def test_a_disk_that_is_named(said: str) -> None:
    with pytest.raises(WriteFailed, match=r"could not write to .* \(.*TMPDIR") as caught:
        check_disk(said)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_disk_that_is_not_named_and_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "collect2: error: ld returned 1 exit status"
    check_disk(said)
    check_disk(said, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage((4 << 20) - 1))
    check_disk(said)
    with pytest.raises(WriteFailed, match=f"could not write to {tmp_path} .No space left"):
        check_disk(said, tmp_path)


def test_an_error_of_the_code_is_none_of_the_disk(tmp_path: Path) -> None:
    check_disk("policy.c:3:1: error: expected ';' before '}' token", tmp_path)
