import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl import errors
from dspctl.runtime import NumpyRunner, Runner
from dspctl.runtime.backends.native_library import library_from_bytes
from dspctl.runtime.backends.native_runner import NativeRunner
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import ON_INVALID, OnInvalid
from tests.exporter.native.tools import needs
from tests.runtime.native import NAME, tiny_library, tiny_policy

ROWS = np.array(
    [
        [1, 2, np.nan],  # the last feature is not read
        [2, -1, 0],
        [np.nan, 1, 0],
        [-np.inf, 99, 0],
        [101, 5, 0],
        [np.nan, -1e30, 0],
        [0.25, 0.5, 0],
    ],
    np.float32,
)
STATUS = [0, 0, 1, 1, 2, 3, 0]


@pytest.fixture(autouse=True)
def compiler() -> None:
    needs("cc")


def open_tiny(folder: Path, policy: Policy) -> NativeRunner:
    return NativeRunner(
        policy, library_from_bytes(tiny_library(folder, policy), NAME, "here", policy)
    )


@pytest.fixture(params=[True, False], ids=["discrete", "continuous"])
def discrete(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def buffer_of(policy: Policy, rows: int | None = None) -> Any:
    if policy.action.discrete:
        return np.full(rows or 1, -7)
    return np.full((2,) if rows is None else (rows, 2), -7, np.float32)


@pytest.mark.parametrize("mode", ON_INVALID)
def test_every_mode_as_the_reference(tmp_path: Path, discrete: bool, mode: OnInvalid) -> None:
    policy = tiny_policy(discrete=discrete, mode=mode, start=3 if discrete else 0)
    runner, reference = open_tiny(tmp_path, policy), NumpyRunner(policy)
    assert isinstance(runner, Runner)
    np.testing.assert_array_equal(runner.outputs(ROWS), reference.outputs(ROWS))
    for row, expected in zip(ROWS, STATUS, strict=True):
        np.testing.assert_array_equal(runner.outputs(row), reference.outputs(row))
        found, wanted = buffer_of(policy), buffer_of(policy)
        assert runner.act(row, found) == reference.act(row, wanted) == expected
        np.testing.assert_array_equal(found, wanted)
        if expected and mode in ("flag", "hold"):
            with pytest.raises(errors.ObservationInvalid, match="not in its range"):
                runner(row)
        else:
            answer, wanted = runner(row), reference(row)
            np.testing.assert_array_equal(answer, wanted)
            assert answer.dtype == wanted.dtype
            assert answer.shape == wanted.shape
    found, wanted = buffer_of(policy, 7), buffer_of(policy, 7)
    np.testing.assert_array_equal(runner.act(ROWS, found), STATUS)
    reference.act(ROWS, wanted)
    np.testing.assert_array_equal(found, wanted)
    if mode in ("flag", "hold"):
        with pytest.raises(errors.ObservationInvalid, match="of row 2"):
            runner(ROWS)
    else:
        np.testing.assert_array_equal(runner(ROWS), reference(ROWS))


def test_any_layout_and_precision(tmp_path: Path, discrete: bool) -> None:
    policy = tiny_policy(discrete=discrete)
    runner, reference = open_tiny(tmp_path, policy), NumpyRunner(policy)
    row = np.array([0.5, -0.25, 0], np.float32)
    strided = np.repeat(row, 2)[::2]
    swapped = row.astype(">f4")
    subclass: Any = row.view(np.memmap)
    for each in (row, strided, swapped, subclass, row.astype(float), row.astype(np.float16)):
        np.testing.assert_array_equal(runner(each), reference(row))
    batch = np.asfortranarray(np.stack([row, -row, row]))
    np.testing.assert_array_equal(runner(batch), reference(batch))
    assert len(runner(batch[:0])) == 0
    with pytest.raises(errors.ObservationInvalid):
        runner(np.full(3, 1e300))


def test_wrong_shapes_and_types(tmp_path: Path, discrete: bool) -> None:
    policy = tiny_policy(discrete=discrete)
    runner = open_tiny(tmp_path, policy)
    wrong: tuple[Any, ...] = (np.zeros(4), np.zeros(3, int), [0.0] * 3, np.zeros((1, 1, 3)), None)
    for each in wrong:
        with pytest.raises(errors.ObservationShape):
            runner(each)
        with pytest.raises(errors.ObservationShape):
            runner.act(each, buffer_of(policy))
        with pytest.raises(errors.ObservationShape):
            runner.outputs(each)
    for buffer in (np.zeros(3), np.zeros(1, np.int32), None):
        with pytest.raises(errors.ObservationShape):
            runner.act(np.zeros(3, np.float32), buffer)  # type: ignore[arg-type]


def test_answers_belong_to_the_caller(tmp_path: Path) -> None:
    runner = open_tiny(tmp_path, tiny_policy(discrete=False))
    first = runner(np.array([0.5, 0, 0], np.float32))
    second = runner(np.array([-0.5, 0, 0], np.float32))
    assert first.tolist() == [0.5, -0.5]
    assert second.tolist() == [-0.5, 0.5]
    assert first.flags.owndata
    assert first.flags.writeable


def test_threads_do_not_see_each_others_answers(tmp_path: Path, discrete: bool) -> None:
    """Every thread asks its own question; a shared buffer would mix the answers up."""
    runner = open_tiny(tmp_path, tiny_policy(discrete=discrete))
    wrong: list[Any] = []

    def ask(number: int) -> None:
        row = np.array([0.1 * (number - 3.5), 0, 0], np.float32)
        batch = np.repeat(row[None], 4, axis=0)
        wanted = runner(row)
        for _ in range(3000):
            answer = runner(row)
            if not np.array_equal(answer, wanted):
                wrong.append((number, answer))
        if not (runner(batch) == wanted).all():
            wrong.append((number, "batch"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_closed_runner_says_so(tmp_path: Path, discrete: bool) -> None:
    policy = tiny_policy(discrete=discrete)
    row = np.zeros(3, np.float32)
    with open_tiny(tmp_path, policy) as runner:
        runner(row)
    other = open_tiny(tmp_path, policy)
    for use in (
        lambda: runner(row),
        lambda: runner(row[None]),
        lambda: runner.act(row, buffer_of(policy)),
        lambda: runner.outputs(row),
    ):
        with pytest.raises(errors.BackendUnavailable, match="closed"):
            use()
    other(row)  # its own, though the library is the same


def test_what_runs_is_what_was_given(tmp_path: Path) -> None:
    """Many libraries opened in turn: the loader must never hand out an earlier one."""
    for start in range(5):
        policy = tiny_policy(discrete=True, start=start)
        runner = open_tiny(tmp_path, policy)
        assert int(runner(np.array([1, 0, 0], np.float32))) == start
        runner.close()


@pytest.mark.parametrize("why", ["absent", "refused", "not executable"])
def test_without_memory_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    def refuse(*arguments: Any) -> int:
        raise PermissionError("no memory files here")

    if why == "absent":
        monkeypatch.delattr(os, "memfd_create")
    elif why == "refused":
        monkeypatch.setattr(os, "memfd_create", refuse)
    else:
        monkeypatch.setattr(os, "memfd_create", lambda *_: os.open(os.devnull, os.O_RDWR))
    start = 11 + len(why)  # bytes that were not opened before
    policy = tiny_policy(discrete=True, start=start)
    assert int(open_tiny(tmp_path, policy)(np.zeros(3, np.float32))) == start


def test_what_is_no_library_or_another_one(tmp_path: Path) -> None:
    policy = tiny_policy(discrete=True)
    with pytest.raises(errors.BackendUnavailable, match="cannot be opened"):
        library_from_bytes(b"not a library", NAME, "here", policy)
    data = tiny_library(tmp_path, policy)
    for name, wrong in (("other", policy), (NAME, tiny_policy(discrete=False))):
        with pytest.raises(errors.BackendUnavailable, match="undefined symbol"):
            library_from_bytes(data, name, "here", wrong)
