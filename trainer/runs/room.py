"""Room for a new run."""

import shutil
from pathlib import Path

from dspctl.errors import OutputExists, RunIncomplete, WriteFailed
from dspctl.runtime.files import is_temporary
from dspctl.runtime.locks import LOCK
from dspctl.trainer.runs.reading import read_json


def check_room(path: Path, *, force: bool) -> None:
    """Refuse a folder that a new run may not take.

    Raises:
        OutputExists: it holds a run and *force* is False, or something else.
    """
    if path.is_dir():
        held = {each.name for each in path.iterdir() if not is_temporary(each)} - {LOCK}
        refused = bool(held) and not (held == {"run.json"} and _never_began(path))
    else:
        held, refused = set(), path.exists()
    if refused and not held & {"config.json", "run.json"}:
        raise OutputExists(f"{path} is not a run, so it is not replaced: choose another")
    if refused and not force:
        raise OutputExists(
            f"{path} exists: go on with  dspctl train --resume {path}  or replace it with --force"
        )


def make_room(path: Path, *, force: bool) -> None:
    """Empty the folder *path* for a new run, or refuse; a kill in between leaves a run that never
    began.

    Raises:
        OutputExists: as `check_room`.
        WriteFailed: it cannot be emptied.
    """
    check_room(path, force=force)
    if not path.is_dir():
        return
    try:
        (path / "config.json").unlink(missing_ok=True)
        for each in path.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            # The one tells that the folder is a run's, and is written anew next; the other is held.
            elif each.name not in ("run.json", LOCK):
                each.unlink()
    except OSError as error:
        raise WriteFailed(
            f"could not empty {path} ({error.strerror or error}): make it writable, or choose "
            "another folder"
        ) from error


def _never_began(path: Path) -> bool:
    """Whether ``run.json`` is that of a process that was killed before it wrote the settings."""
    try:
        info = read_json(path / "run.json")
    except RunIncomplete:
        return False
    return "schema" in info and info.get("status") == "running"
