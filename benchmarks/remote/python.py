"""Whether another machine has a Python that measuring can use, and why not."""

from dataclasses import dataclass

from dspctl.benchmarks.remote.cache import Cache
from dspctl.benchmarks.remote.channel import printable
from dspctl.errors import HostAnswer
from dspctl.runtime.strict_json import fields_from_json

_MOST_VALUES = 100
OLDEST = (3, 10)
_TIMEOUT_S = 180.0
_ABSENT = 9

# Any Python 3 reads this; it says what an old one or one without NumPy lacks.
_ASK = """
import json, sys
found = {"version": list(sys.version_info[:3]), "lacks": []}
for name in ("numpy", "safetensors"):
    try:
        __import__(name)
    except Exception as error:
        found["lacks"].append("%s (%s)" % (name, error))
print(json.dumps(found))
"""

_RUN = """
cd "$1" || exit 1
command -v "$2" >/dev/null 2>&1 || exit 9
PYTHONPATH="$1/$3${PYTHONPATH:+:$PYTHONPATH}" exec "$2" -c "$4"
"""


@dataclass(frozen=True)
class Usable:
    """A Python that can measure, or the reason why there is none.

    Attributes:
        program: what to run.
        reason: empty where it can be used.
    """

    program: str
    reason: str = ""


def find_python(cache: Cache, program: str, host: str) -> Usable:
    """Ask *program* on the other machine for its version and packages.

    Raises:
        HostAnswer: something else answered.
        ConnectionLost: the connection ended.
    """
    done = cache.run(_RUN, program, ".", _ASK, timeout_s=_TIMEOUT_S)
    if done.code == _ABSENT:
        return Usable(program, f"{host} has no {program}")
    if done.code != 0:
        why = done.complaint or f"exit code {done.code}"
        return Usable(program, f"{program} on {host} does not run ({why})")
    try:
        found = fields_from_json(done.output, "the answer", most_values=_MOST_VALUES)
        version, lacks = found.take("version"), [printable(one) for one in found.texts("lacks")]
        found.finish()
        major, minor, patch = (part for part in version if type(part) is int and 0 <= part < 1000)
    except (ValueError, TypeError) as error:
        raise HostAnswer(
            f"{program} on {host} did not say which version it is: see that  ssh {host} {program} "
            "--version  works"
        ) from error
    if (major, minor) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return Usable(
            program,
            f"{program} on {host} is {major}.{minor}.{patch}, and measuring needs {wanted} or "
            "newer",
        )
    if lacks:
        return Usable(program, f"{program} on {host} lacks {', '.join(lacks)}")
    return Usable(program)


def check_package(cache: Cache, python: Usable, folder: str, host: str) -> Usable:
    """Whether the modules copied to *folder* can be imported there."""
    code = "import dspctl.benchmarks.worker"
    done = cache.run(_RUN, python.program, folder, code, timeout_s=_TIMEOUT_S)
    if done.code == 0:
        return python
    why = done.complaint or f"exit code {done.code}"
    return Usable(python.program, f"{python.program} on {host} cannot run dspctl ({why})")
