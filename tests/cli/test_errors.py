"""Every rejected input: one sentence on stderr, exit code 2, and nothing half-written."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from dspctl import errors, trainer
from dspctl.benchmarks.subjects import open_subjects
from dspctl.cli.app import EXIT_ERROR
from dspctl.runtime import load
from dspctl.runtime.trust.keys import public_keys
from tests.cli.conftest import Call, Damage, Outcome

SUBJECTS = ("compact", "export", "inspect", "eval", "bench", "shrink")
MAIN = "from dspctl.__main__ import main; main()"


def assert_sentence(done: Outcome, *parts: str) -> None:
    """One sentence, the right one, that says what to do next; no traceback and no result."""
    assert done.code == EXIT_ERROR, done.stdout + done.stderr
    assert done.stdout == ""
    *progress, line = done.stderr.splitlines()
    assert [other for other in progress if not re.match(r"[^:]+: \d+%  ", other)] == []
    assert line.startswith("dspctl: ")
    assert [part for part in parts if part not in line] == []


# --- training ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["CartPol-v1"], ["no environment 'CartPol-v1'", "did you mean CartPole-v1"]),
        (["Blackjack-v1"], ["Blackjack-v1 observes", "Box", "FlattenObservation"]),
        (["CartPole-v1", "--method", "dps"], ["no method 'dps'", "did you mean dsp?"]),
        (["CartPole-v1", "--sparsity", "1"], ["[0, 1)", "0.93 removes 93%"]),
        (["CartPole-v1", "--sparsity", "-0.1"], ["[0, 1)"]),
        (["CartPole-v1", "--sparsity", "nan"], ["[0, 1)"]),
        (["CartPole-v1", "--hidden", "4-4"], ["keeps 1 of the 8 units", "widen"]),
        (["CartPole-v1", "--hidden", "0-8"], ["at least one unit"]),
        (["CartPole-v1", "--hidden", "none"], ["no hidden layer to prune", "--method ppo"]),
        (["CartPole-v1", "--activation", "gelu"], ["'gelu' is not one of tanh, relu"]),
        (["CartPole-v1", "--threshold", "most"], ["one of quantile, mass, literal"]),
        (["CartPole-v1", "--steps", "0"], ["steps must be at least 1"]),
        (["CartPole-v1", "--learning-rate", "inf"], ["learning_rate must be positive"]),
        (["CartPole-v1", "--prune-start", "0.8"], ["must start before it ends"]),
    ],
    ids=lambda value: " ".join(value) if len(value) < 4 else "",
)
def test_training_refuses(call: Call, tmp_path: Path, words: list[str], parts: list[str]) -> None:
    run = tmp_path / "run"
    assert_sentence(call("train", *words, "-o", run), *parts)
    assert not run.exists()


def test_training_does_not_overwrite_a_run(call: Call, trained: Path) -> None:
    before = contents(trained)
    done = call("train", "CartPole-v1", "-o", trained)
    assert_sentence(done, "exists", f"dspctl train --resume {trained}", "--force")
    assert contents(trained) == before


def test_force_replaces_runs_only(call: Call, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("not a run")
    done = call("train", "CartPole-v1", "-o", tmp_path, "--force")
    assert_sentence(done, "not a run")
    assert contents(tmp_path) == {"thesis.txt": b"not a run"}


def test_resuming_takes_no_settings(call: Call, trained: Path) -> None:
    done = call("train", "--resume", trained, "--steps", "9", "--biases", "no")
    assert_sentence(done, "run's own settings", "leave out --steps, --biases")


def test_resuming_a_finished_run(call: Call, trained: Path) -> None:
    assert_sentence(call("train", "--resume", trained), "is finished", "dspctl inspect")


def test_resuming_nothing(call: Call, tmp_path: Path) -> None:
    assert_sentence(call("train", "--resume", tmp_path / "gone"), "no run at", "dspctl train")


@pytest.mark.parametrize(
    ("package", "words", "extra"),
    [
        ("gymnasium", ["train", "CartPole-v1"], "train"),
        ("onnx", ["export", "POLICY", "--target", "onnx"], "export"),
        ("matplotlib", ["demo"], "all"),
    ],
)
def test_a_missing_package_names_its_install_command(
    spawn: Call, policy: Path, tmp_path: Path, package: str, words: list[str], extra: str
) -> None:
    # None in sys.modules makes a package as absent as if it were not installed.
    program = f"import sys; sys.modules[{package!r}] = None; {MAIN}"
    words = [str(policy) if word == "POLICY" else word for word in words]
    done = spawn(*words, code=program, cwd=tmp_path)
    assert_sentence(done, f"'{package}'", f"pip install 'dspctl[{extra}]'")
    assert list(tmp_path.iterdir()) == []


# --- runs -------------------------------------------------------------------------------------


def cut(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / name).write_bytes((run / name).read_bytes()[:20])

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).unlink()


def reschema(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        content = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps({**content, "schema": 99}))

    return change


def cut_off(run: Path) -> None:
    """What a kill leaves: a checkpoint, but no policy and no end."""
    (run / "policy.safetensors").unlink()
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**content, "status": "running"}))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (remove("config.json"), ["config.json is missing"]),
        (remove("run.json"), ["run.json is missing"]),
        (cut("run.json"), ["run.json is cut off or damaged"]),
        (cut("config.json"), ["config.json is cut off or damaged"]),
        (remove("policy.safetensors"), ["no policy", "is gone", "--force"]),
        (cut_off, ["no policy", "cut off", "dspctl train --resume"]),
        (cut("policy.safetensors"), ["cut off"]),
        (cut("observations.safetensors"), ["cut off or damaged"]),
        (reschema("run.json"), ["run schema 99", "train again"]),
        (reschema("config.json"), ["run schema 99", "train again"]),
    ],
)
def test_a_damaged_run(
    call: Call, trained: Path, tmp_path: Path, change: Callable[[Path], None], parts: list[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    change(run)
    before = contents(tmp_path)
    assert_sentence(call("compact", run, "-o", tmp_path / "new.safetensors"), *parts)
    assert contents(tmp_path) == before


def test_an_empty_run_folder(call: Call, tmp_path: Path) -> None:
    for words in (["compact"], ["export", "-o", "b"], ["inspect"], ["eval"], ["bench"]):
        done = call(words[0], tmp_path, *words[1:])
        assert_sentence(done, f"there is no run at {tmp_path}", "dspctl train")


def test_nothing_at_the_path(call: Call, tmp_path: Path) -> None:
    for command in SUBJECTS:
        assert_sentence(call(command, tmp_path / "gone"), "there is nothing at", "run folder")


def test_a_path_that_no_system_call_takes(call: Call, policy: Path, tmp_path: Path) -> None:
    """As of one below a folder that is closed to this user, who is not closed out as root."""
    path = tmp_path / ("x" * 300)
    words: list[list[str | Path]] = [[each, path] for each in (*SUBJECTS, "verify", "run")]
    words += [
        ["deploy", path, "--to", tmp_path / "to"],
        ["engine", "build", path],
        ["train", "CartPole-v1", "--method", "kd", "--teacher", path, "-o", tmp_path / "run"],
    ]
    for each in words:
        assert_sentence(call(*each), "File name too long")
    with pytest.raises(errors.KeyNotFound, match="File name too long"):
        public_keys([path])
    with pytest.raises(errors.PolicyNotFound, match="File name too long"):
        load(path)
    with pytest.raises(errors.PolicyNotFound, match="File name too long"):
        open_subjects({"policy": path})
    assert list(tmp_path.iterdir()) == []
    out = tmp_path / ("y" * 250)  # and the temporary folder beside it does not
    done = call("export", policy, "--target", "onnx", "-o", out, "--no-gate")
    assert_sentence(done, f"could not write {out} (File name too long)")


def test_outputs_without_a_name(
    call: Call, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle"
    words = ("export", policy, "--target", "onnx", "--no-gate", "--force", "-o")
    assert call(*words, bundle).code == 0
    before = contents(bundle)
    monkeypatch.chdir(bundle)
    assert call(*words, ".", "--version", "2").code == 0
    assert contents(bundle).keys() == before.keys()
    assert json.loads((bundle / "manifest.json").read_text())["version"] == "2"
    monkeypatch.chdir(tmp_path)
    assert_sentence(call(*words, "/"), "/ holds everything else: choose another path")
    assert_sentence(call(*words, ".."), "holds no manifest.json")
    done = call("compact", policy, "-o", ".", "--force")
    assert_sentence(done, "is a folder: give the name of a file")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_links_that_lead_to_each_other(call: Call, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    loop = tmp_path / "loop"
    for words in (["verify", loop], ["deploy", loop, "--to", tmp_path / "to"], ["inspect", loop]):
        assert_sentence(call(*words), str(loop))
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("shrink.json", ("folder of a search", "policy.safetensors")),
        ("study.json", ("folder of a study", "cells/NAME/run")),
    ],
)
def test_a_folder_of_many(call: Call, tmp_path: Path, file: str, parts: tuple[str, ...]) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / file).write_text("{}")
    before = contents(tmp_path)
    for command in SUBJECTS:
        assert_sentence(call(command, folder), *parts)
    assert contents(tmp_path) == before


def test_a_bundle_is_not_shrunk(call: Call, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    before = contents(tmp_path)
    assert_sentence(call("shrink", tmp_path), "is a bundle", "/policy.safetensors")
    assert contents(tmp_path) == before


# --- policies ---------------------------------------------------------------------------------


def wrong_shape(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    tensors["layers.1.weight"] = tensors["layers.1.weight"][:, :-1].copy()


def nan_weight(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    tensors["layers.0.weight"][0, 0] = np.nan


def missing_tensor(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    del tensors["layers.0.weight"]


def unexpected_tensor(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    tensors["surprise"] = np.zeros(1, np.float32)


def unknown_activation(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    meta["activations"][0] = "gelu"


def other_schema(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    meta["schema"] = 99


def unknown_rule(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    meta["action"]["kind"] = "sample"


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (wrong_shape, ["layer 1 reads"]),
        (nan_weight, ["NaN or infinit"]),
        (missing_tensor, ["layers.0.weight"]),
        (unexpected_tensor, ["surprise"]),
        (unknown_activation, ["'gelu' is not one of tanh, relu, identity"]),
        (other_schema, ["schema 99"]),
        (unknown_rule, ["'sample' is not one of argmax"]),
    ],
)
def test_a_damaged_policy(
    call: Call, damaged: Callable[[Damage], Path], damage: Damage, parts: list[str]
) -> None:
    path = damaged(damage)
    for words in (["inspect"], ["compact", "-o", "n"], ["export", "-o", "n"], ["bench"], ["eval"]):
        done = call(words[0], path, *words[1:])
        assert_sentence(done, str(path), *parts)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_policy(call: Call, policy: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(policy.read_bytes()[:kept])
    assert_sentence(call("inspect", path), str(path), "copy it again")


def test_a_file_of_another_kind(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes " * 100)
    assert_sentence(call("eval", path), str(path))


# --- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["compact", "POLICY", "-o"], ["export", "POLICY", "-o"], ["bench", "POLICY", "-o"]]
)
def test_an_output_that_exists_is_kept(
    call: Call, policy: Path, tmp_path: Path, words: list[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("precious")
    words = [str(policy) if word == "POLICY" else word for word in words]
    assert_sentence(call(*words, taken), str(taken), "exists", "--force")
    assert contents(tmp_path) == {"taken": b"precious"}


def test_force_replaces_bundles_only(call: Call, policy: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("precious")
    done = call("export", policy, "-o", home, "--force")
    assert_sentence(done, "--force will not delete it")
    assert contents(tmp_path) == {"home/thesis.txt": b"precious"}


@pytest.mark.parametrize("command", ["compact", "export"])
@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_what_was_there(
    call: Call,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    there: bool,
) -> None:
    output = tmp_path / "output"
    if there:
        assert call(command, trained, "-o", output).code == 0
    before = contents(tmp_path)

    def full(descriptor: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    done = call(command, trained, "-o", output, "--force")
    assert done.code == EXIT_ERROR
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert "untouched" in done.stderr.splitlines()[-1]
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/tmp/x.c"),
            ["could not write /tmp/x.c (No space left on device)", "free some space", "TMPDIR"],
        ),
        (OSError(errno.EROFS, "Read-only file system"), ["a disk is unusable (Read-only"]),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            ["No usable temporary directory", "TMPDIR"],
        ),
    ],
)
def test_a_bad_disk_is_no_defect_wherever_it_is_met(
    call: Call,
    policy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    parts: list[str],
) -> None:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise error

    monkeypatch.setattr("dspctl.exporter.export", fail)
    words = ("export", policy, "--no-gate", "-o", tmp_path / "bundle")
    assert_sentence(call(*words), *parts)
    assert call("--debug", *words).error is error
    error.errno = errno.EIO
    if not isinstance(error, FileNotFoundError):
        assert call(*words).error is error


# --- running ----------------------------------------------------------------------------------


def test_an_unknown_backend(call: Call, policy: Path) -> None:
    assert_sentence(call("eval", policy, "--backend", "tpu"), "no backend 'tpu'", "numpy")


def test_an_unknown_target(call: Call, policy: Path, tmp_path: Path) -> None:
    done = call("export", policy, "--target", "toaster", "-o", tmp_path / "bundle")
    assert_sentence(done, "no target 'toaster'", "onnx", "cpu")
    assert contents(tmp_path) == {}


def test_a_bundle_with_one_bit_flipped(call: Call, policy: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert call("export", policy, "--target", "onnx", "-o", bundle).code == 0
    data = bytearray((bundle / "policy.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "policy.onnx").write_bytes(data)
    for command in ("inspect", "eval", "bench"):
        assert_sentence(call(command, bundle), "policy.onnx is not the file that was exported")


# --- the shape of it --------------------------------------------------------------------------


def test_debug_shows_the_traceback_wherever_it_stands(call: Call, tmp_path: Path) -> None:
    for words in (
        ["--debug", "inspect", tmp_path / "gone"],
        ["inspect", tmp_path / "gone", "--debug"],
    ):
        assert isinstance(call(*words).error, errors.PolicyNotFound)


def test_a_defect_is_not_dressed_up(
    call: Call, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(trainer, "load_run", broken)
    assert isinstance(call("inspect", trained).error, ZeroDivisionError)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
