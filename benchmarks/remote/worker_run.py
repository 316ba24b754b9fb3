"""``dspctl.benchmarks.worker`` on another machine: started, listened to, ended with the line."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from dspctl import errors
from dspctl.benchmarks.keeper import Progress
from dspctl.benchmarks.remote.cache import Cache
from dspctl.benchmarks.remote.channel import Channel, printable
from dspctl.benchmarks.remote.connection import Connection
from dspctl.benchmarks.remote.job import Run
from dspctl.errors import DspctlError, HostAnswer
from dspctl.runtime.strict_json import value_from_json

# The worker is the first of a group of its own. Standard input ends when the connection does, and
# then the whole group ends: a measurement nobody waits for would disturb the next one.
_START = """
cd "$1" || exit 1
exec 3<&0
PYTHONPATH="$1/$4${PYTHONPATH:+:$PYTHONPATH}" "$3" -c '
import os, sys
os.setpgid(0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
' -m dspctl.benchmarks.worker "$1/$2" </dev/null 3<&- &
worker=$!
{ cat <&3; kill -KILL "-$worker" || kill -KILL "$worker"; } >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$worker"; code=$?
kill "$watch" 2>/dev/null
exit "$code"
"""

_MOST_VALUES = 1 << 10
_STAGE = re.compile(r"[a-z0-9_-]{0,40}")


def work(
    connection: Connection,
    cache: Cache,
    run: Run,
    *,
    python: str,
    package: str,
    on_progress: Callable[[Progress], None],
) -> None:
    """Run the worker to its end.

    Raises:
        DspctlError: what the worker raised there, as the same class.
        ConnectionLost: the connection ended, and the worker with it.
        HostAnswer: it printed something else, or ended without a word.
    """
    channel = connection.start(_START, cache.root, run.request, python, package, held=True)
    finished = False
    try:
        for line in channel.lines():
            message = _message(line, connection.host)
            if "error" in message:
                raise _error(message["error"], connection.host)
            finished = finished or message.get("finished") is True
            if "stage" in message:
                on_progress(_progress(message, connection.host))
        code = channel.code()
    finally:
        channel.close()
    if code != 0 or not finished:
        raise _ended(channel, code)


def _message(line: bytes, host: str) -> dict[str, Any]:
    try:
        message = value_from_json(line, "a line", most_values=_MOST_VALUES)
    except ValueError as error:
        raise HostAnswer(
            f"the measurement on {host} printed something else than its progress "
            f"({printable(line)!r}): repeat the command"
        ) from error
    if not isinstance(message, dict):
        raise HostAnswer(f"the measurement on {host} printed no progress: repeat the command")
    return message


def _progress(message: Mapping[str, Any], host: str) -> Progress:
    names = [message.get("stage"), message.get("backend")]
    counts = [message.get("done"), message.get("total")]
    if not all(isinstance(name, str) and _STAGE.fullmatch(name) for name in names) or not all(
        type(count) is int and 0 <= count < 1 << 53 for count in counts
    ):
        raise HostAnswer(f"the measurement on {host} printed no progress: repeat the command")
    return Progress(str(names[0]), str(names[1]), int(str(counts[0])), int(str(counts[1])))


def _error(told: Any, host: str) -> DspctlError:
    """The error that ended the worker, with its class and its sentence."""
    values = told if isinstance(told, dict) else {}
    kind = getattr(errors, str(values.get("type")), DspctlError)
    if not (isinstance(kind, type) and issubclass(kind, DspctlError)):
        kind = DspctlError
    sentence = printable(str(values.get("message")), most=2000)
    error: DspctlError = kind.__new__(kind, f"on {host}: {sentence}")  # any constructor's form
    return error


def _ended(channel: Channel, code: int) -> HostAnswer:
    why = channel.complaint() or f"exit code {code}"
    return HostAnswer(
        f"the measurement on {channel.host} ended early ({why}): what had finished is kept, and "
        "the same command goes on"
    )
