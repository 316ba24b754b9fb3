"""One job beside the main thread, or the same job in turn when only one thread is allowed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Background(Generic[Result]):
    """Runs at most one job at a time; NumPy releases the interpreter lock while it computes.

    Args:
        threads: with 1, `start` does the work at once, so results are the same either way.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(1, "critic") if threads > 1 else None
        self._pending: Future[Result] | None = None

    def start(self, job: Callable[[], Result]) -> None:
        """Begin *job*; the one before it must have been waited for."""
        if self._pool is not None:
            self._pending = self._pool.submit(job)
        else:
            self._pending = Future()
            self._pending.set_result(job())

    def wait(self) -> Result | None:
        """The result of the last job, once; None when there is none."""
        pending, self._pending = self._pending, None
        return None if pending is None else pending.result()

    def __enter__(self) -> "Background[Result]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
