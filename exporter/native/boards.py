"""The golden check as a program for an emulated board: a microcontroller's ``policy verify``."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from dspctl.errors import UnknownTarget
from dspctl.exporter.c import c_from_policy
from dspctl.exporter.native.compilers import compiler_for
from dspctl.exporter.native.sources import board_sources, compiled
from dspctl.exporter.native.targets import NativeTarget
from dspctl.runtime.policy import Policy
from dspctl.runtime.reference.golden import Golden

_PROGRAM = "policy.elf"


@dataclass(frozen=True)
class Board:
    """A board that QEMU emulates.

    Attributes:
        machine: its name for ``qemu-system-arm -machine``; the linker script has the same stem.
        target: the target whose library it runs.
    """

    machine: str
    target: str

    def command(self, program: Path) -> tuple[str, ...]:
        """What runs *program* on the emulated board; its exit code is the program's."""
        return (
            *("qemu-system-arm", "-machine", self.machine, "-nographic", "-monitor", "none"),
            *("-serial", "none", "-semihosting-config", "enable=on,target=native"),
            *("-kernel", str(program)),
        )


BOARDS: dict[str, Board] = {
    board.target: board
    for board in (Board("mps2-an386", "cortex-m4"), Board("mps2-an500", "cortex-m7"))
}


def build_board_check(
    policy: Policy, name: str, target: NativeTarget, golden: Golden, *, strict: bool = False
) -> bytes:
    """An ELF program that replays *golden* on the board of *target* and exits 0 if all agree.

    It prints, through semihosting: ``rows``, ``differences``, ``ties``, ``act_bits`` and
    ``act_batch_bits`` (the hashes that ``policy verify`` prints), and the bytes of stack that one
    call was seen to use.

    Raises:
        UnknownTarget: there is no board for *target*.
        CompilerMissing, CompilationFailed: as `build_native`.
    """
    if target.name not in BOARDS:
        raise UnknownTarget(
            f"no board is emulated for {target.name}: choose one of {', '.join(BOARDS)}"
        )
    board = BOARDS[target.name]
    compiler = compiler_for(target)
    source = c_from_policy(policy, name, target, strict=strict)
    sources = board_sources(policy, name, golden)
    with tempfile.TemporaryDirectory(prefix="dspctl-board-") as temporary:
        folder = Path(temporary)
        (folder / f"{name}.c").write_text(source.source, encoding="utf-8", newline="\n")
        (folder / f"{name}.h").write_text(source.header, encoding="utf-8", newline="\n")
        compiler.object(folder, target, name, strict=strict)
        compiler.archive(folder, name)
        inside = folder / "board"
        inside.mkdir()
        for file, data in sources.items():
            (inside / file).write_bytes(data)
        script = f"{board.machine}.ld"
        units = compiled(sources)
        compiler.bare_program(inside, target, units, f"../lib{name}.a", script, _PROGRAM)
        return (inside / _PROGRAM).read_bytes()
