import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from dspctl.benchmarks.record.decode import decode
from dspctl.benchmarks.record.machine import Machine, describe_machine


def test_this_machine() -> None:
    machine = describe_machine()
    assert machine.cores >= 1
    assert machine.cpu
    assert machine.libraries["numpy"] == np.__version__
    assert machine.python.startswith(("CPython", "PyPy"))
    assert decode(Machine, json.loads(json.dumps(machine.to_json())), "machine") == machine


def test_a_board_without_a_model_name(tmp_path: Path) -> None:
    for name, text in {
        "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 62.50\nCPU part\t: 0xd42\n",
        "proc/meminfo": "MemTotal:       32000000 kB\nMemFree: 1 kB\n",
        "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    machine = describe_machine(tmp_path)
    assert machine.cpu == machine.board == "NVIDIA Jetson AGX Orin Developer Kit"
    assert machine.governor == "schedutil"
    assert machine.memory_bytes == 32_000_000 * 1024
    assert not machine.virtual


def test_a_system_without_proc(tmp_path: Path) -> None:
    machine = describe_machine(tmp_path)
    assert machine.governor is None
    assert machine.memory_bytes is None
    assert machine.cpu


def test_notes_say_what_to_do() -> None:
    quiet = replace(describe_machine(), cores=4, load_average=(0.1, 0.0, 0.0), governor=None)
    assert quiet.notes() == ()
    busy = replace(quiet, load_average=(3.0, 0.0, 0.0)).notes()
    assert len(busy) == 1
    assert "stop other programs" in busy[0]
