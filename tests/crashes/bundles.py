"""Kills of ``dspctl export`` and ``dspctl bench``."""

from pathlib import Path

from dspctl.benchmarks import load_result
from dspctl.benchmarks.record.archive import read_archive
from dspctl.benchmarks.record.file import load_raw
from dspctl.benchmarks.record.result import BenchResult
from dspctl.runtime import save_policy
from dspctl.runtime.bundle import open_bundle
from tests.benchmarks.networks import network
from tests.crashes.jobs import Case, Job, contents, hold, visible

_BACKENDS = ("numpy", "c")


def make_policy(path: Path) -> Path:
    """A small policy for CartPole."""
    if not path.exists():
        save_policy(network((4, 8, 2)), path)
    return path


class ExportJob(Job):
    """A bundle with native code, new or with ``--force`` over an older one."""

    name = "export"

    def needed(self) -> None:
        make_policy(self.folder / "policy.safetensors")

    def _words(self, place: Path, version: str) -> list[str]:
        policy, bundle = self.folder / "policy.safetensors", place / "bundle"
        words = ["export", str(policy), "--target", "cpu", "--episodes", "2", "--json"]
        return [*words, "--version", version, "-o", str(bundle)]

    def older(self, place: Path) -> None:
        self.finish(self._words(place, "1"), place)

    def words(self, case: Case) -> list[str] | None:
        force = ["--force"] if (case.place / "bundle").exists() else []
        return [*self._words(case.place, "2"), *force]

    def check_left(self, case: Case) -> str:
        bundle = case.place / "bundle"
        hold(visible(case.place) <= {"bundle"}, f"there is {visible(case.place)}")
        if not bundle.exists():
            hold(not case.replaces, "the older bundle is gone")
            hold(not case.known.get("new"), "the new bundle is gone")
            return "nothing"
        open_bundle(bundle)
        left = contents(bundle)
        if case.replaces and left == contents(self.reference_of_older / "bundle"):
            hold(not case.known.get("new"), "the older bundle is back")
            return "the older bundle"
        hold(left == contents(self.reference / "bundle"), "another bundle")
        case.known["new"] = True
        return "the new bundle"

    def check_done(self, case: Case) -> None:
        hold(self.check_left(case) == "the new bundle", "it is not the new bundle")
        left = [path.name for path in case.place.iterdir()]
        hold(left == ["bundle"], f"half-made folders are still there: {left}")


class BenchJob(Job):
    """A bundle against a policy on two backends, new or with ``--force`` over a finished result."""

    name = "bench"

    def needed(self) -> None:
        export = ExportJob(self.folder)
        export.needed()
        self.bundle = export.reference / "bundle"

    def _words(self, place: Path, seed: int) -> list[str]:
        policy = self.folder / "policy.safetensors"
        backends = [word for name in _BACKENDS for word in ("--backend", name)]
        return [
            "bench", str(self.bundle), "--against", str(policy), *backends, "--seconds", "0.1",
            "--paced-seconds", "0.1", "--executions", "2", "--episodes", "3", "--no-memory",
            "--json", "--seed", str(seed), "-o", str(place / "bench.json"),
        ]  # fmt: skip

    def older(self, place: Path) -> None:
        self.finish(self._words(place, 1), place)

    def words(self, case: Case) -> list[str] | None:
        out = case.place / "bench.json"
        words = self._words(case.place, 0)
        if not out.exists():
            return words
        found = load_result(out)
        if found.settings.request.seed == 1:
            return [*words, "--force"]
        if found.status != "complete":
            return words
        # Logs come after the result, and are added by a command that is refused.
        there, whole = visible(case.place), visible(self.reference)
        case.known["code"] = 2
        return None if there == whole else words

    def check_left(self, case: Case) -> str:
        out = case.place / "bench.json"
        for path in case.place.rglob("*.npz"):
            read_archive(path)
        for path in case.place.rglob("bench.json"):
            load_result(path)
        if not out.exists():
            hold(not case.replaces, "the older result is gone")
            return "nothing"
        left = load_result(out)
        if left.settings.request.seed == 1:
            older = (self.reference_of_older / "bench.json").read_bytes()
            hold(out.read_bytes() == older, "the older result was changed")
            hold(not case.known.get("new"), "the older result is back")
            return "the older result"
        if case.replaces:
            hold(left.status == "complete", "an unfinished result replaced a finished one")
        case.known["new"] = True
        before = case.known.get("finished", ())
        hold(left.finished[: len(before)] == before, f"{before} became {left.finished}")
        case.known["finished"] = left.finished
        figures = case.known.setdefault("figures", {})
        for one in left.latency:
            if f"{one.backend}/latency" in left.finished or left.status == "complete":
                key = (one.label, one.backend)
                same = figures.setdefault(key, one.p50_ns.estimate) == one.p50_ns.estimate
                hold(same, f"figures of {key} changed")
        return f"{left.status}, {len(left.finished)} measurements"

    def check_done(self, case: Case) -> None:
        self.check_left(case)
        out = case.place / "bench.json"
        left, whole = load_result(out), load_result(self.reference / "bench.json")
        hold(left.status == "complete", f"it is {left.status}")
        hold(left.settings.request == whole.settings.request, "it is of another request")
        hold(set(left.finished) == set(whole.finished), f"only {left.finished} is finished")
        check_samples(left, out)
        # What is hidden is passed over.
        names, expected = (
            {name for name in visible(one) if not name.startswith(".")}
            for one in (case.place, self.reference)
        )
        hold(names == expected, f"{names ^ expected} are too few or too many")


def check_samples(result: BenchResult, out: Path) -> None:
    """The raw samples beside a result are its own."""
    for one in result.latency:
        raw = load_raw(out, one.backend)[one.label]
        calls = sum(block.size for block in raw.single_ns)
        hold(calls == one.single_calls, f"the samples of {one.backend} are of another result")
