"""A policy in eager PyTorch: what an engineer has before anything is exported."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import MissingExtra
from dspctl.runtime import NumpyRunner, Policy


class TorchRunner(NumpyRunner):
    """Runs the network as an ``nn.Sequential`` in float32, on one thread, without gradients.

    The guard and the action rule are NumPy's, as in the program that would call the module. A
    network of a few thousand weights is slower on more threads, so the thread count of the
    process is set to 1.

    Args:
        policy: what to run; masks, if any, are multiplied through (DSP Eq 8).

    Raises:
        MissingExtra: torch is not installed.
    """

    backend = "torch"

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy, np.float32)
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("torch", "train", "measuring the torch backend") from error
        torch.set_num_threads(1)
        self._torch = torch
        self._module = _module(policy)
        every = np.arange(policy.observation.size)
        self._inputs = None if np.array_equal(policy.inputs, every) else policy.inputs
        self._scaling = None
        if policy.normalizer is not None:
            normalizer = policy.normalizer
            self._scaling = (
                torch.from_numpy(normalizer.mean.astype(np.float32)),
                torch.from_numpy(normalizer.scale.astype(np.float32)),
                normalizer.clip,
            )

    def _network(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        torch = self._torch
        read = rows if self._inputs is None else rows[:, self._inputs]
        with torch.inference_mode():
            x = torch.from_numpy(read)
            if self._scaling is not None:
                mean, scale, clip = self._scaling
                x = (x - mean) * scale
                x = x if clip is None else x.clamp(-clip, clip)
            answer: NDArray[Any] = self._module(x).numpy()
        return answer


def _module(policy: Policy) -> Any:
    import torch

    activations = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
    parts: list[Any] = []
    for layer in (one.unmasked for one in policy.layers):
        linear = torch.nn.Linear(layer.fan_in, layer.width, bias=layer.bias is not None)
        linear.weight.data = torch.from_numpy(layer.weight.astype(np.float32))
        if layer.bias is not None:
            linear.bias.data = torch.from_numpy(layer.bias.astype(np.float32))
        parts.append(linear)
        if layer.activation in activations:
            parts.append(activations[layer.activation]())
    return torch.nn.Sequential(*parts).eval()
