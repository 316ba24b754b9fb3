"""The made-up studies are ones that a file can hold, or the other tests would prove little."""

from pathlib import Path

from dspctl.benchmarks.study.record import load_results, save_results
from tests.benchmarks.study.figures.made_up import everything


def test_results_survive_the_file(tmp_path: Path) -> None:
    made_up = everything(2)
    save_results(made_up, tmp_path / "a.json")
    read = load_results(tmp_path / "a.json")
    assert read == made_up
    save_results(read, tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
