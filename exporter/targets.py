"""What ``--target`` takes: one table, and what several targets together come to.

A bundle always holds the policy, its ONNX graph and golden vectors. A target adds native code for
one or several processors, or what TensorRT needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dspctl.errors import UnknownTarget
from dspctl.exporter.native.targets import (
    CPU,
    GROUPS,
    NATIVE_TARGETS,
    NativeTarget,
    resolve_targets,
)


@dataclass(frozen=True)
class Target:
    """What one name adds to a bundle.

    Attributes:
        summary: one line for ``--help`` and the README.
        native: it stands for one or several native targets, see `resolve_targets`.
        recipe: what builds a TensorRT plan on the device, and the fp16 graph.
        rtx: a TensorRT-RTX plan, built now, and the fp16 graph.
    """

    summary: str
    native: bool = True
    recipe: bool = False
    rtx: bool = False


# To add a target: a line here, or a processor in exporter/native/targets.py.
TARGETS: dict[str, Target] = {
    "onnx": Target("the ONNX graph alone, for any runtime that reads opset 17", native=False),
    CPU: Target("this machine's processor, compiled by this machine's compiler"),
    "jetson": Target("all three Jetson boards, and the recipe of a TensorRT plan", recipe=True),
    "rtx": Target("RTX GPUs: a TensorRT-RTX plan, built without a GPU", native=False, rtx=True),
    **{
        name: Target(target.summary, recipe=name in GROUPS["jetson"])
        for name, target in NATIVE_TARGETS.items()
    },
}


@dataclass(frozen=True)
class Plan:
    """What a list of targets comes to.

    Attributes:
        targets: as given, without repetitions.
        native: what to build for, each once.
        recipe: some target needs the recipe.
        rtx: some target needs a TensorRT-RTX plan.
    """

    targets: tuple[str, ...]
    native: tuple[NativeTarget, ...]
    recipe: bool
    rtx: bool

    @property
    def fp16(self) -> bool:
        """True when the fp16 graph belongs to the bundle."""
        return self.recipe or self.rtx


def plan_of(targets: str | Sequence[str]) -> Plan:
    """Resolve the names of targets.

    Raises:
        UnknownTarget: there is no such target, none is given, or ``cpu`` is asked for on a kind of
            machine that native code cannot be made for.
    """
    names = tuple(dict.fromkeys([targets] if isinstance(targets, str) else targets))
    unknown = [name for name in names if name not in TARGETS]
    if unknown or not names:
        raise UnknownTarget(
            f"there is no target {unknown[0]!r}: choose {', '.join(TARGETS)}"
            if unknown
            else f"no target is given: choose {', '.join(TARGETS)}"
        )
    chosen = [TARGETS[name] for name in names]
    return Plan(
        targets=names,
        native=resolve_targets([name for name in names if TARGETS[name].native]),
        recipe=any(target.recipe for target in chosen),
        rtx=any(target.rtx for target in chosen),
    )
