"""The result of a benchmark while it grows, on the disk and in a progress bar."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dspctl.benchmarks.record.file import save_result
from dspctl.benchmarks.record.result import BenchResult


@dataclass(frozen=True)
class Progress:
    """How far a benchmark is.

    Attributes:
        stage: ``latency``, ``paced`` or ``memory``.
        backend: the one being measured.
        done: rounds, windows or processes finished.
        total: rounds, windows or processes of this stage.
    """

    stage: str
    backend: str
    done: int
    total: int


class Keeper:
    """The result so far; every update is on the disk before the next measurement begins."""

    def __init__(
        self,
        result: BenchResult,
        out: Path | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.result = result
        self.out = out
        self._on_progress = on_progress

    def update(self, **changes: Any) -> BenchResult:
        """Replace fields, write, and return the result."""
        self.result = replace(self.result, **changes)
        if self.out is not None:
            save_result(self.result, self.out)
        return self.result

    def reporter(self, stage: str, backend: str) -> Callable[[int, int], None]:
        """A callback for one stage."""

        def report(done: int, total: int) -> None:
            if self._on_progress is not None:
                self._on_progress(Progress(stage, backend, done, total))

        return report
