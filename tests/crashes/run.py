"""Kills and bad disks: ``python -m tests.crashes.run --kills 200 --disks 40 --seed 0``.

``dspctl train``, ``study``, ``export`` and ``bench`` are killed with SIGKILL at random moments,
then repeated; or meet a disk that fills up or turns read-only. A line of JSON for each goes to the
log; the same command goes on where it ended, also after a kill of its own.
"""

import argparse
import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.crashes.chains import JOBS, Entry, chain_of_disks, chain_of_kills, jobs_in
from tests.crashes.disks import ALL


class Log:
    """Entries of this seed so far; those of a chain that did not end are made again."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path, self._seed = path, seed
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self._all = [entry for line in lines if (entry := _entry(line)) is not None]
        ended = {_chain(one) for one in self._all if "ended" in one or not one["ok"]}
        self.entries = [one for one in self._all if one["seed"] == seed and _chain(one) in ended]

    def add(self, entry: Entry) -> None:
        """Keep an entry, on the disk too."""
        entry = {"seed": self._seed, **entry}
        self.entries.append(entry)
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def kills(self) -> Counter[str]:
        """Kills that met a process, by job."""
        return Counter(one["job"] for one in self.entries if "kill" in one)

    def chains(self) -> set[tuple[object, ...]]:
        """What has ended."""
        return {_chain(one) for one in self.entries}


def _entry(line: str) -> Entry | None:
    try:
        entry: Entry = json.loads(line)
    except ValueError:  # torn when this program was killed
        return None
    return entry


def _chain(entry: Entry) -> tuple[object, ...]:
    return entry["seed"], entry["job"], entry.get("disk"), entry["chain"]


def main() -> int:
    """Returns 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--disks", type=int, default=40, help="disks that go bad")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", nargs="+", choices=sorted(JOBS), default=list(JOBS))
    parser.add_argument("--folder", type=Path, default=Path("runs/crashes"))
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the command at work as well
    folder = asked.folder.resolve()
    log = Log(folder / "log.jsonl", asked.seed)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        started = time.monotonic()
        jobs = jobs_in(folder / "references", asked.jobs)
        for name, job in jobs.items():
            bars.console.print(
                f"{name}: {job.measured.seconds:.1f} s and {job.measured.operations} operations "
                "on the disk when nothing happens"
            )
        bar = bars.add_task("kills", total=asked.kills, completed=log.kills().total())
        number = 0
        while log.kills().total() < asked.kills:
            number += 1
            # The command that has been killed least is next.
            job = min(jobs.values(), key=lambda one: log.kills()[one.name])
            if (asked.seed, job.name, None, number) in log.chains():
                continue
            for entry in chain_of_kills(job, number, asked.seed, folder):
                log.add(entry)
                bars.update(bar, completed=log.kills().total())
                _show(bars.console, entry)
        bar = bars.add_task("disks", total=asked.disks)
        for number in range(asked.disks):
            job = list(jobs.values())[number % len(jobs)]
            how = ALL[number // len(jobs) % len(ALL)]
            if (asked.seed, job.name, how.name, number) not in log.chains():
                entry = chain_of_disks(job, how, number, asked.seed, folder)
                log.add(entry)
                _show(bars.console, entry)
            bars.update(bar, completed=number + 1)
    console.print(f"{time.monotonic() - started:.0f} s; log: {folder / 'log.jsonl'}")
    Console().print(summary(log.entries))
    return int(any(not one["ok"] for one in log.entries))


def _show(console: Console, entry: Entry) -> None:
    if not entry["ok"]:
        console.print(f"broken: {entry}", style="red", markup=False)


def summary(entries: list[Entry]) -> Table:
    """A row per command."""
    table = Table("command", "kills", "went on", "broken", "bad disks", "met", "broken")
    for name in JOBS:
        own = [one for one in entries if one["job"] == name]
        killed = [one for one in own if "disk" not in one]
        disks = [one for one in own if "disk" in one]
        kills = sum("kill" in one for one in killed)
        broken = sum(not one["ok"] for one in killed)
        table.add_row(
            name,
            str(kills),
            str(kills - broken),
            str(broken),
            str(len(disks)),
            str(sum(bool(one.get("met")) for one in disks)),
            str(sum(not one["ok"] for one in disks)),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
