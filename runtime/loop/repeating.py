"""A function called again and again by a thread of its own, until a block of code ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def repeated(
    call: Callable[[], None], every_s: float, *, last_s: float = 1.0, name: str = "dspctl"
) -> Iterator[None]:
    """Call *call* every *every_s* seconds while the body runs.

    What it raises is swallowed: it runs beside something that must not stop. The thread is a
    daemon, so that a call which hangs does not keep the process.

    Args:
        call: the function.
        every_s: time between two calls.
        last_s: how long the end of the body waits for a call that is going on.
        name: of the thread.
    """
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(every_s):
            with suppress(BaseException):  # SystemExit would end the thread without a word
                call()

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(last_s)
