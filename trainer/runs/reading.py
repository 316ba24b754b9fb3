"""The files of a run as somebody else may have written them: read with limits, and checked.

`dspctl.trainer.runs.checkpoint` says what they are for.
"""

from io import BufferedReader
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import RunIncomplete
from dspctl.runtime.strict_json import Fields, shown_names, value_from_json
from dspctl.runtime.tensors import tensors_from_bytes
from dspctl.runtime.untrusted import check_name, open_plain, read_bytes
from dspctl.trainer.runs.records import check_line, check_provenance, check_resumptions

_JSON_BYTES = 1 << 22
_METRICS_BYTES = 1 << 28
_LINE_BYTES, _LINE_VALUES = 1 << 16, 1 << 12
_TENSORS_BYTES = 1 << 32
_MOST_ROWS = 1_000_000

STATUSES = ("running", "interrupted", "finished", "diverged")
_COUNT = ("schema", "steps")
_NUMBER = ("seconds", "required")
_TEXT = ("status", "dspctl", "python", "numpy", "machine", "vector_backend")
_UNITS = ("units", "critic_units")
_OBJECT = ("teacher", "selected", "time_split_s", "objective")
_LIST = ("trials", "rounds")
_OPTIONAL_TEXT = ("delivered",)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        RunIncomplete: it is missing, no plain file, too large, or no JSON object.
    """
    try:
        content = value_from_json(read_bytes(path, _JSON_BYTES, links=False), path.name)
    except FileNotFoundError as error:
        raise RunIncomplete(
            f"{path} is missing, the run was cut off before it began: train again with --force"
        ) from error
    except (OSError, ValueError) as error:
        raise RunIncomplete(
            f"{path} is cut off or damaged ({error}): train again with --force"
        ) from error
    if not isinstance(content, dict):
        raise RunIncomplete(f"{path} is damaged: train again with --force")
    return content


def check_info(info: dict[str, Any], path: Path) -> None:
    """Check what ``run.json`` says, field by field.

    Raises:
        RunIncomplete: a field is unknown, or of another type.
    """
    fields = Fields(info, path.name)
    try:
        for name in info:
            _check_entry(fields, name)
        fields.finish()
        if info.get("status") not in STATUSES:
            raise ValueError(f"its status is none of {', '.join(STATUSES)}")
    except ValueError as error:
        raise RunIncomplete(f"{path} is damaged ({error}): train again with --force") from error


def _check_entry(fields: Fields, name: str) -> None:
    """Take one field of ``run.json``; unknown ones are left to `Fields.finish`."""
    if name in _COUNT and fields.integer(name) < 0:
        raise ValueError(f"'{name}' is negative")
    if name in _NUMBER:
        fields.number(name)
    if name in _TEXT:
        fields.name(name)
    if name in _UNITS:
        _integers(fields.take(name), name)
    if name in _OPTIONAL_TEXT and (text := fields.take(name)) is not None:
        check_name(str(text), f"'{name}'")
    if name in _OBJECT:
        _check_plain(fields.entries(name), name)
    if name in _LIST:
        rows = fields.take(name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"'{name}' is not a list of objects")
        for row in rows:
            _check_plain(row, name)
            if name == "trials":
                trial = Fields(row, "a trial")
                trial.integer("iteration"), trial.number("mean")
                trial.finish()
    if name == "diverged":
        _check_divergence(fields.fields(name))
    if name == "provenance":
        check_provenance(fields.fields(name))
    if name == "resumptions":
        check_resumptions(fields.take(name))


def _check_divergence(fields: Fields) -> None:
    if fields.integer("steps") < 0:
        raise ValueError("'diverged' has no count of steps")
    check_line(fields.text("reason"), "'reason'")
    fields.finish()


def _check_plain(values: dict[str, Any], where: str) -> None:
    """Numbers, short texts and lists of numbers; by known names where they are used."""
    for name, value in values.items():
        check_name(name, f"a name in '{where}'")
        if isinstance(value, str):
            check_line(value, f"'{name}' in '{where}'")
        elif isinstance(value, list):
            _integers(value, name)
        elif not isinstance(value, int | float | None):
            raise ValueError(f"'{name}' in '{where}' is neither a number nor a text")
    wanted = _NUMBERS_OF.get(where, ())
    for name in wanted:
        if type(values.get(name)) not in (int, float):
            raise ValueError(f"'{where}' lacks the number '{name}'")
    if where == "time_split_s" and not all(type(one) in (int, float) for one in values.values()):
        raise ValueError(f"'{where}' holds something that is no number")
    if where == "teacher" and not all(isinstance(values.get(n), str) for n in ("source", "sha256")):
        raise ValueError("the teacher has no source")


_NUMBERS_OF = {"objective": ("required",), "selected": ("iteration", "mean")}


def _integers(value: Any, name: str) -> None:
    if not isinstance(value, list) or not all(type(one) is int and one >= 0 for one in value):
        raise ValueError(f"'{name}' is not a list of counts")


def metric_rows(path: Path) -> list[dict[str, Any]]:
    """One record per iteration, as far as the file is whole; a kill may tear its last line.

    Raises:
        RunIncomplete: it is no plain file, far too large, or a whole line is no record.
    """
    try:
        lines = read_bytes(path, _METRICS_BYTES, links=False).split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunIncomplete(f"{path} cannot be read ({error}): train again with --force") from error
    except ValueError as error:
        raise RunIncomplete(
            f"{path} cannot be read whole ({error}): look at the same figures with  "
            f"tensorboard --logdir {path.parent}; training is gone on with all the same"
        ) from error
    rows: list[dict[str, Any]] = []
    for line in lines[:_MOST_ROWS]:
        row = _row(line, len(rows) + 1, path)
        if row is None:
            break
        rows.append(row)
    return rows


def records_end(path: Path, iteration: int) -> int | None:
    """Bytes of the records up to *iteration*, None where there is no file; one line at a time,
    since a run may last for as long as it likes.

    Raises:
        RunIncomplete: as `metric_rows`, whatever the size.
    """
    end = 0
    try:
        with open_plain(path, links=False) as file, BufferedReader(file) as lines:  # type: ignore[type-var]
            for number in count(1):
                line = lines.readline(_LINE_BYTES + 2)
                row = _row(line, number, path) if line.endswith(b"\n") else None
                if row is None or row["iteration"] > iteration:
                    break
                end += len(line)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunIncomplete(f"{path} cannot be read ({error}): train again with --force") from error
    return end


def _row(line: bytes, number: int, path: Path) -> dict[str, Any] | None:
    """One record; None where a kill tore the last line, before which everything is whole."""
    try:
        if len(line) > _LINE_BYTES + 1:
            return None
        row = value_from_json(line, "a line", most_values=_LINE_VALUES)
    except ValueError:
        return None
    try:
        _check_row(row)
    except ValueError as error:
        raise RunIncomplete(
            f"{path} is damaged in line {number} ({error}): train again with --force"
        ) from error
    return dict(row)


def _check_row(row: Any) -> None:
    if not isinstance(row, dict):
        raise ValueError("it is no JSON object")
    for name, value in row.items():
        check_name(name, "the name of a figure")
        if isinstance(value, str):
            check_name(value, f"'{name}'")
        elif isinstance(value, list):
            _integers(value, name)
        elif not isinstance(value, int | float | None):
            raise ValueError(f"'{name}' is no figure")
    if any(type(row.get(name)) is not int or row[name] < 0 for name in ("iteration", "steps")):
        raise ValueError("it does not say of which iteration it is")
    if not isinstance(row.get("units"), list):
        raise ValueError("it does not say which units are left")
    for name in _FIGURES:
        if isinstance(row.get(name), str | list | bool):
            raise ValueError(f"'{name}' is no number")


_FIGURES = (
    "seconds",
    "episode_return",
    "episode_length",
    "threshold",
    "scheduled_sparsity",
    "unit_sparsity",
    "weight_sparsity",
    "flops_sparsity",
)


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors of a file of the run, and its metadata.

    Raises:
        RunIncomplete: it is missing, too large, or not whole.
    """
    try:
        return tensors_from_bytes(read_bytes(path, _TENSORS_BYTES, links=False))
    except (OSError, ValueError) as error:
        raise RunIncomplete(
            f"{path} is cut off or damaged ({error}): train again with --force"
        ) from error


def check_state(values: Any) -> dict[str, Any]:
    """The numbers of a checkpoint that are in no tensor.

    Args:
        values: what its JSON holds.

    Returns:
        The same; ``carry`` is an object of which nothing was looked at, or absent.

    Raises:
        ValueError: a field is missing, unknown, or of another type.
    """
    fields = Fields(values, "the state")
    found: dict[str, Any] = {
        name: fields.integer(name) for name in ("schema", "iteration", "steps", "environment_seed")
    }
    found |= {
        name: fields.number(name) for name in ("seconds", "observations.count", "returns.count")
    }
    if min(found.values()) < 0 or found["iteration"] >= 1 << 53 or found["steps"] >= 1 << 53:
        raise ValueError("the state has counts that are none")
    found["rng"] = generator(fields.fields("rng"))
    for name in ("actor", "critic"):
        part = fields.fields(name)
        found[name] = {
            "adam_steps": part.integer("adam_steps"),
            "threshold": part.number_or_none("threshold"),
            "rng": generator(part.fields("rng")),
        }
        if not 0 <= found[name]["adam_steps"] < 1 << 53:
            raise ValueError("the optimiser's steps are no count")
        part.finish()
    if "carry" in values:
        found["carry"] = fields.entries("carry")
    fields.finish()
    return found


def generator(fields: Fields) -> dict[str, Any]:
    """The state of NumPy's PCG64."""
    kind, inner = fields.text("bit_generator"), fields.fields("state")
    state = {name: inner.integer(name) for name in ("state", "inc")}
    words = {name: fields.integer(name) for name in ("has_uint32", "uinteger")}
    inner.finish()
    fields.finish()
    if kind != "PCG64" or min(*state.values(), *words.values()) < 0:
        raise ValueError("the state is of another generator")
    if words["has_uint32"] > 1 or words["uinteger"] >= 1 << 32:
        raise ValueError("the state of the generator is none")
    return {"bit_generator": kind, "state": state, **words}


def fitting(tensors: dict[str, NDArray[Any]], name: str, like: NDArray[Any]) -> NDArray[Any]:
    """Take the tensor *name*, which has the type and shape of *like* and is finite.

    Raises:
        ValueError: it is missing, or is not so.
    """
    tensor = tensors.pop(name, None)
    if tensor is None or (tensor.dtype, tensor.shape) != (like.dtype, like.shape):
        raise ValueError(f"'{name}' is not {like.dtype} {list(like.shape)}")
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise ValueError(f"'{name}' holds a NaN or infinity")
    return tensor


def kept_units(tensors: dict[str, NDArray[Any]], name: str, width: int) -> NDArray[np.int64]:
    """Take the units of a layer that are left: ascending, below *width*, at least one.

    Raises:
        ValueError: it is missing, or is not so.
    """
    units = tensors.pop(name, None)
    if units is None or units.dtype != np.int64 or units.ndim != 1 or units.size == 0:
        raise ValueError(f"'{name}' lists no units")
    if units[0] < 0 or units[-1] >= width or not (np.diff(units) > 0).all():
        raise ValueError(f"'{name}' lists units that the layer has not")
    return units


def refuse_unknown(tensors: dict[str, NDArray[Any]]) -> None:
    """Refuse tensors that nobody took. Raises ValueError."""
    if tensors:
        raise ValueError(f"unknown tensors {shown_names(tensors)}")
