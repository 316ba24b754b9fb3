import json
from pathlib import Path

import pytest

from dspctl import __version__
from tests.cli.conftest import Call

COMMANDS = (
    "demo",
    "train",
    "compact",
    "export",
    "verify",
    "keygen",
    "sign",
    "deploy",
    "rollback",
    "run",
    "bench",
    "study",
    "report",
    "eval",
    "inspect",
    "doctor",
    "engine",
)
HEAVY = {"torch", "gymnasium", "onnx", "onnxruntime", "envpool", "matplotlib"}
LOADED = """
import sys, json
from dspctl.__main__ import main
try:
    main()
finally:
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"]])
def test_asking_for_help_loads_nothing_heavy(spawn: Call, words: list[str]) -> None:
    done = spawn(*words, code=LOADED)
    assert done.code == 0
    assert set(json.loads(done.stderr)) & (HEAVY | {"numpy"}) == set()


def test_help_lists_every_command(call: Call) -> None:
    done = call("--help")
    assert done.code == 0
    assert [name for name in COMMANDS if f" {name} " not in done.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(call: Call, command: str) -> None:
    done = call(command, "--help")
    assert done.code == 0
    assert "…" not in done.stdout, "a flag's name does not fit into 80 columns"


def test_without_a_command_the_help_is_shown(call: Call) -> None:
    assert "Commands" in call().stdout


def test_version(call: Call) -> None:
    assert call("--version").stdout == f"dspctl {__version__}\n"


def test_unknown_command_names_the_nearest(call: Call) -> None:
    done = call("trian")
    assert done.code == 2
    assert "train" in done.stderr


def test_a_machine_without_the_training_stack_can_look_at_policies(
    spawn: Call, policy: Path
) -> None:
    without = "import sys\nfor name in " + repr(sorted(HEAVY)) + ": sys.modules[name] = None\n"
    program = f"{without}from dspctl.__main__ import main\nmain()"
    done = spawn("inspect", policy, "--json", code=program)
    assert done.code == 0, done.stderr
    assert done.json()["policy"]["environment"] == "CartPole-v1"
