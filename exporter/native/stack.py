"""How much stack a call uses, from the compiler's own count of every function's frame."""

from collections.abc import Mapping
from dataclasses import dataclass

from dspctl.errors import CompilationFailed

_RETURN_ADDRESS = {"x86_64": 8, "aarch64": 0, "thumb": 0}
"""Pushed by the call itself. clang does not count it; gcc does. Arm's lies in a register that
the frame saves, and counts, where a function calls another."""


@dataclass(frozen=True)
class StackUse:
    """The deepest stack of any function.

    Attributes:
        bytes: of the deepest chain of calls.
        chain: its functions, outermost first.
        functions: function → bytes of its own frame, sorted by name.
    """

    bytes: int
    chain: tuple[str, ...]
    functions: dict[str, int]


def deepest_stack(frames: Mapping[str, int], calls: Mapping[str, frozenset[str]]) -> StackUse:
    """The chain of calls whose frames need most.

    Args:
        frames: function → bytes.
        calls: function → functions that it calls.

    Raises:
        CompilationFailed: a function without a known frame, or one that calls itself in the end.
    """
    deepest: dict[str, tuple[int, tuple[str, ...]]] = {}

    def follow(name: str, above: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
        if name in above:
            raise CompilationFailed(
                f"{name} calls itself through {', '.join(above)}, so that its stack has no bound: "
                "this is a defect of dspctl, please report it"
            )
        if name not in frames:
            raise CompilationFailed(
                f"the compiler did not tell how much stack {name} uses: use gcc or clang 14 or "
                "later"
            )
        if name not in deepest:
            below = [follow(each, (*above, name)) for each in sorted(calls.get(name, ()))]
            size, chain = max(below, default=(0, ()), key=lambda entry: entry[0])
            deepest[name] = (frames[name] + size, (name, *chain))
        return deepest[name]

    totals = [follow(name, ()) for name in sorted(calls)]
    size, chain = max(totals, default=(0, ()), key=lambda entry: entry[0])
    return StackUse(size, chain, dict(sorted(frames.items())))


def frames_from_su(text: str) -> dict[str, int]:
    """Function → bytes, from gcc's ``.su`` file: ``file:line:column:function  bytes  kind``.

    Raises:
        CompilationFailed: a frame whose size is only known when it runs.
    """
    frames: dict[str, int] = {}
    for line in text.splitlines():
        place, size, kind = line.split("\t")
        name = place.rsplit(":", 1)[-1]
        if "dynamic" in kind and "bounded" not in kind:
            raise CompilationFailed(
                f"the stack use of {name} has no bound: this is a defect of dspctl, please report "
                "it"
            )
        frames[name] = max(int(size), frames.get(name, 0))  # copies share a name
    return frames


def with_return_address(frames: Mapping[str, int], architecture: str) -> dict[str, int]:
    """clang's frames with what the call itself pushes."""
    return {name: size + _RETURN_ADDRESS[architecture] for name, size in frames.items()}
