"""What share of a network is gone, counted on what is left (DSP Eq 21 to 23)."""

from dspctl.trainer.ppo.network import Layout


def sparsities(now: Layout, original: Layout, zeros: int = 0) -> dict[str, float]:
    """Shares of hidden units, of weights and of forward FLOPs that were removed, each in [0, 1].

    Args:
        now: what is left.
        original: what there was.
        zeros: single weights of *now* that were removed; they still cost their FLOPs.
    """
    return {
        "unit_sparsity": _share(_units(now), _units(original)),
        "weight_sparsity": _share(_weights(now) - zeros, _weights(original)),
        "flops_sparsity": _share(_flops(now), _flops(original)),
    }


def _share(now: int, original: int) -> float:
    return 1 - now / original if original else 0.0


def _units(layout: Layout) -> int:
    return sum(layout.sizes[1:-1])


def _weights(layout: Layout) -> int:
    return sum(a * b for a, b in zip(layout.sizes, layout.sizes[1:], strict=False))


def _flops(layout: Layout) -> int:
    return sum((2 * a - 1) * b for a, b in zip(layout.sizes, layout.sizes[1:], strict=False))
