"""From a board's power rails to the power of the whole, and which rails that is.

Some boards measure their input: that is the total, and every other rail is a part of it. Others
measure only parts. Their sum leaves out what no sensor sees, and counts twice where one measured
rail feeds another, so it is called what it is and the rails are named.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", "5V_IN", "VIN")
"""Rails that measure the input of the module: TX2, Xavier NX, Orin NX and Nano; Nano; Thor.

``VIN_SYS_5V0`` is not one of them: it feeds the parts that run from 5 V. An AGX Orin reads less on
it than on ``VDD_GPU_SOC`` and ``VDD_CPU_CV`` together.
"""


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
