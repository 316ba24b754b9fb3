"""From a board's power rails to the power of the whole, and which rails that is.

Some boards measure their input: that is the total, and every other rail is a part of it. Others
measure only parts. Their sum leaves out what no sensor sees, and counts twice where one measured
rail feeds another, so it is called what it is and the rails are named.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", "5V_IN", "VIN")
"""Rails that measure the input of the module: TX2, Xavier NX, Orin NX and Nano; Nano; Thor.

``VIN_SYS_5V0`` is not one of them: it feeds the parts that run from 5 V. An AGX Orin reads less on
it than on ``VDD_GPU_SOC`` and ``VDD_CPU_CV`` together.
"""


KNOWN_RAILS = frozenset(
    (
        *TOTAL_RAILS,
        # AGX Orin
        *("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"),
        # Orin NX, Orin Nano, Xavier NX
        *("VDD_CPU_GPU_CV", "VDD_SOC"),
        # Thor
        *("VDD_GPU", "VDD_CPU_SOC_MSS"),
        # AGX Xavier
        *("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
        # Nano
        *("POM_5V_GPU", "POM_5V_CPU"),
        # TX2
        *("VDD_SYS_GPU", "VDD_SYS_SOC", "VDD_SYS_CPU", "VDD_SYS_DDR", "VDD_4V0_WIFI"),
    )
)
"""Rails whose place on a board is documented."""


@dataclass(frozen=True)
class BoardPower:
    """Power of a board as far as its sensors see it.

    Attributes:
        watts: of the rails below, added.
        rails: their names, sorted.
        total: True where this is the module's input, False where it is a sum of parts.
    """

    watts: float
    rails: tuple[str, ...]
    total: bool

    @property
    def meaning(self) -> str:
        """What the figure stands for, in a sentence."""
        if self.total:
            return f"power into the module, measured on {self.rails[0]}"
        return (
            f"sum of the rails {', '.join(self.rails)}, which is not the power of the board: "
            "compare it only with the same sum on the same kind of board"
        )


def unknown_rails(rails: Iterable[str]) -> tuple[str, ...]:
    """Those of *rails* that no documentation at hand names, sorted: what they feed is not known.

    Two sensors with one label are told apart by an address behind it, which does not count.
    """
    return tuple(sorted(name for name in rails if name.split(" ")[0] not in KNOWN_RAILS))


def board_power(rails_w: Mapping[str, float]) -> BoardPower | None:
    """The board's power from its rails in watts; None without any.

    The input where it is measured, else the sum of all rails that were read.
    """
    for name in TOTAL_RAILS:
        if name in rails_w:
            return BoardPower(rails_w[name], (name,), total=True)
    if not rails_w:
        return None
    return BoardPower(sum(rails_w.values()), tuple(sorted(rails_w)), total=False)
