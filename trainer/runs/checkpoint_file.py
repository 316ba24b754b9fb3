"""A checkpoint as a file, and the last two of a run: which one is whole, and which one to use.

A file is safetensors: arrays, and JSON in its metadata, with the SHA-256 of both beside it. So one
that was torn, or changed by anything but training, is told from a whole one. The newest stands
under `NEWEST`, the one before it under `BEFORE`, and a damaged one is set aside under `ASIDE`.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as bytes_from_tensors

from dspctl.errors import CheckpointDamaged, RunIncomplete, TrainingDiverged, WriteFailed
from dspctl.runtime.files import write_bytes
from dspctl.runtime.strict_json import fields_from_json, value_from_json
from dspctl.runtime.tensors import tensors_from_bytes
from dspctl.runtime.untrusted import read_bytes
from dspctl.trainer.runs.reading import check_state

NEWEST = "checkpoint.safetensors"
BEFORE = "checkpoint.before.safetensors"
ASIDE = "checkpoint.damaged.safetensors"
SCHEMA = 2
_MOST_BYTES = 1 << 32
_KEY = "dspctl.checkpoint"
_UNHASHED, _UNHASHED_KEY = 1, "dspctl.state"  # of checkpoints from before they had a hash

State = TypeVar("State")


class Parts(NamedTuple):
    """What is in a checkpoint.

    Attributes:
        tensors: arrays by name.
        meta: JSON values.
    """

    tensors: dict[str, NDArray[Any]]
    meta: dict[str, Any]


class Damage(NamedTuple):
    """A checkpoint that cannot be used."""

    path: Path
    reason: str


class Found(NamedTuple):
    """What `read_newest` came to.

    Attributes:
        state: what was made of the newest checkpoint that is whole.
        damaged: newer ones that are not.
    """

    state: Any
    damaged: tuple[Damage, ...]


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint, whole or not."""
    return any((folder / name).is_file() for name in (NEWEST, BEFORE))


def write(folder: Path, parts: Parts) -> None:
    """Write a checkpoint as the newest one; the newest one until now becomes the one before.

    Raises:
        TrainingDiverged: a number is NaN or infinite; nothing was written.
        WriteFailed: the disk is full or the folder cannot be written; what was there is intact.
    """
    for name, array in parts.tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise TrainingDiverged(
                f"{name} held a number that is not finite, which no checkpoint is made of: lower "
                "--learning-rate or --penalty"
            )
    tensors = {key: np.ascontiguousarray(value) for key, value in parts.tensors.items()}
    text = json.dumps({"schema": SCHEMA, **parts.meta}, allow_nan=False)
    # Under one key: safetensors writes several in any order, and equal states make equal files.
    sealed = json.dumps({"sha256": _digest(tensors, text), "state": text})
    data = bytes_from_tensors(tensors, metadata={_KEY: sealed})
    write_bytes(folder / NEWEST, data, before=folder / BEFORE)


def read_newest(folder: Path, restore: Callable[[Parts], State]) -> Found:
    """What *restore* makes of the newest checkpoint that is whole; nothing on the disk is changed.

    Args:
        folder: the run's.
        restore: may raise KeyError, ValueError, TypeError or IndexError for contents that do not
            fit the run, which then count as damaged.

    Raises:
        RunIncomplete: there is no checkpoint.
        CheckpointDamaged: none is whole; the message says what is wrong with each.
    """
    damaged: list[Damage] = []
    for path in (folder / NEWEST, folder / BEFORE):
        if not path.is_file():
            continue
        try:
            return Found(restore(_read(path)), tuple(damaged))
        except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
            words = str(error) if isinstance(error, ValueError) else repr(error)
            damaged.append(Damage(path, words))
    if not damaged:
        raise RunIncomplete(
            f"{folder} was cut off before its first checkpoint: train it again with --force"
        )
    reasons = "; ".join(f"{one.path.name}: {one.reason}" for one in damaged)
    raise CheckpointDamaged(
        f"no checkpoint of {folder} is whole ({reasons}): nothing can be gone on with, so "
        f"repeat the run with  dspctl train --like {folder} -o NEW"
    )


def set_aside(damage: Damage) -> Path:
    """Rename a damaged checkpoint, so that it is neither used nor counted; returns where it is.

    Raises:
        WriteFailed: the folder cannot be written.
    """
    path = damage.path.with_name(ASIDE)
    try:
        return damage.path.replace(path)
    except OSError as error:
        raise WriteFailed(
            f"could not rename the damaged {damage.path} ({error.strerror or error}): make the "
            "folder writable, then repeat the command"
        ) from error


def _read(path: Path) -> Parts:
    """A checkpoint's contents; ValueError where they are not what was written."""
    try:
        tensors, metadata = tensors_from_bytes(read_bytes(path, _MOST_BYTES, links=False))
    except ValueError as error:
        raise ValueError(f"cut off or not a checkpoint, {error}") from error
    if _KEY not in metadata:
        meta = _values(metadata[_UNHASHED_KEY])
        if meta["schema"] != _UNHASHED:
            raise ValueError("it has lost its hash")
        return Parts(tensors, meta)
    sealed = fields_from_json(metadata[_KEY], "the checkpoint")
    digest, text = sealed.text("sha256"), sealed.text("state")
    sealed.finish()
    if digest != _digest(tensors, text):
        raise ValueError("its contents are not those that its hash was made of")
    return Parts(tensors, _values(text))


def _values(text: str) -> dict[str, Any]:
    return check_state(value_from_json(text, "the state", integer_bits=128))  # as generators have


def _digest(tensors: dict[str, NDArray[Any]], text: str) -> str:
    """Hex SHA-256 of all names, types, shapes and numbers, and of the JSON beside them."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\0{name}\0{array.dtype.str}{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
