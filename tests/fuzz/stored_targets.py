"""Targets for the files in which figures are stored, and for what is kept of work half done."""

import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from dspctl.benchmarks.record.machine import Machine
from dspctl.benchmarks.shrink.pool import _point
from dspctl.benchmarks.steps import Steps, steps_folder
from dspctl.benchmarks.study.figures.random_returns import read_random
from dspctl.benchmarks.study.figures.smallest_plots import smallest_figure
from dspctl.benchmarks.study.figures.smallest_tables import smallest_table
from dspctl.benchmarks.study.reuse import read_sources
from dspctl.benchmarks.study.smallest.record import load_smallest, save_smallest
from tests.benchmarks.study.studies import CELL
from tests.benchmarks.study.test_smallest import smallest as made_smallest
from tests.fuzz import seeds
from tests.fuzz.target import Target, put

ROOT = Path(__file__).resolve().parents[2]
STORED_RESULTS = ROOT / "benchmarks" / "results"


@cache
def smallest() -> bytes:
    """Searches for the smallest network, with few episodes."""
    made = made_smallest()
    machine = Machine(**{**asdict(made.machine), "libraries": {"numpy": "2.0"}})
    with TemporaryDirectory() as folder:
        path = Path(folder, "smallest.json")
        save_smallest(replace(made, machine=machine), path)
        return json.dumps(_shortened(json.loads(path.read_bytes()))).encode()


def _shortened(value: object) -> object:
    """A JSON value whose long lists are short: a hundred returns tell no more than four."""
    if isinstance(value, dict):
        return {key: _shortened(one) for key, one in value.items()}
    return [_shortened(one) for one in value[:4]] if isinstance(value, list) else value


def _smallest(data: bytes, folder: Path) -> object:
    found = load_smallest(put(folder, "smallest.json", data))
    assert found is not None
    smallest_table(found)
    save_smallest(found, folder / "again.json")
    assert load_smallest(folder / "again.json") == found
    if len(data) % 32 == 0:  # a picture takes a tenth of a second
        smallest_figure(found)
    return found


def _random(data: bytes, folder: Path) -> object:
    return read_random(put(folder, "random.json", data))


def _reuse(data: bytes, folder: Path) -> object:
    put(folder, "study/study.json", data)
    put(folder, f"study/cells/{CELL.key}/cell.json", seeds.cell())
    (source,) = read_sources([folder / "study"], folder / "own")
    return source.cells


def _trained(data: bytes, folder: Path) -> object:
    return _point(put(folder, "point.json", data))


def _kept(data: bytes, folder: Path) -> object:
    """Pieces of a benchmark: another one's are thrown away, and so is half of one."""
    out = put(folder, "bench.json", b"{}")
    put(steps_folder(out), "key", b"mine")
    put(steps_folder(out), "a-b.samples", b"1234")
    put(steps_folder(out), "a-b.json", data)
    found = Steps(out, "mine").get("a", "b")
    put(steps_folder(out), "key", data)
    Steps(out, "mine").remove()
    return found


@cache
def make_all() -> None:
    """Make everything, and import what draws."""
    with TemporaryDirectory() as folder:
        found = load_smallest(put(Path(folder), "smallest.json", smallest()))
    smallest_figure(found)


STORED: dict[str, Target] = {
    "smallest": Target(_smallest, lambda: [smallest()], "json"),
    "random-returns": Target(
        _random, lambda: [(STORED_RESULTS / "random.json").read_bytes()], "json"
    ),
    "study-reuse": Target(_reuse, lambda: [seeds.study_folder()], "json"),
    "shrink-point": Target(_trained, lambda: [json.dumps(seeds.point()).encode()], "json"),
    "kept-pieces": Target(_kept, lambda: [report for report, _ in seeds.program_answers()], "json"),
}
"""As `targets.TARGETS`, of which it is a part."""
