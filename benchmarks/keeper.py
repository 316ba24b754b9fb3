"""The result of a benchmark while it grows, on the disk and in a progress bar."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dspctl.benchmarks.comparison.ratios import ratios_of
from dspctl.benchmarks.record.file import sample_files, save_result
from dspctl.benchmarks.record.result import BenchResult, Skipped, Stage, stage_name

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Progress:
    """How far a benchmark is.

    Attributes:
        stage: ``latency``, ``paced``, ``memory``, ``energy`` or ``returns``.
        backend: the one being measured; empty where the stage has none.
        done: rounds, windows, processes or episodes finished.
        total: rounds, windows, processes or episodes of this stage.
    """

    stage: str
    backend: str
    done: int
    total: int


class Keeper:
    """The result so far; every update is on the disk before the next measurement begins.

    Args:
        result: what is known when the measuring begins.
        out: JSON file, or None to keep nothing.
        on_progress: called as measurements proceed.
    """

    def __init__(
        self,
        result: BenchResult,
        out: Path | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.result = result
        self.out = out
        self._on_progress = on_progress

    @property
    def baseline(self) -> str:
        """Label of the first subject."""
        return self.result.subjects[0].label

    @property
    def together(self) -> int:
        """How many ratios are to hold at once."""
        return ratios_of(self.result.settings.request, len(self.result.subjects))

    def update(self, **changes: Any) -> BenchResult:
        """Replace fields, write, and return the result."""
        self.result = replace(self.result, **changes)
        if self.out is not None:
            save_result(self.result, self.out)
        return self.result

    def has(self, stage: Stage, backend: str | None = None) -> bool:
        """Whether a measurement is in."""
        return stage_name(stage, backend) in self.result.finished

    def wanted(self, backend: str) -> frozenset[Stage]:
        """Timings and energy on *backend* that were asked for and are not in the result yet.

        Nothing where calls were tried and no subject runs there.
        """
        request = self.result.settings.request
        asked: dict[Stage, bool] = {
            "latency": True,
            "paced": request.paced_seconds > 0,
            "energy": request.energy_seconds > 0,
        }
        if self.has("latency", backend) and backend not in self.result.backends:
            return frozenset()
        return frozenset(
            stage for stage, yes in asked.items() if yes and not self.has(stage, backend)
        )

    def finish(
        self,
        stage: Stage,
        backend: str | None = None,
        *,
        complete: bool = True,
        skipped: tuple[Skipped, ...] = (),
        notes: tuple[str, ...] = (),
        replaced: Mapping[str, Any] = _NOTHING,
        **added: tuple[Any, ...],
    ) -> None:
        """Add the records of a measurement that is complete, and write.

        Args:
            stage: what was measured.
            backend: on what, None where that does not matter.
            complete: False for records of what has been measured so far; the next ones of the same
                measurement take their place.
            skipped: what of it could not be measured; the last reason per subject and backend
                stays.
            notes: sentences that concern all figures; nothing twice.
            replaced: other fields of the result, to change in the same write.
            added: records to append, by the result's fields.
        """
        result = self.result if backend is None else without(self.result, stage, backend)
        appended = {name: (*getattr(result, name), *records) for name, records in added.items()}
        self.update(
            **{
                "latency": result.latency,
                "paced": result.paced,
                "ratios": result.ratios,
                "finished": (
                    (*result.finished, stage_name(stage, backend)) if complete else result.finished
                ),
                "skipped": _each_once((*result.skipped, *skipped)),
                "notes": (*result.notes, *(one for one in notes if one not in result.notes)),
                **appended,
                **replaced,
            }
        )

    def drop(self, stage: Stage, backend: str) -> None:
        """Take out what was shown of a timing that will not be finished, its samples too."""
        left = without(self.result, stage, backend)
        if left != self.result:
            self.update(latency=left.latency, paced=left.paced, ratios=left.ratios)
        if self.out is not None:
            calls, loops = sample_files(self.out, backend)
            (calls if stage == "latency" else loops).unlink(missing_ok=True)

    def skip(self, skipped: tuple[Skipped, ...]) -> None:
        """Add what cannot be measured, and write."""
        if skipped:
            self.update(skipped=_each_once((*self.result.skipped, *skipped)))

    def note(self, sentence: str) -> None:
        """Add a sentence that concerns all figures, and write; nothing twice."""
        if sentence not in self.result.notes:
            self.update(notes=(*self.result.notes, sentence))

    def reporter(self, stage: Stage, backend: str = "") -> Callable[[int, int], None]:
        """A callback for one stage."""

        def report(done: int, total: int) -> None:
            if self._on_progress is not None:
                self._on_progress(Progress(stage, backend, done, total))

        return report


def _each_once(skipped: tuple[Skipped, ...]) -> tuple[Skipped, ...]:
    """The last reason per subject and backend."""
    return tuple({(one.label, one.backend): one for one in skipped}.values())


def without(result: BenchResult, stage: Stage, backend: str) -> BenchResult:
    """*result* without the records of a timing that goes on."""
    ratios = tuple(
        one
        for one in result.ratios
        if one.backend != backend or not one.quantity.startswith(f"{stage}_")
    )
    if stage == "latency":
        left = tuple(one for one in result.latency if one.backend != backend)
        return replace(result, ratios=ratios, latency=left)
    if stage == "paced":
        loops = tuple(one for one in result.paced if one.backend != backend)
        return replace(result, ratios=ratios, paced=loops)
    return result
