"""`policy act` on this machine: observations in, actions out."""

import json
import struct
import subprocess
from typing import Any

import numpy as np
import pytest

from tests.exporter.native.conftest import Built, CaseOf, Run
from tests.exporter.native.tools import run_bytes
from tests.runtime.policies import plain_action, plain_outputs

KINDS = ["discrete", "held", "continuous", "clipped"]


def test_verify_hash_is_of_the_bits(policy: Run, case: CaseOf) -> None:
    """Outputs from `act --outputs --binary`, hashed here as the documentation says."""
    _, golden = case("discrete")
    result = json.loads(policy("verify", "--json").stdout)
    answers = binary_answers(policy, golden.observations, outputs=True)
    flags = [
        outputs + action + status[:1]
        for action, status, outputs in (
            (each[:4], each[4:8], each[8:])
            for each in (answers[at : at + 24] for at in range(0, len(answers), 24))
        )
    ]
    value = 0xCBF29CE484222325
    for byte in b"".join(flags):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    assert result["bits"]["act"] == f"{value:016x}"


def binary_answers(policy: Run, observations: Any, *, outputs: bool) -> bytes:
    words = ("act", "--binary", *(("--outputs",) if outputs else ()))
    program = policy("--version").args[0]
    done = run_bytes(program, *words, data=observations.astype("<f4").tobytes())
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_act_on_text(policy: Run, case: CaseOf, kind: str) -> None:
    """Against one forward pass written out in plain Python."""
    spec, golden = case(kind)
    valid = golden.observations[golden.status == 0]
    lines = [" ".join(f"{value:.9g}" for value in row) for row in valid.tolist()]
    lines[1] = lines[1].replace(" ", ", ")
    done = policy("act", "--outputs", kind=kind, text="\n".join(lines) + "\n")
    assert done.returncode == 0
    answers = [line.split() for line in done.stdout.splitlines()]
    assert len(answers) == len(valid)
    size = 1 if kind == "discrete" else 4
    for row, words in zip(valid, answers, strict=True):
        action, status, outputs = words[:size], words[size], words[size + 1 :]
        assert status == "0"
        assert [float(each) for each in outputs] == pytest.approx(
            plain_outputs(spec, row), abs=1e-4
        )
        expected = plain_action(spec, row)
        if kind == "discrete":
            assert action == [str(expected)]
        else:
            assert [float(each) for each in action] == pytest.approx(expected, abs=1e-4)


def test_act_flags_what_is_invalid(policy: Run, case: CaseOf) -> None:
    spec, _ = case("discrete")
    rows = np.zeros((4, spec.observation.size))
    rows[1, spec.inputs[0]] = np.nan
    rows[2, spec.inputs[0]] = 3.0
    rows[3, spec.inputs[0]], rows[3, spec.inputs[1]] = np.inf, -3.0
    text = "\n".join(" ".join(map(str, row)) for row in rows.tolist())
    lines = policy("act", text=text).stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["0", "1", "2", "3"]
    safe = str(int(spec.guard.safe_action[0]))
    assert [line.split()[0] for line in lines[1:]] == [safe] * 3


def test_act_holds_the_last_action(policy: Run, case: CaseOf) -> None:
    spec, golden = case("held")
    good = [
        row for row, status in zip(golden.observations, golden.status, strict=True) if not status
    ]
    bad = np.full(spec.observation.size, np.nan)
    rows = [bad, good[0], bad, good[5], bad]
    text = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in rows)
    answers = [line.split() for line in policy("act", kind="held", text=text).stdout.splitlines()]
    assert [status for _, status in answers] == ["1", "0", "1", "0", "1"]
    first, second = (str(plain_action(spec, row)) for row in (good[0], good[5]))
    safe = str(int(spec.guard.safe_action[0]))
    assert [action for action, _ in answers] == [safe, first, first, second, second]


def test_act_on_bytes(policy: Run, case: CaseOf) -> None:
    _, golden = case("discrete")
    data = binary_answers(policy, golden.observations, outputs=False)
    answers = np.frombuffer(data, "<i4").reshape(-1, 2)
    np.testing.assert_array_equal(answers[:, 1], golden.status)
    np.testing.assert_array_equal(answers[:, 0], golden.actions)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0 0 0 0 0 0 0 0 0\n1 2\n", "line 2 has 2 values, this policy reads 9"),
        ("0 0 0 0 0 0 0 0 0 0\n", "line 1 has 10 values, this policy reads 9"),
        ("0 0 0 0 zero 0 0 0 0\n", "line 1: value 5 is not a number"),
        ("0 0 0 0 0x 0 0 0 0\n", "line 1: value 5 is not a number"),
        ("\n", "line 1 has 0 values"),
        ("0 0 0 0 0 0 0 0\0 0\n", "line 1 holds a zero byte: did you mean --binary?"),
    ],
)
def test_act_refuses_malformed_text(policy: Run, text: str, sentence: str) -> None:
    done = policy("act", text=text)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stdout.splitlines()) == max(0, text.count("\n") - 1)


def test_act_refuses_a_cut_observation(policy: Run) -> None:
    program = policy("--version").args[0]
    done = run_bytes(program, "act", "--binary", data=struct.pack("<13f", *[0.0] * 13))
    assert done.returncode == 2
    assert b"observation 2 has 16 bytes, this policy reads 36" in done.stderr
    assert len(done.stdout) == 8


def test_act_answers_before_its_input_ends(built: Built) -> None:
    _, folder = built("cpu")
    with subprocess.Popen(
        [folder / "policy", "act"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write("0 0 0 0 0 0 0 0 0\n")
            process.stdin.flush()
            assert process.stdout.readline().split()[1] == "0"
        process.stdin.close()
    assert process.returncode == 0
