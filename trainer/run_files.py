"""Single files of a run folder, read with errors that name them, and room for a new run."""

import json
import shutil
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes

from dspctl.errors import OutputExists, RunIncomplete, WriteFailed
from dspctl.runtime.files import is_temporary


def make_room(path: Path, *, force: bool) -> None:
    """Empty the folder *path* for a new run, or refuse; a kill in between leaves a run that never
    began."""
    if path.is_dir():
        held = {each.name for each in path.iterdir() if not is_temporary(each)}
        refused = bool(held) and not (held == {"run.json"} and _never_began(path))
    else:
        held, refused = set(), path.exists()
    if refused and not force:
        raise OutputExists(
            f"{path} exists: go on with  dspctl train --resume {path}  or replace it with --force"
        )
    if refused and not held & {"config.json", "run.json"}:
        raise OutputExists(f"{path} is not a run, so it is not replaced: choose another")
    if not path.is_dir():
        return
    try:
        (path / "config.json").unlink(missing_ok=True)
        for each in path.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            elif each.name != "run.json":  # tells that the folder is a run's; written anew next
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


def metric_rows(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a ``metrics.jsonl``, none where there is no file."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break  # a kill tore the last line; everything before it is whole
    return rows


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; RunIncomplete where the file is missing or holds none."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RunIncomplete(
            f"{path} is missing: this is no run, or it was cut off before it began; "
            "train again with --force"
        ) from error
    except ValueError as error:
        raise RunIncomplete(f"{path} is cut off or damaged: train again with --force") from error
    if not isinstance(content, dict):
        raise RunIncomplete(f"{path} is damaged: train again with --force")
    return content


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file; RunIncomplete where it is none."""
    try:
        return tensors_from_bytes(path.read_bytes())
    except (SafetensorError, ValueError) as error:
        raise RunIncomplete(
            f"{path} is cut off or damaged ({error}): train again with --force"
        ) from error
