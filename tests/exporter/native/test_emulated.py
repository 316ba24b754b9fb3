"""What was built for other machines, run on emulated ones: correctness, never timing."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dspctl.exporter.native.boards import BOARDS, build_board_check
from dspctl.exporter.native.targets import NATIVE_TARGETS
from tests.exporter.native.conftest import NAME, Built, CaseOf
from tests.exporter.native.tools import lines_of, needs, run, run_bytes, write_files

# The oldest processor that QEMU knows and the target promises to run on: an instruction that it
# lacks ends the program.
EMULATED = {
    "aarch64": "cortex-a53",  # plain ARMv8.0
    "jetson-xavier": "cortex-a76",  # ARMv8.2 with half precision, as Carmel
    "jetson-orin": "cortex-a76",  # the Cortex-A78AE's predecessor
    "jetson-thor": "max,sve128=on",  # Armv9 with SVE2, vectors of 128 bits
}
KINDS = ["discrete", "held", "continuous", "clipped"]


def emulate(
    target: str, folder: Path, *words: str, text: str = ""
) -> "subprocess.CompletedProcess[str]":
    needs("qemu-aarch64")
    return run("qemu-aarch64", "-cpu", EMULATED[target], folder / "policy", *words, text=text)


def run_board(target: str, program: bytes, folder: Path) -> "subprocess.CompletedProcess[str]":
    needs("qemu-system-arm")
    write_files(folder, {"policy.elf": program})
    return run(*BOARDS[target].command(folder / "policy.elf"))


def test_every_target_has_its_emulator() -> None:
    arms = {name for name, target in NATIVE_TARGETS.items() if target.architecture != "x86_64"}
    assert arms == EMULATED.keys() | BOARDS.keys()


@pytest.mark.parametrize("target", EMULATED)
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_commands_verify_on_arm(built: Built, case: CaseOf, target: str, kind: str) -> None:
    _, folder = built(target, kind)
    done = emulate(target, folder, "verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["passed"], result["differences"]) == (True, 0)
    assert result["rows"] == len(case(kind).golden.observations)
    assert result["target"] == target
    assert 0 < result["largest_bound_share"] < 1


def test_act_on_arm(built: Built, case: CaseOf) -> None:
    _, folder = built("jetson-orin")
    golden = case("discrete").golden
    needs("qemu-aarch64")
    words = ("qemu-aarch64", folder / "policy", "act", "--binary", "--outputs")
    done = run_bytes(*words, data=golden.observations.astype("<f4").tobytes())
    assert done.returncode == 0
    answers = np.frombuffer(done.stdout, "<i4").reshape(-1, 6)
    np.testing.assert_array_equal(answers[:, 0], golden.actions)
    np.testing.assert_array_equal(answers[:, 1], golden.status)
    outputs = np.ascontiguousarray(answers[:, 2:]).view(np.float32)
    assert (np.abs(outputs - golden.outputs) <= golden.output_bound[:, None]).all()
    refused = emulate("jetson-orin", folder, "act", text="1 2 3\n")
    assert (refused.returncode, refused.stdout) == (2, "")


def test_bench_on_arm(built: Built) -> None:
    """Only that it measures: an emulator's times mean nothing."""
    _, folder = built("jetson-orin")
    done = emulate("jetson-orin", folder, "bench", "--json", "--seconds", "0.1", "--hz", "50")
    result = json.loads(done.stdout)
    assert result["paced"]["samples"] == 5
    assert result["back_to_back"]["single"]["samples"] > 0
    assert result["target"] == "jetson-orin"


@pytest.mark.parametrize("target", BOARDS)
@pytest.mark.parametrize("kind", KINDS)
def test_boards_verify(built: Built, case: CaseOf, target: str, kind: str, tmp_path: Path) -> None:
    needs("qemu-system-arm")
    policy, golden = case(kind)
    program = build_board_check(policy, NAME, NATIVE_TARGETS[target], golden)
    done = run_board(target, program, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("passed\n")
    said = lines_of(done)
    assert (said["rows"], said["differences"]) == (str(len(golden.observations)), "0")
    # The stack that a call was seen to use, against the bound that the header states. The
    # functions that make the calls on the board have frames too.
    build, _ = built(target, kind)
    stated = build.report["stack"]["stated_bytes"] + 32
    assert 0 < int(said["act_stack_bytes"]) <= stated
    assert 0 < int(said["outputs_stack_bytes"]) <= stated


def test_a_board_tells_of_a_difference(case: CaseOf, tmp_path: Path) -> None:
    needs("qemu-system-arm")
    policy, golden = case("clipped")
    golden.actions[5, 2] += 1
    try:
        program = build_board_check(policy, NAME, NATIVE_TARGETS["cortex-m4"], golden)
    finally:
        golden.actions[5, 2] -= 1
    done = run_board("cortex-m4", program, tmp_path)
    assert done.returncode == 1
    assert "difference in act, action, row 5\n  index 2\n" in done.stderr
    assert done.stderr.endswith("FAILED\n")


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_strict_gives_the_same_bits_everywhere(
    built: Built, case: CaseOf, kind: str, tmp_path: Path
) -> None:
    """x86-64 by gcc, aarch64 and Thumb by clang: three instruction sets, one set of bits."""
    policy, golden = case(kind)
    bits = {}
    _, folder = built("cpu", kind, strict=True)
    result = json.loads(run(folder / "policy", "verify", "--json").stdout)
    bits["cpu"] = (result["bits"]["act"], result["bits"]["act_batch"])
    for target in ("aarch64", "jetson-thor"):
        _, folder = built(target, kind, strict=True)
        result = json.loads(emulate(target, folder, "verify", "--json").stdout)
        assert result["numeric_mode"] == "strict"
        bits[target] = (result["bits"]["act"], result["bits"]["act_batch"])
    for target in BOARDS:
        resolved = NATIVE_TARGETS[target]
        program = build_board_check(policy, NAME, resolved, golden, strict=True)
        said = lines_of(run_board(target, program, tmp_path))
        bits[target] = (said["act_bits"], said["act_batch_bits"])
    assert len(set(bits.values())) == 1, bits
