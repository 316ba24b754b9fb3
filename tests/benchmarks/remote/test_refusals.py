import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dspctl.benchmarks import load_result
from dspctl.benchmarks.remote import measure as remote
from dspctl.benchmarks.remote.measure import measure_remote
from dspctl.benchmarks.request import Request
from dspctl.errors import (
    BackendUnavailable,
    BundleNotFound,
    HostAnswer,
    HostStorage,
    InvalidHost,
    ObservationShape,
    OutputExists,
    WrongProcessor,
)
from dspctl.runtime.machine import Machine
from tests.benchmarks.remote.board import (
    HOST,
    Board,
    system_programs,
    wait_until_gone,
)

SHORT = Request(
    backends=("c", "numpy"), seconds=0.1, hz=1000, paced_seconds=0.1, memory=False, episodes=0
)


def test_only_bundles_travel(tmp_path: Path) -> None:
    policy = tmp_path / "policy.safetensors"
    policy.write_bytes(b"")
    with pytest.raises(BundleNotFound, match="only bundles are copied"):
        measure_remote(HOST, {"a": policy}, SHORT, out=tmp_path / "bench.json")


def test_an_option_for_ssh_is_no_host(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(InvalidHost):
        measure_remote("-oProxyCommand=x", {"a": bundle}, SHORT, out=tmp_path / "bench.json")


def test_a_result_that_is_no_part_of_this_benchmark_is_not_overwritten(
    board: Board, bundle: Path, tmp_path: Path
) -> None:
    board.start(programs=system_programs())
    out = tmp_path / "bench.json"
    request = replace(SHORT, backends=("c",))
    measure_remote(HOST, {"a": bundle}, request, out=out)
    before = out.read_bytes()
    with pytest.raises(OutputExists, match="it is complete"):
        measure_remote(HOST, {"a": bundle}, request, out=out)
    # The caller has episodes to add: what was measured there comes back without a connection.
    again = measure_remote("nowhere.invalid", {"a": bundle}, replace(request, episodes=3), out=out)
    assert again == load_result(out)
    partial = before.replace(b'"status": "complete"', b'"status": "partial"')
    out.write_bytes(partial)
    with pytest.raises(OutputExists, match="another way"):
        measure_remote(HOST, {"a": bundle}, replace(request, hz=500), out=out)
    with pytest.raises(OutputExists, match="other ones"):
        measure_remote(HOST, {"b": bundle}, request, out=out)
    other = partial.replace(b'"cores": ', b'"cores": 10')
    out.write_bytes(other)
    with pytest.raises(OutputExists, match="another machine"):
        measure_remote(HOST, {"a": bundle}, request, out=out)
    out.write_bytes(b"{}")
    with pytest.raises(OutputExists, match="cannot be continued"):
        measure_remote(HOST, {"a": bundle}, request, out=out)
    assert out.read_bytes() == b"{}"


@pytest.mark.parametrize(
    ("processor", "target"),
    [
        (Machine("aarch64", frozenset({"asimd"}), "Orin", "tegra234"), "--target jetson-orin"),
        (Machine("aarch64", frozenset({"asimd"}), "Pi"), "--target aarch64"),
        (Machine("riscv64", frozenset(), "V"), "no target for this kind"),
    ],
)
def test_a_board_that_the_bundle_was_not_built_for_is_told_what_to_export(
    board: Board,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processor: Machine,
    target: str,
) -> None:
    board.start()
    monkeypatch.setattr(remote, "processor_of", lambda tree: processor)
    with pytest.raises(WrongProcessor, match=target):
        measure_remote(HOST, {"a": bundle}, SHORT, out=tmp_path / "bench.json")


def test_errors_of_the_measurement_come_back_as_what_they_are(
    board: Board, bundle: Path, tmp_path: Path
) -> None:
    board.start()
    with pytest.raises(ObservationShape, match="on board: recorded observations have shape"):
        measure_remote(
            HOST, {"a": bundle}, SHORT, observations=np.zeros((5, 3)), out=tmp_path / "bench.json"
        )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            'echo \'{"version": [3, 8, 10], "lacks": []}\'',
            r"is 3\.8\.10, and measuring needs 3\.10",
        ),
        ('echo \'{"version": [3, 11, 7], "lacks": ["numpy (none)"]}\'', r"lacks numpy \(none\)"),
        ("echo 'cannot find libpython' >&2; exit 127", "does not run .cannot find libpython"),
    ],
)
def test_a_python_that_cannot_measure_is_named_with_its_reason(
    board: Board, bundle: Path, tmp_path: Path, script: str, reason: str
) -> None:
    board.start(programs={**system_programs(), "python3": f"#!/bin/sh\n{script}\n"})
    request = replace(SHORT, backends=("numpy",))
    with pytest.raises(BackendUnavailable, match=reason):
        measure_remote(HOST, {"a": bundle}, request, out=tmp_path / "bench.json")


def test_a_cache_that_cannot_be_written_is_named(
    board: Board, bundle: Path, tmp_path: Path
) -> None:
    board.start(environment={"XDG_CACHE_HOME": "/proc/nowhere"})
    with pytest.raises(HostStorage, match="XDG_CACHE_HOME"):
        measure_remote(HOST, {"a": bundle}, SHORT, out=tmp_path / "bench.json")


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    board: Board, bundle: Path, tmp_path: Path
) -> None:
    full = "#!/bin/sh\necho half > policy.onnx\necho 'tar: No space left on device' >&2\nexit 2\n"
    board.start(programs={**system_programs(), "tar": full})
    with pytest.raises(HostStorage, match="No space left on device"):
        measure_remote(HOST, {"a": bundle}, SHORT, out=tmp_path / "bench.json")
    assert list(board.cache.iterdir()) == []


def test_a_program_that_was_replaced_there_is_copied_again_before_it_runs(
    board: Board, bundle: Path, tmp_path: Path
) -> None:
    board.start(programs=system_programs())
    request = replace(SHORT, backends=("c",), paced_seconds=0.0)
    measure_remote(HOST, {"a": bundle}, request, out=tmp_path / "first.json")
    (program,) = board.cache.glob("*/native/*/policy")
    mark = board.home / "ran"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    measure_remote(HOST, {"a": bundle}, request, out=tmp_path / "second.json")
    (original,) = bundle.glob("native/*/policy")
    assert program.read_bytes() == original.read_bytes()
    assert not mark.exists()


def test_a_program_that_computes_something_else_there_is_not_measured(
    board: Board, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A processor that multiplies wrongly: the program's own words are changed on their way.
    wrapper = board.folder / "wrong"
    wrapper.write_text(
        '#!/bin/bash\ncase "$SSH_ORIGINAL_COMMAND" in\n*"policy verify"*) '
        'sh -c "$SSH_ORIGINAL_COMMAND" | sed \'s/"passed": true/"passed": false/\';;\n'
        '*) exec sh -c "$SSH_ORIGINAL_COMMAND";;\nesac\n'
    )
    wrapper.chmod(0o755)
    board.start(force=wrapper)
    with pytest.raises(BackendUnavailable, match="does not compute on board what was exported"):
        measure_remote(HOST, {"a": bundle}, SHORT, out=tmp_path / "bench.json")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("printf 'Segmentation fault\\n'", "something else than its progress"),
        ("yes | tr -d '\\n'", "a line without an end"),
        ("echo 'out of memory' >&2; exit 9", "ended early .out of memory"),
        ("printf '[1]\\n'", "no progress"),
        ('echo \'{"stage": "\\u001b[2J", "backend": "c", "done": 1, "total": 1}\'', "no progress"),
        ('echo \'{"stage": "a", "backend": "c", "done": -1, "total": 1}\'', "no progress"),
        ("true", "ended early"),
    ],
)
def test_a_worker_that_answers_nonsense_is_ended_and_named(
    board: Board, bundle: Path, tmp_path: Path, answer: str, message: str
) -> None:
    fake = (
        '#!/bin/sh\ncase "$*" in *os.execv*)\n'
        + answer
        + f'\nexit;;\nesac\nexec {sys.executable} "$@"\n'
    )
    fake = fake.replace("\nexit;;", "\nexit $?;;")
    path = f"{board.folder / 'fake'}:{os.environ['PATH']}"
    (board.folder / "fake").mkdir()
    (board.folder / "fake/python3").write_text(fake)
    (board.folder / "fake/python3").chmod(0o755)
    board.start(environment={"PATH": path})
    out = tmp_path / "bench.json"
    with pytest.raises(HostAnswer, match=message):
        measure_remote(HOST, {"a": bundle}, SHORT, out=out)
    assert not out.exists()
    assert wait_until_gone(board) == []
