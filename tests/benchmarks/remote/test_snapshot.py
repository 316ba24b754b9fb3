import subprocess
from pathlib import Path

import pytest

from dspctl.benchmarks.device.identity import describe_device
from dspctl.benchmarks.device.ina3221 import read_rails
from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.remote.connection import Connection
from dspctl.benchmarks.remote.description import machine_of, processor_of
from dspctl.benchmarks.remote.snapshot import (
    NEEDED,
    SCRIPT,
    check_programs,
    snapshot,
    unpack,
)
from dspctl.errors import HostAnswer, HostUnsuitable
from tests.benchmarks.device import boards
from tests.benchmarks.remote.board import (
    HOST,
    Board,
    busybox_programs,
    links,
    system_programs,
)
from tests.exporter.native.tools import needs

SHELLS = ["sh", "busybox"]


def printed(root: Path | str, shell: str, folder: Path) -> bytes:
    """What the script prints with this machine's programs, or with BusyBox and nothing else."""
    needs(shell)
    names = [*NEEDED, "sh", "grep", "nproc"]
    programs = busybox_programs(names) if shell == "busybox" else system_programs(names)
    path = links(folder / "bin", programs)
    return subprocess.run(
        [str(path / "sh"), "-c", SCRIPT, "sh", str(root)],
        capture_output=True,
        check=True,
        env={"PATH": str(path)},
    ).stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("board", boards.BOARDS.values(), ids=boards.BOARDS.keys())
def test_every_board_reads_the_same_from_its_snapshot(
    tmp_path: Path, board: boards.Board, shell: str
) -> None:
    files = {
        **board.files(),
        **boards.cpufreq(12, "schedutil", 115_200, 2_201_600, 1_190_400),
        **boards.devfreq("17000000.gpu", "nvhost_podgov", 306_000_000, 1_300_500_000, 306_000_000),
        **boards.zone(0, "cpu-thermal", 52_968),
        **boards.zone(10, "gpu-thermal", -256_000),
        **boards.cooling(1, "cpufreq-cpu0", 2, 6),
        **boards.hwmon("1-0040", ("VDD_GPU_SOC", 5000, 1028), ("NC", 1, 2)),
        "var/lib/nvpmodel/status": "pmode:0002 fmode:cool\n",
        "etc/nvpmodel.conf": "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
    }
    root, tree = boards.write(tmp_path / "board", files), tmp_path / "tree"
    unpack(printed(root, shell, tmp_path), tree)
    assert describe_device(tree) == describe_device(root)
    assert read_rails(tree) == read_rails(root) == {"VDD_GPU_SOC": pytest.approx(5.14)}
    read = {name: text for name, text in files.items() if not name.endswith("hwmon3/name")}
    assert {name: (tree / name).read_text() for name in read} == read


def test_a_release_that_only_the_package_manager_knows_is_read(tmp_path: Path) -> None:
    status = (
        "Package: bash\nStatus: install ok installed\nVersion: 5\n\n"
        "Package: nvidia-l4t-core\nStatus: install ok installed\nVersion: 36.4.3-2025\n\n"
        "Package: zsh\nStatus: install ok installed\nVersion: 5\n"
    )
    root = boards.write(tmp_path / "board", {"var/lib/dpkg/status": status})
    unpack(printed(root, "sh", tmp_path), tmp_path / "tree")
    assert describe_device(tmp_path / "tree").l4t == "36.4.3"
    assert "zsh" not in (tmp_path / "tree/var/lib/dpkg/status").read_text()


@pytest.mark.parametrize("shell", SHELLS)
def test_this_machine_is_described_as_it_describes_itself(tmp_path: Path, shell: str) -> None:
    unpack(printed("", shell, tmp_path), tmp_path / "tree")
    here, there = describe_machine(), machine_of(tmp_path / "tree")
    for name in ("cpu", "board", "architecture", "cores", "memory_bytes", "virtual", "system"):
        assert getattr(there, name) == getattr(here, name), name
    assert there.load_average is not None
    assert (there.python, there.libraries, there.threads) == ("", {}, {})


def test_what_only_this_machine_knows_is_not_told_of_another(tmp_path: Path) -> None:
    tree = boards.write(tmp_path, {"uname/machine": "riscv64\n", "uname/system": "Linux 6.6\n"})
    machine = machine_of(tree)
    assert (machine.cpu, machine.architecture, machine.system) == (
        "riscv64",
        "riscv64",
        "Linux 6.6",
    )
    assert (machine.cores, machine.memory_bytes, machine.load_average) == (1, None, None)
    assert processor_of(tree).architecture == "riscv64"


def test_the_kernel_decides_the_architecture(tmp_path: Path) -> None:
    cpuinfo = "processor\t: 0\nmodel name\t: A\nflags\t\t: fpu lm sse4_2\n\n"
    tree = boards.write(tmp_path, {"proc/cpuinfo": cpuinfo, "uname/machine": "i686\n"})
    assert processor_of(tree).architecture == "i686"  # a 64-bit processor with a 32-bit system
    (tree / "uname/machine").write_text("arm64\n")
    assert processor_of(tree).architecture == "aarch64"


@pytest.mark.parametrize(
    "listed",
    [
        b"f ../../etc/passwd\n41\n.\nend\n",
        b"f proc/../../x\n41\n.\nend\n",
        b"f /etc/passwd\n41\n.\nend\n",
        b"f proc/./x\n41\n.\nend\n",
        b"f proc//x\n41\n.\nend\n",
        b"f proc\n41\n.\nf proc/x\n41\n.\nend\n",
        b"f home/x\n41\n.\nend\n",
        b"f proc/a b\n41\n.\nend\n",
        b"f proc/\x1b[2J\n41\n.\nend\n",
        b"f proc/x\nzz\n.\nend\n",
        b"f proc/x\n4\n.\nend\n",
        b"f proc/x\n41\n.\nf proc/x\n42\n.\nend\n",
        b"f proc/x\n41\n.\n",
        b"f proc/x\n41\nend\n",
        b"g proc/x\n41\n.\nend\n",
        b"f proc/" + b"a/" * 200 + b"x\n41\n.\nend\n",
        b"",
        b"".join(b"f proc/%d\n.\n" % number for number in range((1 << 14) + 1)) + b"end\n",
    ],
)
def test_a_list_that_is_not_one_is_refused_and_writes_nothing_outside(
    tmp_path: Path, listed: bytes
) -> None:
    tree = tmp_path / "a/b/tree"
    tree.mkdir(parents=True)
    with pytest.raises((ValueError, OSError)):
        unpack(listed, tree)
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and tree not in path.parents]
    assert outside == []


def hostile(board: Board, answer: str) -> None:
    """Every session answers the question for the snapshot with *answer*, after the marker."""
    wrapper = board.folder / "hostile"
    wrapper.write_text(
        '#!/bin/bash\nrun="$SSH_ORIGINAL_COMMAND"\ncase "$run" in\n'
        f'*uname/machine*) eval "set -- $run"; echo "$5"; {answer};;\n'
        '*) exec sh -c "$run";;\nesac\n'
    )
    wrapper.chmod(0o755)
    board.start(force=wrapper)


def test_a_machine_that_names_places_outside_is_refused(board: Board, tmp_path: Path) -> None:
    hostile(board, r"printf 'f ../../outside\n41\n.\nend\n'")
    tree = tmp_path / "a/b"
    tree.mkdir(parents=True)
    with Connection(HOST) as connection, pytest.raises(HostAnswer, match="outside"):
        snapshot(connection, tree)
    assert list(tree.rglob("*")) == []
    assert not (tmp_path / "outside").exists()


def test_a_machine_that_never_stops_describing_itself_is_refused(
    board: Board, tmp_path: Path
) -> None:
    hostile(board, "exec yes 41")
    with Connection(HOST) as connection, pytest.raises(HostAnswer, match="more than"):
        snapshot(connection, tmp_path)


def test_a_board_with_the_listed_programs_alone_can_be_described(
    board: Board, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    board.start(programs=system_programs([*NEEDED, "sh"]))
    with Connection(HOST) as connection:
        check_programs(connection)
        snapshot(connection, tree)
    assert machine_of(tree).architecture == describe_machine().architecture


def test_a_board_without_a_program_is_told_which(board: Board) -> None:
    names = [name for name in NEEDED if name not in ("od", "tar")]
    board.start(programs=system_programs([*names, "sh"]))
    with Connection(HOST) as connection, pytest.raises(HostUnsuitable, match="lacks od, tar"):
        check_programs(connection)
