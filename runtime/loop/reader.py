"""``observe()`` with a time limit: a sensor that hangs costs an observation, not the loop.

The sensor is read by a thread of its own, which is asked once a step and waited for. While a
reading is late no other one is asked for; it serves the step in which it arrives. Handing over
between threads costs some 50 µs: a sensor whose own call takes a timeout needs no `Reader`.
"""

import threading
from collections.abc import Callable
from typing import Any

from dspctl.errors import ConfigProblem


class Reader:
    """Wraps ``observe``; also a context manager.

    Args:
        observe: gives an observation; it is called by another thread than the loop's.
        timeout_ms: how long a step waits for it.

    Raises:
        ConfigProblem: the time is not positive.
    """

    def __init__(self, observe: Callable[[], Any], timeout_ms: float) -> None:
        if not 0 < timeout_ms < float("inf"):
            raise ConfigProblem(
                f"an observation is waited for a positive number of milliseconds, not {timeout_ms}"
            )
        self._observe, self._timeout_s = observe, timeout_ms / 1e3
        self._asked, self._answered = threading.Semaphore(0), threading.Semaphore(0)
        self._reading = self._closed = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="dspctl observe", daemon=True)
        self._thread.start()

    def __call__(self) -> Any:
        """The observation.

        Raises:
            TimeoutError: it did not come in time.
            BaseException: what ``observe`` raised.
        """
        if not self._reading:
            self._reading = True
            self._asked.release()
        if not self._answered.acquire(timeout=self._timeout_s):
            raise TimeoutError(f"no observation within {self._timeout_s * 1e3:g} ms")
        self._reading = False
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._value

    def close(self) -> None:
        """Ask for nothing more; a reading that hangs is left behind."""
        self._closed = True
        self._asked.release()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _work(self) -> None:
        while True:
            self._asked.acquire()
            if self._closed:
                return
            try:
                self._value = self._observe()
            except BaseException as error:
                self._error = error
            self._answered.release()
