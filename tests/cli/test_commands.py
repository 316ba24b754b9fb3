"""The commands that work on what training left behind, and what they print."""

import json
from pathlib import Path

import numpy as np
import pytest

from dspctl import trainer
from dspctl.cli.bench import labels
from dspctl.exporter import TARGETS
from dspctl.runtime import BACKENDS, load, load_policy
from dspctl.runtime.bundle import open_bundle
from tests.cli.conftest import Call

FAST = ["--seconds", "0.1", "--no-memory"]


@pytest.fixture
def bundle(call: Call, policy: Path, tmp_path: Path) -> Path:
    path = tmp_path / "bundle"
    assert call("export", policy, "-o", path).code == 0
    return path


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


@pytest.mark.parametrize("target", TARGETS)
def test_export_writes_a_bundle(call: Call, policy: Path, tmp_path: Path, target: str) -> None:
    report = call("export", policy, "--target", target, "-o", tmp_path / "b", "--json").json()
    opened = open_bundle(tmp_path / "b")
    assert opened.manifest.target == report["target"] == target
    assert set(report["files"]) == {path.name for path in (tmp_path / "b").iterdir()}
    assert [parity["disagreements"] for parity in report["parity"]] == [0]


def test_export_compacts_a_run_on_the_way(call: Call, trained: Path, tmp_path: Path) -> None:
    done = call("export", trained, "-o", tmp_path / "b", "--json")
    exported = open_bundle(tmp_path / "b").policy
    assert sum(exported.counts.units) == 16
    assert not exported.masked
    assert "compacted to" in done.stderr


def test_the_targets_in_the_help_are_the_targets(call: Call) -> None:
    assert f" {'|'.join(TARGETS)} " in call("export", "--help").stdout


# --- eval -------------------------------------------------------------------------------------


def test_eval_gives_what_the_library_gives(call: Call, policy: Path) -> None:
    report = call("eval", policy, "--episodes", "4", "--seed", "7", "--json").json()
    with load(policy) as runner:
        expected = trainer.evaluate(runner, "CartPole-v1", episodes=4, seed=7)
    assert report["returns"] == list(expected.returns)
    assert report["mean"] == pytest.approx(sum(expected.returns) / 4)
    assert report["backend"] == "numpy"


@pytest.mark.parametrize("backend", BACKENDS)
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
    assert report["manifest"]["target"] == "cpu"
    assert report["policy"]["lineage"]["method"] == "dsp"
    shown = call("inspect", bundle).stdout
    for part in ("policy.onnx", "0 actions differ", "argmax of 2 outputs", "from 16-16"):
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
    assert {entry["backend"] for entry in report["latency"]} == set(BACKENDS)
    assert report["memory"] == []
    ratios = {entry["quantity"]: entry["value"]["estimate"] for entry in report["ratios"]}
    assert ratios["weights"] == 1.0
    assert {path.name for path in pictures.iterdir()} == {"latency.png", "card.png"}


def test_bench_prints_percentiles_and_ratios(call: Call, policy: Path, bundle: Path) -> None:
    done = call("bench", bundle, "--against", policy, "--backend", "numpy", *FAST)
    for part in ("p50", "p99.9", "parameters", "policy / bundle", "median latency"):
        assert part in done.stdout


def test_bench_compacts_a_run_first(call: Call, trained: Path) -> None:
    report = call("bench", trained, "--backend", "numpy", *FAST, "--json").json()
    (subject,) = report["subjects"]
    assert (sum(subject["units"]), subject["masked"]) == (16, False)
    assert "recorded observations" in report["settings"]["observations"]


def test_labels_are_short_where_they_can_be() -> None:
    assert list(labels([Path("a/x.safetensors"), Path("b/bundle")])) == ["x", "bundle"]
    assert list(labels([Path("a/bundle"), Path("b/bundle")])) == ["a/bundle", "b/bundle"]
    assert len(labels([Path("b"), Path("b")])) == 2
