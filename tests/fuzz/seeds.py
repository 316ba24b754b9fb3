"""Valid files of every kind, as the project itself writes them: what fuzzing starts from."""

import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from dspctl.benchmarks.record.file import save_result, save_samples
from dspctl.benchmarks.remote.snapshot import MACHINE, SYSTEM
from dspctl.benchmarks.shrink.ladder import Candidate
from dspctl.benchmarks.shrink.record import Goal, Network, Point, ShrinkResult, save_shrink
from dspctl.benchmarks.study.cell import Finished
from dspctl.benchmarks.study.record import save_results
from dspctl.runtime.bundle import GOLDEN, MANIFEST, PARITY, POLICY, bytes_from_artefacts
from dspctl.runtime.bundle.artefacts import Artefact
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.reference.golden import bytes_from_golden, golden_from_policy
from dspctl.runtime.tensorrt.stamp import EngineStamp, bytes_from_stamp
from dspctl.trainer.environments import Task, describe
from dspctl.trainer.runs.checkpoint import RunFolder
from dspctl.trainer.runs.state import TrainState
from tests.benchmarks.command.programs import FakeProgram
from tests.benchmarks.device.boards import BOARDS
from tests.benchmarks.report import results as made_results
from tests.benchmarks.study.figures import made_up
from tests.benchmarks.study.studies import CELL, small
from tests.runtime.bundles import bundle_of
from tests.runtime.policies import make_policy, observations_of
from tests.trainer.tiny import tiny

ARTEFACT = Artefact("policy.onnx", "here", "ran", True, {"largest_output_error": 1e-7, "rows": 9})
ENVIRONMENT = "CartPole-v1"


@cache
def task() -> Task:
    """CartPole's."""
    return describe(ENVIRONMENT)


@cache
def policies() -> tuple[bytes, ...]:
    """Small policy files, discrete and continuous, masked and normalised, and with a lineage."""
    lineage = {"method": "dsp", "compacted": {"removed": {"dead": 3}, "before": {"units": [8, 6]}}}
    return tuple(
        bytes_from_policy(policy)
        for policy in (
            make_policy(0, sizes=(3, 4, 2)).with_lineage(**lineage),
            make_policy(1, sizes=(2, 3, 2), rule="tanh_unscale", masks=True, on_invalid="clamp"),
            make_policy(2, sizes=(2, 2), rule="clip", normalizer=False, bias=False, unread=1),
        )
    )


@cache
def golden() -> bytes:
    """Golden vectors of the first policy of `policies`."""
    policy = make_policy(0, sizes=(3, 4, 2))
    return bytes_from_golden(golden_from_policy(policy, observations_of(policy, 5)))


@cache
def bundle_files() -> dict[str, bytes]:
    """A bundle's files by name, the manifest among them."""
    policy = make_policy(0, sizes=(3, 4, 2))
    with TemporaryDirectory() as folder:
        path = bundle_of(
            Path(folder, "bundle"),
            policy,
            {
                "policy.onnx": b"",
                GOLDEN: golden(),
                PARITY: bytes_from_artefacts([ARTEFACT]),
                "native/x86-64-v3/libtest_v1.so": b"\x7fELF",
            },
            builds={"x86-64-v3": Build("x86_64", ("avx2",), "cc 12", ("-O2",))},
            tools={"numpy": "2.0"},
        )
        names = (MANIFEST, POLICY, GOLDEN, PARITY, "native/x86-64-v3/libtest_v1.so")
        return {name: (path / name).read_bytes() for name in names}


@cache
def stamp() -> bytes:
    """The stamp of a plan."""
    return bytes_from_stamp(
        EngineStamp(
            *("tensorrt", "10.3.0.30", ("8.7", "8.9"), "36.4.3", "linux-aarch64", "fp16"),
            *("0" * 64, "1" * 64),
        )
    )


@cache
def results() -> tuple[bytes, ...]:
    """Results of a benchmark: of two subjects with every figure, and of one."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "bench.json")
        found = []
        for one in (made_results.result(), made_results.result(("alone",))):
            save_result(one, path)
            found.append(json.dumps(json.loads(path.read_bytes())).encode())
    return tuple(found)


@cache
def samples() -> bytes:
    """An archive of raw samples of the subjects of `results`."""
    from dspctl.benchmarks.calls.latency import Samples
    from dspctl.benchmarks.calls.timer import WarmUp

    blocks = (np.arange(20, 40), np.arange(30, 50))
    one = Samples(blocks, (np.array([300, 310]),) * 2, 10, WarmUp(9, 1.0, settled=True))
    with TemporaryDirectory() as folder:
        path = Path(folder, "bench.json")
        save_samples({"unpruned": one, "DSP 93%": one}, "c", path)
        return path.with_name("bench-c.npz").read_bytes()


@cache
def study_files() -> tuple[bytes, ...]:
    """Study files in TOML."""
    text = (
        'name = "small"\nenvironments = ["CartPole-v1"]\nmethods = ["dsp", "ppo"]\n'
        "sparsities = [0.5, 0.75]\npenalties = [1e-4]\nseeds = [0, 1]\nepisodes = 5\n\n"
        "[settings]\nsteps = 4096\nhidden = [16, 16]\nbiases = true\ngamma = 0.99\n"
        'activation = "tanh"\n'
    )
    more = (
        '\n[[variants]]\nname = "raw"\nmethods = ["dsp"]\nsettings = { ranking = "global-raw" }\n'
    )
    return (text.encode(), f"{text}{more}\n[search]\ntrials = 3\npenalties = [1e-4]\n".encode())


@cache
def study_results() -> bytes:
    """A study's results."""
    cells = [made_up.cell(seed=seed) for seed in (0, 1)]
    short = [replace(cell, curve=CELL.curve) for cell in cells]
    with TemporaryDirectory() as folder:
        path = Path(folder, "results.json")
        save_results(made_up.study([*short, CELL]), path)
        return json.dumps(json.loads(path.read_bytes())).encode()


@cache
def cell() -> bytes:
    """A cell's record."""
    return json.dumps(Finished(CELL, {"cpu": "test", "cores": 2}).to_json()).encode()


@cache
def study_folder() -> bytes:
    """A study folder's ``study.json``."""
    values = {"schema": 1, "spec": small().to_json(), "dspctl": "0.1.0", "machine": {"cpu": "a"}}
    return json.dumps(values).encode()


@cache
def shrink() -> bytes:
    """A search's file."""
    network = Network((9, 9), 4, 150, 300, (500.0, 490.5))
    points = tuple(
        Point(Candidate(size, (size,), "tanh", "fresh", 0), network, 3.5, True, 120.0, 2048)
        for size in (18, 10)
    )
    found = ShrinkResult(
        ENVIRONMENT, "runs/teacher", "0" * 64, network, Goal(), points, points[0].candidate.name
    )
    with TemporaryDirectory() as folder:
        save_shrink(found, Path(folder))
        return json.dumps(json.loads(Path(folder, "shrink.json").read_bytes())).encode()


@cache
def run_files() -> dict[str, bytes]:
    """The files of a run that was interrupted after its first iterations."""
    config = tiny(ENVIRONMENT, hidden=(4, 4), sparsity=0.5)
    about = {"dspctl": "0.1.0", "python": "3.11.7", "numpy": "2.0", "machine": "x86_64"}
    row: dict[str, Any] = {
        **{"iteration": 1, "steps": 1024, "seconds": 0.5, "episode_return": None},
        **{"episode_length": 21.5, "units": [4, 4], "critic_units": [4, 4], "threshold": None},
        **{"scheduled_sparsity": 0.0, "unit_sparsity": 0.0, "weight_sparsity": 0.0},
        **{"flops_sparsity": 0.0, "value_loss": 0.5, "steps_per_s": 1000.0},
    }
    with TemporaryDirectory() as folder:
        path = Path(folder, "run")
        run = RunFolder.create(path, config, about, force=False)
        state = TrainState.initial(config, task())
        run.save_state(state)
        policy = state.policy(config, task(), state.normalizer(config))
        run.write_policy(policy, np.zeros((3, 4), np.float32))
        run.write_info(
            status="interrupted",
            **{"steps": 1024, "seconds": 1.5, "units": [4, 4], "vector_backend": "gymnasium"},
            **{"time_split_s": {"environment": 0.5, "inference": 0.25, "update": 0.75}},
            **{
                "trials": [{"iteration": 1, "mean": 20.5}],
                "selected": {"iteration": 1, "mean": 2.0},
            },
        )
        lines = [json.dumps({**row, "iteration": index, "steps": 1024 * index}) for index in (1, 2)]
        (path / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
        return {one.name: one.read_bytes() for one in path.iterdir() if one.is_file()}


@cache
def snapshot() -> bytes:
    """What a board prints of itself."""
    files = {
        **next(iter(BOARDS.values())).files(),
        **{MACHINE: "aarch64\n", SYSTEM: "Linux 5.15\n", "uname/cores": "2\n"},
        **{"proc/meminfo": "MemTotal:  8000 kB\n", "proc/loadavg": "0.5 0.4 0.3 1/99 5\n"},
        **{
            "var/lib/nvpmodel/status": "pmode:0002\n",
            "etc/nvpmodel.conf": "< POWER_MODEL ID=2 NAME=30W >\n",
        },
        **{"sys/class/thermal/thermal_zone0/type": "cpu\n"},
        **{"sys/class/thermal/thermal_zone0/temp": "45000\n"},
        **{"sys/class/thermal/cooling_device0/type": "fan\n"},
        **{"sys/class/thermal/cooling_device0/cur_state": "1\n"},
        **{"sys/class/thermal/cooling_device0/max_state": "3\n"},
        **{"sys/class/powercap/intel-rapl:0/name": "package-0\n"},
        **{"sys/class/powercap/intel-rapl:0/energy_uj": "123\n"},
        **{"sys/class/powercap/intel-rapl:0/max_energy_range_uj": "999\n"},
        **{
            f"sys/devices/system/cpu/cpu0/cpufreq/scaling_{name}": f"{value}\n"
            for name, value in (
                ("governor", "x"),
                ("min_freq", 1),
                ("max_freq", 2),
                ("cur_freq", 2),
            )
        },
    }
    lines = []
    for name, text in files.items():
        data = text.encode()
        rows = [data[at : at + 16].hex(" ") for at in range(0, len(data), 16)]
        lines += [f"f {name}", *(f" {row}" for row in rows), "."]
    return "".join(f"{line}\n" for line in [*lines, "end"]).encode()


@cache
def program_answers() -> tuple[tuple[bytes, bytes], ...]:
    """Report and samples of a bundle's program, back to back and paced."""
    program = FakeProgram(a=40)
    program.scheduling["cpu"] = {"granted": False, "value": 3, "reason": "not permitted"}
    asked = (["--back-to-back"], ["--paced", "--steps", "5", "--hz", "100"])
    answers = [program("a", words) for words in asked]
    return tuple((json.dumps(one.report).encode(), one.samples) for one in answers)


def point() -> dict[str, Any]:
    """One point of a search, as JSON values."""
    return asdict(
        Point(Candidate(2, (2,), "relu", "fresh", 1), Network((2,), 1, 4, 7, (1.0,)), 1.0)
    )


def make_all() -> None:
    """Make everything, so that nothing is made and written while readers are watched."""
    task(), policies(), golden(), bundle_files(), stamp(), results(), samples(), study_files()
    study_results(), cell(), study_folder(), shrink(), run_files(), snapshot(), program_answers()
