"""One process of the background load; run as a file, with nothing but the standard library.

Arguments: bytes to stream through, and a processor or ``any``. It prints one JSON object once it is
at work, and works until its standard input ends: that of a parent that was killed ends too.
"""

import json
import os
import sys
import threading

_PIECE = 1 << 20
_SUMS = 20_000


def work(memory: bytearray) -> int:
    """Copy one half of the memory over the other, with arithmetic after each MiB."""
    half, total = len(memory) // 2, 0
    view = memoryview(memory)
    for start in range(0, half, _PIECE):
        end = min(start + _PIECE, half)
        view[half + start : half + end] = view[start:end]
        for value in range(_SUMS):
            total = (total * 31 + value) & 0xFFFFFFFF
    return total


def end_with_parent() -> None:
    """Read until the end of standard input, which nobody writes to."""
    while os.read(0, 1):
        pass
    os._exit(0)


def be_ordinary(processor: str) -> None:
    """An ordinary process, whatever the one that started it had asked for itself."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    if processor != "any":
        os.sched_setaffinity(0, {int(processor)})


def main() -> None:
    """Work until the parent ends."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        be_ordinary(sys.argv[2])
        memory = bytearray(b"\x55") * int(sys.argv[1])
        work(memory)
    except (AttributeError, OSError, ValueError, MemoryError) as error:
        print(json.dumps({"error": str(error) or type(error).__name__}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    while True:
        work(memory)


if __name__ == "__main__":
    main()
