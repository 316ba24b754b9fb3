"""The C files that every build consists of, generated and written by hand."""

from pathlib import Path

from dspctl.exporter.native.golden_c import bindings_header, golden_header, golden_source
from dspctl.runtime.policy import Policy
from dspctl.runtime.reference.golden import Golden

_HERE = Path(__file__).parent

SHARED_WITH_BOARDS = (
    *("verify.c", "verify.h", "bits.c", "bits.h"),
    *("golden.c", "golden.h", "policy_bindings.h"),
)
"""What the check on a board takes from the command: it needs no C library."""


def command_sources(policy: Policy, name: str, golden: Golden) -> dict[str, bytes]:
    """Every file of the command ``policy``, by name; the same for all targets.

    They compile, as C99 with POSIX.1-2008, together with any target's ``NAME.c`` and ``NAME.h``.
    """
    generated = {
        "policy_bindings.h": bindings_header(policy, name),
        "golden.h": golden_header(policy, golden),
        "golden.c": golden_source(policy, golden),
    }
    written = _files(_HERE / "command")
    return dict(sorted({**written, **{k: v.encode() for k, v in generated.items()}}.items()))


def board_sources(policy: Policy, name: str, golden: Golden) -> dict[str, bytes]:
    """Every file of the check that runs on a board, start-up code and linker scripts included."""
    command = command_sources(policy, name, golden)
    shared = {file: command[file] for file in SHARED_WITH_BOARDS}
    return dict(sorted({**shared, **_files(_HERE / "board")}.items()))


def compiled(sources: dict[str, bytes]) -> tuple[str, ...]:
    """The files that a compiler is given, sorted."""
    return tuple(sorted(file for file in sources if file.endswith(".c")))


def _files(folder: Path) -> dict[str, bytes]:
    kinds = {".c", ".h", ".ld"}
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in kinds}
