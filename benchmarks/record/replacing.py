"""A result that takes the place of an older one, which stays until the new one is complete."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dspctl.benchmarks.record.file import load_result, sample_files
from dspctl.benchmarks.record.hlog import log_files, write_logs
from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.request import BACKENDS
from dspctl.benchmarks.steps import steps_folder
from dspctl.errors import ResultProblem, WriteFailed
from dspctl.runtime.files import sync_folder


@contextmanager
def replacing(output: Path) -> Iterator[Path]:
    """Yield where to measure; at the end of the body that takes the place of what is at *output*.

    Where there is nothing, that is *output* itself. Otherwise it is in a hidden folder beside it,
    and what an error or a kill leaves there is found again. A kill while files change places may
    leave new samples beside the older figures; they are moved on when this is called again.

    Raises:
        WriteFailed: files cannot be moved.
    """
    if not any(path.exists() for path in _files(output)):
        yield output
        return
    new = new_result(output)
    if _complete(new):  # killed before all of it was moved
        _move(new, output)
    try:
        yield new
    finally:
        if not new.exists():
            shutil.rmtree(new.parent, ignore_errors=True)
    _move(new, output)


def new_result(output: Path) -> Path:
    """Where the result is that will replace *output*."""
    return output.with_name(f".{output.name}.new") / output.name


def start_again(output: Path) -> None:
    """Throw away what was to replace *output*."""
    shutil.rmtree(new_result(output).parent, ignore_errors=True)


def add_logs(output: Path) -> None:
    """Write the logs of a complete result that a kill came before.

    Raises:
        WriteFailed: they cannot be written.
    """
    if not _complete(output):
        return
    result = load_result(output)
    if any(not path.exists() for path in _own(result, output) if path.suffix == ".hlog"):
        write_logs(result, output)


def _files(output: Path) -> list[Path]:
    """A result's files, the JSON last."""
    kinds = (sample_files, log_files)
    beside = [path for name in BACKENDS for files in kinds for path in files(output, name)]
    return [*beside, output]


def _own(result: BenchResult, output: Path) -> set[Path]:
    """The files that a result at *output* has."""
    calls = {one.backend for one in result.latency}
    loops = {one.backend for one in result.paced}
    return {
        output,
        *(files(output, name)[0] for name in calls for files in (sample_files, log_files)),
        *(files(output, name)[1] for name in loops for files in (sample_files, log_files)),
    }


def _complete(path: Path) -> bool:
    try:
        return path.exists() and load_result(path).status == "complete"
    except ResultProblem:
        return False


def _move(new: Path, output: Path) -> None:
    # Not what is there: an earlier call may have moved a part of it.
    own = _own(load_result(new), output)
    try:
        for path in _files(new):
            if path.exists():
                path.replace(output.with_name(path.name))
        for path in _files(output):
            if path not in own:
                path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.rmtree(steps_folder(output))
        shutil.rmtree(new.parent)
    except OSError as error:
        raise WriteFailed(
            f"could not replace {output} ({error.strerror or error}): make its folder writable, "
            "then repeat the command, which moves the rest"
        ) from error
    sync_folder(output.parent)
