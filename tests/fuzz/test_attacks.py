"""Attacks that are known by name, each on the reader that it was made for, and by the command."""

import hashlib
import io
import json
import os
import random
import resource
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl import errors
from dspctl.benchmarks.record.archive import LARGEST_UNPACKED_BYTES, arrays_from_bytes
from dspctl.benchmarks.record.file import load_raw, load_result
from dspctl.benchmarks.report.sources import open_sources
from dspctl.benchmarks.shrink.record import load_shrink
from dspctl.benchmarks.study.folder import open_folder
from dspctl.benchmarks.study.plan import plan
from dspctl.benchmarks.study.record import load_results
from dspctl.benchmarks.study.spec import load_spec, spec_from_values
from dspctl.runtime import load_policy
from dspctl.runtime.bundle import MANIFEST, open_bundle
from dspctl.runtime.bundle.manifest import manifest_from_bytes
from dspctl.runtime.files import open_log
from dspctl.runtime.policy.file import policy_from_bytes
from dspctl.runtime.strict_json import value_from_json
from dspctl.runtime.tensorrt.stamp import PLAN, STAMP, read_engine
from dspctl.runtime.tensors import tensors_from_bytes
from dspctl.runtime.untrusted import open_plain, read_bytes
from dspctl.trainer import load_run
from tests.benchmarks.study.studies import small
from tests.cli.conftest import Call
from tests.fuzz import seeds
from tests.fuzz.mutations import tensors_changed
from tests.fuzz.targets import resealed

ROOT = Path(__file__).resolve().parents[2]

Open = Callable[[Path], object]
FILES: dict[str, tuple[Open, type[errors.DspctlError]]] = {
    "policy": (load_policy, errors.PolicyProblem),
    "result": (load_result, errors.ResultProblem),
    "study file": (load_spec, errors.StudyProblem),
    "study results": (load_results, errors.ResultProblem),
    "report": (lambda path: open_sources([path]), errors.DspctlError),
}
"""Files that a person names, and how they are opened."""


def bundle(folder: Path) -> Path:
    for name, data in seeds.bundle_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def run(folder: Path) -> Path:
    folder.mkdir()
    for name, data in seeds.run_files().items():
        (folder / name).write_bytes(data)
    return folder


def read_whole_run(path: Path) -> None:
    found = load_run(path)
    _ = found.policy(), found.observations(), found.metrics()


def shrink(folder: Path) -> Path:
    folder.mkdir()
    (folder / "shrink.json").write_bytes(seeds.shrink())
    return folder


def engine(folder: Path) -> Path:
    folder.mkdir()
    value = json.loads(seeds.stamp())
    plan_bytes = b"a plan"
    value["plan_sha256"] = hashlib.sha256(plan_bytes).hexdigest()
    (folder / STAMP).write_text(json.dumps(value))
    (folder / PLAN).write_bytes(plan_bytes)
    return folder


FOLDERS: dict[str, tuple[Callable[[Path], Path], Open, tuple[str, ...]]] = {
    "bundle": (bundle, open_bundle, tuple(seeds.bundle_files())),
    "run": (
        run,
        read_whole_run,
        (
            "config.json",
            "run.json",
            "metrics.jsonl",
            "policy.safetensors",
            "observations.safetensors",
        ),
    ),
    "search": (shrink, load_shrink, ("shrink.json",)),
    "engine": (engine, read_engine, (STAMP, PLAN)),
}
"""Folders that are handed over, how they are opened, and the files that are read in them."""
INSIDE = [(kind, name) for kind, (_, _, names) in FOLDERS.items() for name in names]


@pytest.mark.parametrize("kind", FOLDERS)
def test_the_folders_are_read_as_they_are(kind: str, tmp_path: Path) -> None:
    make, read, _ = FOLDERS[kind]
    read(make(tmp_path / "x"))


# --- what is no file --------------------------------------------------------------------------


def quickly(act: Callable[[], object]) -> None:
    started = time.monotonic()
    act()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("device", [None, "/dev/zero", "/dev/tty", "/proc/self/mem"])
def test_pipes_and_devices_are_no_files(kind: str, device: str | None, tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would wait for ever; /dev/zero has no end."""
    read, error = FILES[kind]
    path = tmp_path / "x.json"
    if device is None:
        os.mkfifo(path)
    elif Path(device).exists():
        path.symlink_to(device)
    with pytest.raises(error):
        quickly(lambda: read(path))


@pytest.mark.parametrize(("kind", "name"), INSIDE)
def test_a_pipe_in_a_folder_is_no_file(kind: str, name: str, tmp_path: Path) -> None:
    make, read, _ = FOLDERS[kind]
    folder = make(tmp_path / "x")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(errors.DspctlError):
        quickly(lambda: read(folder))


@pytest.mark.parametrize(("kind", "name"), INSIDE)
def test_links_in_a_folder_lead_nowhere(kind: str, name: str, tmp_path: Path) -> None:
    """Not even to the very same bytes: a folder that is handed over is whole."""
    make, read, _ = FOLDERS[kind]
    folder = make(tmp_path / "x")
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(errors.DspctlError):
        read(folder)


def test_archives_beside_a_result_are_no_links_or_pipes(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    out.write_bytes(seeds.results()[0])
    beside = tmp_path / "bench-c.npz"
    beside.write_bytes(seeds.samples())
    assert load_raw(out, "c").keys() == {"unpruned", "DSP 93%"}
    beside.rename(tmp_path / "elsewhere.npz")
    beside.symlink_to(tmp_path / "elsewhere.npz")
    assert load_raw(out, "c") == {}
    beside.unlink()
    os.mkfifo(beside)
    quickly(lambda: load_raw(out, "c"))
    assert load_raw(out, "c") == {}


def test_a_folder_that_is_written_to_holds_no_links(tmp_path: Path) -> None:
    """Else going on with somebody's study would overwrite whatever its links lead to."""
    precious = tmp_path / "precious"
    precious.write_text("keep")
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / ".lock").symlink_to(precious)
    with pytest.raises(errors.StudyLocked, match="cannot be locked"), open_folder(folder, small()):
        pass
    (folder / ".lock").unlink()
    (folder / "log.txt").symlink_to(precious)
    for mode in ("w", "a"):
        with pytest.raises(errors.WriteFailed):
            open_log(folder / "log.txt", mode)
    (folder / "log.txt").unlink()
    (folder / "study.json").write_bytes(seeds.study_folder())
    (tmp_path / "elsewhere").mkdir()
    (folder / "cells").symlink_to(tmp_path / "elsewhere")
    with open_folder(folder, small()) as opened, pytest.raises(errors.OtherStudy, match="a link"):
        opened.read(["key"])
    assert precious.read_text() == "keep"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_is_opened_only_where_it_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "gone").symlink_to("nothing")
    assert read_bytes(tmp_path / "link", 5) == b"12345"
    with pytest.raises(ValueError, match="too large: 5 bytes, at most 4"):
        read_bytes(tmp_path / "file", 4)
    for path, links in ((tmp_path, True), (tmp_path / "link", False), (tmp_path / "gone", True)):
        with pytest.raises(OSError):  # noqa: PT011  # each of its kinds
            open_plain(path, links=links)


# --- sizes ------------------------------------------------------------------------------------


def limited(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with 1.5 GB of address space: more than the program needs, less than the file."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29)),
    )


OPEN = """
import sys
from pathlib import Path
from dspctl.errors import DspctlError
from {module} import {function}
try:
    {function}(Path(sys.argv[1]))
except DspctlError as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("module", "function", "name", "error"),
    [
        ("dspctl.runtime.bundle", "open_bundle", MANIFEST, "BundleFormat"),
        ("dspctl.runtime", "load_policy", "x.safetensors", "PolicyFormat"),
        ("dspctl.benchmarks.record.file", "load_result", "x.json", "ResultProblem"),
        ("dspctl.benchmarks.study.record", "load_results", "x.json", "ResultProblem"),
        ("dspctl.benchmarks.study.spec", "load_spec", "x.toml", "StudyProblem"),
        ("dspctl.benchmarks.shrink.record", "load_shrink", "shrink.json", "ResultProblem"),
        ("dspctl.trainer", "load_run", "config.json", "RunIncomplete"),
        ("dspctl.runtime.tensorrt.stamp", "read_engine", STAMP, "EngineMismatch"),
    ],
)
def test_files_of_gigabytes_are_refused_unread(
    module: str, function: str, name: str, error: str, tmp_path: Path
) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(3 << 30)  # sparse: it takes no room on the disk
    path = tmp_path if name in (MANIFEST, "shrink.json", "config.json", STAMP) else tmp_path / name
    done = limited(OPEN.format(module=module, function=function), str(path))
    assert done.stdout.strip() == error, done.stderr


def test_a_bundle_of_terabytes_is_refused_by_its_manifest() -> None:
    value = json.loads(seeds.bundle_files()[MANIFEST])
    entry = {"sha256": "0" * 64, "size_bytes": 1 << 30, "executable": False}
    value["files"] |= {f"native/{index}": entry for index in range(3)}
    with pytest.raises(ValueError, match="lists more than 2147483648 bytes"):
        manifest_from_bytes(resealed(json.dumps(value).encode()))


def test_a_folder_of_ten_thousand_strangers_is_given_up(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle")
    (folder / "more").mkdir()
    for index in range(10_050):
        (folder / "more" / str(index)).touch()
    with pytest.raises(errors.BundleTampered, match="more than 10000 files"):
        open_bundle(folder)


# --- archives ---------------------------------------------------------------------------------


def archive(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind, compresslevel=9) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def array(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


VECTOR = "{'descr': '<i8', 'fortran_order': False, 'shape': (%s,), }"


def test_a_zip_bomb_is_refused_before_it_goes_off() -> None:
    bomb = archive({"single:a.npy": bytes(256 << 20)})
    assert len(bomb) < 1 << 20
    started = time.process_time()
    with pytest.raises(ValueError, match="unpacks to 268435456 bytes"):
        arrays_from_bytes(bomb)
    assert time.process_time() - started < 0.1


def test_an_archive_that_lies_about_its_size_is_refused() -> None:
    """The list says 100 bytes; what is packed is 64 MiB of zeros."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = packed.compress(bytes(64 << 20)) + packed.flush()
    bomb = bytearray(archive({"single:a.npy": b"x" * 100}))
    at = bomb.index(b"PK\x01\x02")
    entry = bytearray(bomb[at:])
    struct.pack_into("<II", entry, 20, len(content), 100)
    struct.pack_into("<H", entry, 10, 8)
    local = bytearray(bomb[:30]) + bomb[30 : 30 + len("single:a.npy")] + content
    struct.pack_into("<I", entry, len(entry) - 22 + 16, len(local))
    with pytest.raises(ValueError, match="not as long as its list says"):
        arrays_from_bytes(bytes(local + entry))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (archive({"a.npy": array(VECTOR % "4611686018427387904")}), "not a vector"),
        (archive({"a.npy": array(VECTOR % "2147483648, 2147483648")}), "not a vector"),
        (archive({"a.npy": array(VECTOR % "-1")}), "not a vector"),
        (archive({"a.npy": array((VECTOR % "1").replace("<i8", "|O"), bytes(8))}), "not a vector"),
        (archive({"a.npy": array((VECTOR % "1").replace("<i8", "<U2"), bytes(8))}), "not a vector"),
        (archive({"a.npy": array("(" * 100)}), "not a vector"),
        (archive({"a.npy": b"\x80\x04\x95 a pickle"}), "no array of NumPy's"),
        (archive({"a.txt": b"x"}), "no array"),
        (archive({"\x1b[2J.npy": array(VECTOR % "0")}), "control character"),
        (archive({"a.npy": array(VECTOR % "0")}, zipfile.ZIP_BZIP2), "unknown way"),
        (archive({"a.npy": array(VECTOR % "0")}, zipfile.ZIP_LZMA), "unknown way"),
        (archive({f"{n}.npy": b"" for n in range(5000)}), "5000 members"),
        (archive({"a.npy": array(VECTOR % "0")})[:-1], "cut off"),
        (archive({"a.npy": array(VECTOR % "0")}) + b"x", "cut off"),
        (b"", "cut off"),
    ],
)
def test_other_archives_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        arrays_from_bytes(data)


def test_numpy_writes_what_is_read() -> None:
    wanted = {"single:a b": np.arange(5), "é": np.zeros(0, np.int64), "f": np.array([1.5])}
    for save in (np.savez, np.savez_compressed):
        out = io.BytesIO()
        save(out, **wanted)  # type: ignore[arg-type]
        found = arrays_from_bytes(out.getvalue())
        assert found.keys() == wanted.keys()
        for name, values in found.items():
            np.testing.assert_array_equal(values, wanted[name])
            assert values.dtype == wanted[name].dtype


def test_the_limit_is_above_what_a_measurement_keeps() -> None:
    """A day of the control loop at 500 Hz."""
    assert LARGEST_UNPACKED_BYTES > 86_400 * 500 * 2 * 8


# --- JSON -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deep"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deep"),
        ("[" * 500 + "]" * 500, "nested deeper than 64"),
        ("9" * 5000, "more than 64 bits"),
        ("-" + "9" * 5000, "more than 64 bits"),
        ("18446744073709551616", "more than 64 bits"),
        ("-9223372036854775809", "more than 64 bits"),
        ("NaN", "NaN is not allowed"),
        ("-Infinity", "-Infinity is not allowed"),
        ("1e999", "out of range"),
        ('{"a": 1, "b": 2, "a": 1}', "a key appears twice"),
        ('"\\ud800"', "half a character"),
        ('{"\\udfff": 1}', "half a character"),
        ("[" + "0," * (1 << 20) + "0]", "too many values"),
        ('"\x1b"', "not valid JSON"),
    ],
)
def test_json_that_is_refused(text: str, said: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=said):
        value_from_json(text.encode(), "it")
    assert time.process_time() - started < 1


@pytest.mark.parametrize("data", [b"\xff\xfe1\x00", b"\xef\xbb\xbf1", b'"\xed\xa0\x80"', b"1\x00"])
def test_json_is_utf_8(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not text in UTF-8|not valid JSON"):
        value_from_json(data, "it")


def test_json_that_is_read() -> None:
    text = '{"a": [18446744073709551615, -9223372036854775808], "b": 0.5, '
    text += '"\\ud83d\\ude00": "\\\\ud800"}'
    assert value_from_json(text.encode(), "it") == {
        "a": [2**64 - 1, -(2**63)],
        "\U0001f600": "\\ud800",
        "b": 0.5,
    }
    assert value_from_json("[" * 60 + "]" * 60, "it")
    assert value_from_json(str(2**128 - 1), "it", integer_bits=128) == 2**128 - 1


# --- tensors ----------------------------------------------------------------------------------


def tensors(header: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def one(shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "data",
    [
        tensors({"a": one([2**31, 2**31], 0, 2**64 - 1)}),
        tensors({"a": one([2**31, 2**31], 0, 4)}, bytes(4)),
        tensors({"a": one([-1], 0, 4)}, bytes(4)),
        tensors({"a": one([-2, -2], 0, 16)}, bytes(16)),
        tensors({"a": one([2], 0, 8), "b": one([2], 4, 12)}, bytes(12)),  # one over the other
        tensors({"a": one([2], 0, 8), "b": one([2], 0, 8)}, bytes(8)),
        tensors({"a": one([2**62, 0], 0, 0)}),
        tensors({"a": one([2**63, 0], 0, 0)}),
        tensors({"a": one([0, 2**40, 2**40], 0, 0)}),
        tensors({f"{index}": one([0], 0, 0) for index in range(10_001)}),
    ],
)
def test_tensors_of_impossible_shapes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of which there are several kinds
        tensors_from_bytes(data)
    with pytest.raises(errors.PolicyProblem):
        policy_from_bytes(data, name="p")


def test_the_mutations_of_tensors_keep_sizes_right() -> None:
    """Else everything would be refused for its sizes, and nothing behind them looked at."""
    data = seeds.policies()[0]
    whole = 0
    for seed in range(200):
        changed = tensors_changed(data, random.Random(seed))
        size = int.from_bytes(changed[:8], "little")
        whole += len(changed) - 8 - size == len(data) - 8 - int.from_bytes(data[:8], "little")
    assert whole == 200


# --- manifests, studies and what leads out of a folder ----------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/../../x", "C:/x", "C:\\x", "a\\x", "./x", "a//x", "~/x", "x\n", "\u202ex"],
)
def test_a_manifest_names_nothing_outside(name: str) -> None:
    value = json.loads(seeds.bundle_files()[MANIFEST])
    value["files"][name] = {"sha256": "0" * 64, "size_bytes": 0, "executable": False}
    with pytest.raises(ValueError, match="unsafe file name"):
        manifest_from_bytes(resealed(json.dumps(value).encode()))


def test_a_search_names_no_folder_outside(tmp_path: Path) -> None:
    """A candidate's name is made from its fields, and is the name of its folder."""
    value = json.loads(seeds.shrink())
    value["points"][0]["candidate"]["activation"] = "../../../elsewhere/"
    (tmp_path / "shrink.json").write_text(json.dumps(value))
    with pytest.raises(errors.ResultProblem, match="malformed"):
        load_shrink(tmp_path)


def test_a_study_with_more_runs_than_anybody_has_time_for_is_refused() -> None:
    values = {
        "name": "large",
        "environments": ["CartPole-v1"],
        "methods": ["dsp"],
        "seeds": list(range(5000)),
        "sparsities": [0.5 + 1e-4 * index for index in range(100)],
    }
    with pytest.raises(errors.StudyProblem, match="more than 100000 runs"):
        plan(spec_from_values(values, "it"))


# --- by the command ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "words"),
    ids=lambda part: str(part[:20]),
    argvalues=[
        ("x.json", b"[" * 100_000, ["report", "PATH", "-o", "OUT"]),
        ("x.json", b'{"kind": "dspctl.bench", "schema": 4}', ["report", "PATH", "-o", "OUT"]),
        ("x.safetensors", b"\xff" * 100, ["inspect", "PATH"]),
        ("x.safetensors", b"\xff" * 100, ["inspect", "PATH", "--json"]),
        ("x.toml", b"a = " + b"9" * 5000, ["study", "PATH", "-o", "OUT"]),
        ("x.toml", b"a = " + b"[" * 10_000, ["study", "PATH", "-o", "OUT"]),
        ("x.toml", b"\xff", ["study", "PATH", "-o", "OUT"]),
        ("x/manifest.json", b"{" * 100_000, ["verify", "PATH"]),
        ("x/config.json", b"9" * 5000, ["inspect", "PATH"]),
    ],
)
def test_the_command_says_a_sentence(
    call: Call, tmp_path: Path, name: str, data: bytes, words: list[str]
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    place = path.parent if "/" in name else path
    done = call(
        *(
            place if word == "PATH" else tmp_path / "out" if word == "OUT" else word
            for word in words
        )
    )
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("dspctl: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
