import sys

import pytest

from dspctl.cli import doctor
from dspctl.cli.checks import CHECKS, Check
from tests.cli.conftest import Call


def test_doctor_tries_everything_here(call: Call) -> None:
    done = call("doctor", "--json")
    assert done.code == 0
    findings = {entry["name"]: entry for entry in done.json()["findings"]}
    assert list(findings) == [check.name for check in CHECKS]
    missing = {name for name, entry in findings.items() if not entry["works"]}
    assert missing <= {"NVIDIA GPU", "tensorrt"}  # these need a machine of their own
    assert "one engine" in findings["tensorrt-rtx"]["found"]
    assert "one step" in findings["Hopper-v5"]["found"]
    assert "one inference" in findings["onnx"]["found"]


def test_what_fails_is_reported_with_its_install_command(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Check("no such check", "nothing", "pip install something", lambda: "")
    monkeypatch.setattr(doctor, "run_checks", lambda: [doctor._run(broken), doctor._run(CHECKS[0])])
    done = call("doctor")
    assert done.code == 0
    assert "missing" in done.stdout
    assert "next: pip install something   # for nothing" in done.stdout


def test_a_broken_requirement_is_exit_1(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Check("no such check", "everything", "pip install dspctl", lambda: "", required=True)
    monkeypatch.setattr(doctor, "run_checks", lambda: [doctor._run(broken)])
    assert call("doctor").code == 1


def test_a_check_that_kills_its_process_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (finding,) = doctor.run_checks(CHECKS[:1])
    assert not finding.works
    assert finding.found == "the process ended with status 1"
