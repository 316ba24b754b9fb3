"""The commands that work on what training left behind, and what they print."""

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from dspctl import __version__, trainer
from dspctl.cli.bench import labels
from dspctl.exporter import TARGETS, export
from dspctl.runtime import BACKENDS, load, load_policy
from dspctl.runtime.bundle import open_bundle
from tests.cli.conftest import Call

FAST = ["--seconds", "0.1", "--no-memory", "--executions", "1", "--episodes", "0"]


@pytest.fixture(scope="module")
def exported(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "bundle"
    return export(load_policy(policy), "cpu", path).path


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    path = tmp_path / "bundle"
    return Path(shutil.copytree(exported, path))


# --- compact ----------------------------------------------------------------------------------


def test_compact_writes_a_policy_that_acts_as_the_run_does(
    call: Call, trained: Path, tmp_path: Path
) -> None:
    output = tmp_path / "policy.safetensors"
    report = call("compact", trained, "-o", output, "--json").json()
    run = trainer.load_run(trained)
    masked, compacted = run.policy(), load_policy(output)
    kept = [int(layer.kept.sum()) for layer in masked.hidden]
    assert list(compacted.counts.units) == kept
    assert sum(kept) == 16  # half of 16-16
    assert not compacted.masked
    observations = run.observations().astype(np.float64)
    np.testing.assert_allclose(
        compacted.outputs(observations), masked.outputs(observations), atol=1e-6
    )
    assert report["output"] == str(output)
    assert report["after"]["units"] == kept
    assert report["sparsity"]["units"] == 0.5
    assert sum(row["removed"] for row in report["summary"]) >= 16


def test_compact_prints_what_left_and_the_proof(call: Call, trained: Path, tmp_path: Path) -> None:
    shown = call("compact", trained, "-o", tmp_path / "p.safetensors").stdout
    for part in ("What left", "masked", "Size", "16-16", "50.0%", "Proof", "recorded", "next: "):
        assert part in shown


def test_compacting_a_bare_policy_records_its_own_observations(
    call: Call, trained: Path, tmp_path: Path
) -> None:
    done = call("compact", trained / "policy.safetensors", "-o", tmp_path / "p", "--json")
    assert "recording observations in CartPole-v1" in done.stderr
    assert done.json()["proof"]["recorded"] > 100


def test_compacting_twice_changes_nothing(call: Call, policy: Path, tmp_path: Path) -> None:
    done = call("compact", policy, "-o", tmp_path / "again.safetensors")
    assert "minimal already" in done.stdout
    assert (tmp_path / "again.safetensors").read_bytes() == policy.read_bytes()


# --- export -----------------------------------------------------------------------------------

QUICK = ["--episodes", "2"]


def test_export_writes_a_bundle_for_this_machine(call: Call, policy: Path, tmp_path: Path) -> None:
    report = call("export", policy, "-o", tmp_path / "b", *QUICK, "--json").json()
    opened = open_bundle(tmp_path / "b")
    assert list(opened.manifest.targets) == report["targets"] == ["cpu"]
    assert set(report["files"]) == set(opened.data)
    assert all(artefact["passed"] for artefact in report["artefacts"])
    (need,) = report["native"].values()
    assert need["flash_bytes"] > 0
    assert opened.manifest.observation.rate_hz == 50  # CartPole's own
    assert opened.manifest.name == "cartpole_v1"


def test_export_lets_the_artefact_play(call: Call, policy: Path, tmp_path: Path) -> None:
    report = call("export", policy, "-o", tmp_path / "b", *QUICK, "--json").json()
    gate = report["gate"]
    expected = trainer.evaluate(
        load(policy), "CartPole-v1", episodes=2, seed=trainer.EVALUATION_SEED
    )
    assert gate["artefact_returns"] == gate["policy_returns"] == list(expected.returns)
    assert gate["artefact"].startswith("native/")
    assert json.loads(open_bundle(tmp_path / "b").data["gate.json"]) == gate
    assert gate["observations"] == sum(expected.lengths)


def test_export_takes_its_options(call: Call, policy: Path, tmp_path: Path) -> None:
    words = (
        "-t",
        "onnx",
        "-t",
        "cpu",
        "--name",
        "pole",
        "--version",
        "2.1",
        "--strict",
        "--no-gate",
    )
    guard = ("--on-invalid", "hold", "--safe-action", "1", "--range", "finite", "--hz", "20")
    done = call("export", policy, "-o", tmp_path / "b", *words, *guard, "--no-gate")
    assert done.code == 0, done.stderr
    for part in ("pole, version 2.1", "onnx, cpu", "hold", "gate", "not played", "Native code"):
        assert part in done.stdout
    opened = open_bundle(tmp_path / "b")
    assert opened.manifest.version == "2.1"
    assert opened.manifest.observation.rate_hz == 20
    assert opened.policy.guard.on_invalid == "hold"
    assert opened.policy.guard.safe_action.tolist() == [1]
    assert opened.manifest.observation.features[0].high is None
    assert "gate.json" not in opened.data


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-t", "toaster"], "there is no target 'toaster'"),
        (["--safe-action", "left"], "the safe action 'left' is not made of numbers"),
        (["--safe-action", "7"], "safe action cannot be used"),
        (["--on-invalid", "stop"], "there is no rule 'stop'"),
        (["--range", "wide"], "there is no valid range 'wide'"),
        (["--name", "int"], "'int' cannot prefix C functions"),
        (["--flash-limit", "10"], "10: train with a higher --sparsity"),
        (["--gate", "NoSuchEnv-v0"], "there is no environment 'NoSuchEnv-v0'"),
        (["--gate", "Acrobot-v1"], "Acrobot-v1 observes 6 features and takes 3 choices"),
    ],
)
def test_export_refuses_and_leaves_nothing(
    call: Call, policy: Path, tmp_path: Path, words: list[str], sentence: str
) -> None:
    done = call("export", policy, "-o", tmp_path / "b", *QUICK, *words)
    assert done.code == 2
    assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- verify -----------------------------------------------------------------------------------


def test_verify_a_bundle(call: Call, bundle: Path) -> None:
    done = call("verify", bundle)
    assert done.code == 0, done.stderr
    for part in ("none changed", "native", "onnxruntime", "numpy", "verified"):
        assert part in done.stdout
    assert "dspctl engine build" in done.stderr  # what TensorRT lacks
    report = call("verify", bundle, "--json").json()
    assert report["passed"] is True
    states = {entry["name"].split(",")[0]: entry["state"] for entry in report["backends"]}
    assert states == {
        "native": "passed",
        "onnxruntime": "passed",
        "tensorrt": "not here",
        "numpy": "passed",
    }


def test_verify_needs_the_base_installation_only(spawn: Call, bundle: Path) -> None:
    absent = ["torch", "gymnasium", "onnx", "onnxruntime", "jinja2", "elftools", "ziglang"]
    without = f"import sys\nfor name in {absent!r}: sys.modules[name] = None\n"
    done = spawn("verify", bundle, code=f"{without}from dspctl.__main__ import main\nmain()")
    assert done.code == 0, done.stderr
    assert "verified" in done.stdout
    assert "pip install" in done.stderr  # what ONNX Runtime would need


def test_verify_refuses_what_was_changed(call: Call, bundle: Path) -> None:
    (bundle / "README.md").write_text("other")
    done = call("verify", bundle)
    assert done.code == 2
    assert "README.md is not the file that was exported" in done.stderr
    (bundle / "README.md").unlink()
    assert "README.md is missing" in call("verify", bundle).stderr


def test_verify_fails_where_a_backend_computes_something_else(
    call: Call, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dspctl.runtime.backends.numpy_runner import NumpyRunner

    outputs = NumpyRunner.outputs
    monkeypatch.setattr(NumpyRunner, "outputs", lambda self, x: outputs(self, x) + 1)
    done = call("verify", bundle)
    assert done.code == 1
    assert "FAILED: do not use this bundle here" in done.stdout


def test_export_compacts_a_run_on_the_way(call: Call, trained: Path, tmp_path: Path) -> None:
    done = call("export", trained, "-o", tmp_path / "b", *QUICK, "--json")
    exported = open_bundle(tmp_path / "b").policy
    assert sum(exported.counts.units) == 16
    assert not exported.masked
    assert "compacted to" in done.stderr


def test_the_targets_in_the_help_are_the_targets(call: Call) -> None:
    shown = re.findall(r"[\w-]+", call("export", "--help").stdout)
    assert [name for name in TARGETS if name not in shown] == []


# --- eval -------------------------------------------------------------------------------------


def test_eval_gives_what_the_library_gives(call: Call, policy: Path) -> None:
    report = call("eval", policy, "--episodes", "4", "--seed", "7", "--json").json()
    with load(policy) as runner:
        expected = trainer.evaluate(runner, "CartPole-v1", episodes=4, seed=7)
    assert report["returns"] == list(expected.returns)
    assert report["mean"] == pytest.approx(sum(expected.returns) / 4)
    assert report["backend"] == "numpy"


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "tensorrt"])
def test_every_backend_earns_the_same(call: Call, policy: Path, bundle: Path, backend: str) -> None:
    words = ("--episodes", "3", "--seed", "1", "--json")
    reference = call("eval", policy, *words).json()
    report = call("eval", bundle, "--backend", backend, *words).json()
    assert report["backend"] == backend
    assert report["returns"] == reference["returns"]


def test_eval_of_a_run_prints_the_interval(call: Call, trained: Path) -> None:
    shown = call("eval", trained, "--episodes", "3").stdout
    for part in ("CartPole-v1", "95% interval", "over 3 episodes", "steps on average"):
        assert part in shown


# --- inspect ----------------------------------------------------------------------------------


def test_inspect_a_run(call: Call, trained: Path) -> None:
    report = call("inspect", trained, "--json").json()
    assert (report["kind"], report["status"]) == ("run", "finished")
    assert report["config"]["hidden"] == [16, 16]
    shown = call("inspect", trained).stdout
    for part in ("finished", "dsp, sparsity 0.5, seed 0", "of 16-16", "next: dspctl compact"):
        assert part in shown


def test_inspect_a_masked_policy(call: Call, trained: Path) -> None:
    report = call("inspect", trained / "policy.safetensors", "--json").json()["policy"]
    assert report["masked"]
    assert [layer["units"] for layer in report["layers"]] == [16, 16, 2]
    assert sum(layer["kept"] for layer in report["layers"][:-1]) == 16
    assert "masked)" in call("inspect", trained / "policy.safetensors").stdout


def test_inspect_a_bundle(call: Call, bundle: Path) -> None:
    report = call("inspect", bundle, "--json").json()
    assert report["kind"] == "bundle"
    assert report["manifest"]["targets"] == ["cpu"]
    lineage = report["policy"]["lineage"]
    assert lineage["method"] == "dsp"
    packages = {name: version(name) for name in ("gymnasium", "numpy")}
    assert lineage["packages"] == packages
    materials = json.loads((bundle / "bom.cdx.json").read_text())["components"]
    trained = {each["name"]: each["version"] for each in materials if "training" in str(each)}
    assert trained == {"dspctl": __version__, **packages}
    shown = call("inspect", bundle).stdout
    assert f"gymnasium {packages['gymnasium']}, numpy" in shown
    for part in (
        "policy.onnx",
        "output error at most",
        "flag, safe action 0",
        "argmax of 2 outputs",
        "from 16-16",
    ):
        assert part in shown


def test_inspect_survives_a_strange_lineage(call: Call, policy: Path, tmp_path: Path) -> None:
    from dspctl.runtime import save_policy

    strange = load_policy(policy).with_lineage(compacted=[1, {"a": 2}], steps={"x": None})
    path = save_policy(strange, tmp_path / "strange.safetensors")
    assert call("inspect", path).code == 0


# --- bench ------------------------------------------------------------------------------------


def test_bench_compares_with_a_baseline(
    call: Call, policy: Path, bundle: Path, tmp_path: Path
) -> None:
    output, pictures = tmp_path / "result.json", tmp_path / "pictures"
    words = ["--against", policy, "-o", output, "--plots", pictures, *FAST, "--json"]
    report = call("bench", bundle, *words).json()
    assert report == json.loads(output.read_text())
    assert [subject["label"] for subject in report["subjects"]] == ["policy", "bundle"]
    expected = {"c", "torch", *BACKENDS} - {"tensorrt"}  # no plan is built
    assert {entry["backend"] for entry in report["latency"]} == expected
    assert {entry["backend"] for entry in report["paced"]} == expected
    assert report["memory"] == []
    ratios = {entry["quantity"]: entry["value"]["estimate"] for entry in report["ratios"]}
    assert ratios["weights"] == 1.0
    assert {path.name for path in pictures.iterdir()} == {"latency.png", "card.png"}


def test_bench_prints_percentiles_and_ratios(call: Call, policy: Path, bundle: Path) -> None:
    done = call("bench", bundle, "--against", policy, "--backend", "numpy", *FAST)
    for part in ("p50", "p99.9", "parameters", "policy / bundle: above 1, bundle is faster"):
        assert part in done.stdout
    for part in ("Paced: a control loop at 100 Hz", "from the intended start", "0/5"):
        assert part in done.stdout + done.stderr
    assert "bundle is " in done.stdout


def test_bench_goes_on_with_an_interrupted_result(call: Call, policy: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    words = ["bench", policy, "--backend", "numpy", *FAST, "-o", output]
    assert call(*words).code == 0
    whole = json.loads(output.read_text())
    again = call(*words)
    assert again.code == 2
    assert "it is complete: name another file, or replace it with --force" in again.stderr
    assert json.loads(output.read_text()) == whole
    output.write_text(json.dumps({**whole, "status": "partial"}))
    assert call(*words).code == 0
    assert json.loads(output.read_text())["latency"] == whole["latency"]
    assert call(*words, "--force").code == 0


def test_bench_keeps_an_older_result_that_nothing_replaced(
    call: Call, policy: Path, bundle: Path, tmp_path: Path
) -> None:
    output = tmp_path / "result.json"
    assert call("bench", policy, "--backend", "numpy", *FAST, "-o", output).code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert len(before) > 1  # the raw samples are beside it
    spoiled = tmp_path / "spoiled.bundle"
    shutil.copytree(bundle, spoiled)
    (spoiled / "manifest.json").write_text("{}")
    done = call("bench", spoiled, "--backend", "numpy", *FAST, "-o", output, "--force")
    assert done.code == 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_bench_plays_the_policies_on_common_seeds(call: Call, policy: Path, bundle: Path) -> None:
    few = [word if word != "0" else "3" for word in FAST]
    report = call("bench", bundle, "--against", policy, "--backend", "numpy", *few, "--json").json()
    one, two = report["returns"]
    assert len(one["returns"]) == 3
    assert one["returns"] == two["returns"]  # the same policy, in a file and in a bundle
    (difference,) = report["differences"]
    assert difference["difference"]["estimate"] == 0
    assert "shows no difference in return" in report["verdict"]


def test_bench_sweeps_the_width(call: Call, policy: Path) -> None:
    done = call("bench", policy, "--sweep-width", "4,8", "--backend", "numpy", *FAST)
    assert done.code == 0, done.stderr
    assert "Fastest is numpy from width 4 to 8." in done.stdout
    for words in (["4"], ["four,8"], ["4,8", "--against", policy]):
        refused = call("bench", policy, "--sweep-width", *words, *FAST)
        assert refused.code == 2
        assert "width" in refused.stderr


def test_bench_compares_two_results(call: Call, policy: Path, tmp_path: Path) -> None:
    words = ["--backend", "numpy", *FAST, "--hz", "1000", "--paced-seconds", "0.5", "-o"]
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    for path in (first, second):
        assert call("bench", policy, *words, path).code == 0
    done = call("bench", "--compare", first, second)
    assert done.code == 0
    assert "a.json / b.json: above 1, the second is faster" in done.stdout
    assert "paced, call p50" in done.stdout
    figures = call("bench", "--compare", first, second, "--json").json()["figures"]
    assert {one["backend"] for one in figures} == {"numpy"}
    assert call("bench", policy, "--compare", first, second).code == 2
    other = tmp_path / "c.json"
    assert call("bench", policy, *words, other, "--hz", "2000").code == 0
    refused = call("bench", "--compare", first, other)
    assert refused.code == 2
    assert "different conditions (hz 1000.0 and 2000.0)" in refused.stderr


def test_bench_runs_a_control_loop_as_asked(call: Call, policy: Path) -> None:
    pace = ["--hz", "1000", "--paced-seconds", "0.2", "--cpu", "1000000", "--mlock"]
    done = call("bench", policy, "--backend", "numpy", *FAST, *pace, "--json")
    (figures,) = done.json()["paced"]
    assert (figures["rate_hz"], figures["period_ns"], figures["steps"]) == (1000, 1_000_000, 200)
    assert set(figures["latency_ns"]) == {"min", "mean", "p50", "p90", "p99", "p99_9", "max"}
    assert set(figures["latency_ns"]) == set(figures["wakeup_ns"]) == set(figures["inference_ns"])
    asked = done.json()["scheduling"]
    assert asked["fifo"] is None
    assert asked["mlock"]["value"] == 1
    assert (asked["cpu"]["value"], asked["cpu"]["granted"]) == (1_000_000, False)


def test_bench_says_what_was_refused(call: Call, policy: Path) -> None:
    done = call("bench", policy, "--backend", "numpy", *FAST, "--cpu", "1000000")
    assert done.code == 0
    assert "running on processor 1000000 alone was refused" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--hz", "20"], "must be from 50 to 10,000 Hz"),
        (["--fifo", "100"], "from 1 to 99, not 100"),
        (["--cpu", "-1"], "0 or more, not -1"),
    ],
)
def test_bench_refuses_what_no_loop_can_have(
    call: Call, policy: Path, words: list[str], sentence: str
) -> None:
    done = call("bench", policy, *FAST, *words)
    assert done.code == 2
    assert sentence in done.stderr


def test_bench_compacts_a_run_first(call: Call, trained: Path) -> None:
    report = call("bench", trained, "--backend", "numpy", *FAST, "--json").json()
    (subject,) = report["subjects"]
    assert (sum(subject["units"]), subject["masked"]) == (16, False)
    assert "recorded observations" in report["settings"]["observations"]


def test_labels_are_short_where_they_can_be() -> None:
    assert list(labels([Path("a/x.safetensors"), Path("b/bundle")])) == ["x", "bundle"]
    assert list(labels([Path("a/bundle"), Path("b/bundle")])) == ["a/bundle", "b/bundle"]
    assert len(labels([Path("b"), Path("b")])) == 2
