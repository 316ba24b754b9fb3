"""What strict C computes, in NumPy: the same float32 operations in the same order.

NumPy's element-wise float32 operations round once each and are never fused, so the bits are those
of strict C on any processor with IEEE 754 arithmetic. Tests compare them on x86-64, aarch64 and
Cortex-M; a device can be checked against them as well.
"""

import numpy as np
from numpy.typing import NDArray

from dspctl.exporter.c.rational_tanh import tanh_float32
from dspctl.runtime.policy import Policy


def strict_outputs(policy: Policy, observations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Network outputs, bit for bit: float32 [n, obs_dim], raw, to float32 [n, out].

    Invalid observations are repaired first, as the guard says.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        x = policy.guard.repair(observations, policy.inputs)[:, policy.inputs]
        if policy.normalizer is not None:
            x = (x - policy.normalizer.mean) * policy.normalizer.scale
            if policy.normalizer.clip is not None:
                clip = np.float32(policy.normalizer.clip)
                x = np.minimum(np.maximum(x, -clip), clip)
        for layer in (each.unmasked for each in policy.layers):
            weight = layer.weight.astype(np.float32)
            total = np.zeros((len(x), layer.width), np.float32)
            if layer.bias is not None:
                total = total + layer.bias.astype(np.float32)
            for index in range(layer.fan_in):
                total = total + weight[:, index] * x[:, index, None]
            if layer.activation == "tanh":
                total = tanh_float32(total)
            elif layer.activation == "relu":
                total = np.maximum(total, np.float32(0))
            x = total
    return x
