"""A board whose sensor shows what is written to it, and a program that prints like tegrastats."""

import stat
import time
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.device.boards import hwmon, write

MILLIVOLTS = 5000


class Board:
    """A tree with an INA3221 whose rails draw what the work that runs makes them draw.

    Args:
        root: where the tree is written.
        watts: state → rail → watts; ``idle`` is one of the states.
    """

    def __init__(self, root: Path, watts: Mapping[str, Mapping[str, float]]) -> None:
        self.root, self._watts = root, watts
        self.show("idle")

    def show(self, state: str) -> None:
        """Put a state's power on the sensor, file by file, so that no reader finds half of one."""
        rails = self._watts[state].items()
        files = hwmon("1-0040", *((n, MILLIVOLTS, round(w / MILLIVOLTS * 1e6)) for n, w in rails))
        for name, text in files.items():
            path = self.root / name
            write(path.parent, {f".{path.name}": text})
            (path.parent / f".{path.name}").replace(path)

    def idle(self, seconds: float) -> None:
        """Nothing runs."""
        self.show("idle")
        time.sleep(seconds)

    def run(self, label: str, seconds: float) -> int:
        """A control loop of 100 Hz."""
        self.show(label)
        time.sleep(seconds)
        return round(100 * seconds)


def tegrastats(folder: Path, line: str) -> Path:
    """A program that prints *line* until it is ended, at the interval that it is given in ms."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "line").write_text(line + "\n")
    program = folder / "tegrastats"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --interval ] || exit 3\n'
        f'echo $$ > {folder}/pid\necho "$2" > {folder}/interval\n'
        f"while cat {folder}/line; do sleep 0.02; done\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program
