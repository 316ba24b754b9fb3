"""What another machine's small files say, as a tree here that the readers of devices read.

The machine prints each file as its path and hexadecimal bytes; a path decides where a file lies
here, so every one is checked.
"""

import re
from pathlib import Path

from dspctl.benchmarks.remote.connection import Connection
from dspctl.errors import HostAnswer, HostUnsuitable

LIMIT_BYTES = 16 << 20
_MOST_FILES = 1 << 14
_LONGEST_PATH = 300
_TIMEOUT_S = 120.0

MACHINE, SYSTEM, CORES = "uname/machine", "uname/system", "uname/cores"
"""What no file says: ``uname -m``, ``uname -sr`` and ``nproc``."""

_PART = re.compile(r"[A-Za-z0-9_.:@+,-]{1,100}")
_TOPS = ("proc", "sys", "etc", "var", "uname")
_HEX = re.compile(rb"[0-9a-f \t]*")

# $1 is the folder under which proc, sys, etc and var are found: empty, but for tests. A file that
# cannot be read is an empty one. /proc/cpuinfo of a machine with hundreds of cores has several
# hundred kB. Of the package manager's long list, one entry is read.
SCRIPT = r"""
root=$1
begin() { printf 'f %s\n' "$1"; }
hex() { od -An -v -tx1 -N "$1" 2>/dev/null; printf '.\n'; }
show() {
    [ -f "$1" ] && [ -r "$1" ] || return 0
    begin "${1#"$root"/}"
    hex "${2:-16384}" < "$1"
}
begin uname/machine; uname -m | hex 256
begin uname/system; uname -sr | hex 256
begin uname/cores; { nproc || grep -c '^processor' /proc/cpuinfo; } 2>/dev/null | hex 256
show "$root/proc/cpuinfo" 2097152
for name in proc/meminfo proc/loadavg proc/sys/kernel/osrelease \
    proc/sys/kernel/sched_rt_period_us proc/sys/kernel/sched_rt_runtime_us \
    proc/device-tree/model proc/device-tree/compatible \
    etc/nv_tegra_release etc/nvpmodel.conf var/lib/nvpmodel/status; do
    show "$root/$name" 65536
done
if [ ! -f "$root/etc/nv_tegra_release" ] && [ -r "$root/var/lib/dpkg/status" ]; then
    begin var/lib/dpkg/status
    sed -n '/^Package: nvidia-l4t-core$/,/^$/p' "$root/var/lib/dpkg/status" | hex 65536
fi
for cpu in "$root"/sys/devices/system/cpu/cpu[0-9]*; do
    for name in governor min_freq max_freq cur_freq; do show "$cpu/cpufreq/scaling_$name"; done
    show "$cpu/thermal_throttle/core_throttle_count"
done
for engine in "$root"/sys/class/devfreq/*; do
    for name in governor min_freq max_freq cur_freq; do show "$engine/$name"; done
done
for zone in "$root"/sys/class/thermal/thermal_zone[0-9]*; do
    for name in type temp; do show "$zone/$name"; done
done
for cooling in "$root"/sys/class/thermal/cooling_device[0-9]*; do
    for name in type cur_state max_state; do show "$cooling/$name"; done
done
for counter in "$root"/sys/class/powercap/intel-rapl:*; do
    for name in name energy_uj max_energy_range_uj; do show "$counter/$name"; done
done
for chip in "$root"/sys/bus/i2c/drivers/ina3221*/*-*; do
    for file in "$chip"/hwmon/hwmon*/in[1-3]_label "$chip"/hwmon/hwmon*/in[1-3]_input \
        "$chip"/hwmon/hwmon*/curr[1-3]_input "$chip"/iio:device*/rail_name_[0-2] \
        "$chip"/iio:device*/in_power[0-2]_input; do show "$file"; done
done
printf 'end\n'
"""

NEEDED = ("cat", "cksum", "find", "ln", "mkdir", "mv", "od", "rm", "sed", "tar", "uname")
_CHECK = 'for name; do command -v "$name" >/dev/null 2>&1 || printf "%s\\n" "$name"; done'


def check_programs(connection: Connection) -> None:
    """Say which of the usual programs the other machine lacks.

    Raises:
        HostUnsuitable: at least one.
    """
    done = connection.run(_CHECK, *NEEDED)
    missing = [name for name in done.output.decode(errors="replace").split() if name in NEEDED]
    if missing:
        raise HostUnsuitable(
            f"{connection.host} lacks {', '.join(missing)}: install coreutils and tar there, or "
            "BusyBox with these"
        )


def snapshot(connection: Connection, folder: Path) -> None:
    """Read the other machine's files into *folder*, which is empty.

    Raises:
        HostAnswer: what came back is no such list, or names a place outside *folder*.
        ConnectionLost: the connection ended.
    """
    done = connection.run(SCRIPT, "", limit_bytes=LIMIT_BYTES, timeout_s=_TIMEOUT_S)
    try:
        unpack(done.output, folder)
    except (OSError, ValueError) as error:
        raise HostAnswer(
            f"{connection.host} described itself in a way that cannot be read ({error}): check "
            "what machine that is"
        ) from error


def unpack(data: bytes, folder: Path) -> None:
    """Write the files that `SCRIPT` printed.

    Raises:
        ValueError: *data* is no such list, or not all of it.
        OSError: two entries exclude each other, or *folder* cannot be written.
    """
    path: Path | None = None
    content: list[bytes] = []
    lines = data.split(b"\n")
    if lines[-2:] != [b"end", b""]:
        raise ValueError("the list has no end")
    names: set[str] = set()
    for line in lines[:-2]:
        if path is None:
            name = _checked(line)
            if name in names or len(names) >= _MOST_FILES:
                raise ValueError("too many files, or one of them twice")
            names.add(name)
            path, content = folder / name, []
        elif line == b".":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(content))
            path = None
        elif _HEX.fullmatch(line):
            content.append(bytes.fromhex(line.decode()))
        else:
            raise ValueError("a file that is not hexadecimal")
    if path is not None:
        raise ValueError("a file without an end")


def _checked(line: bytes) -> str:
    name = line.removeprefix(b"f ").decode("ascii", errors="replace")
    parts = name.split("/")
    safe = all(_PART.fullmatch(part) and part.strip(".") for part in parts)
    if line[:2] != b"f " or len(name) > _LONGEST_PATH or not safe or parts[0] not in _TOPS:
        raise ValueError(f"{name[:80]!r} is no name of a file that was asked for")
    return name
