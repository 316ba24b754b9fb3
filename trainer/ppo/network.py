"""A multilayer perceptron whose parameters live in one flat vector.

One vector makes everything around the network a single call: Adam, gradient clipping, saving, and
live compaction, where removing units is *selecting* entries of the vector (and of Adam's moments,
by the same index). Weights and biases are views on it. Forward and backward are written out with
NumPy: at these sizes autograd's bookkeeping costs more than the arithmetic, and
``docs/decisions/0004`` has the figures. :mod:`dspctl.trainer.ppo.autograd` is the reference.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dspctl.compactor.groups import UnitGroups, unit_groups

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]


class Layout:
    """Where each weight, bias and extra parameter lies in the flat vector.

    Order: layer by layer, weight [out, in] row by row, then bias [out]; extras last.
    """

    def __init__(self, sizes: Sequence[int], *, biases: bool, extra: int = 0) -> None:
        self.sizes = tuple(sizes)
        self.biases = biases
        self.extra = extra
        self.weight_slices: list[slice] = []
        self.bias_slices: list[slice | None] = []
        end = 0
        for fan_in, width in zip(self.sizes, self.sizes[1:], strict=False):
            self.weight_slices.append(slice(end, end + fan_in * width))
            end += fan_in * width
            self.bias_slices.append(slice(end, end + width) if biases else None)
            end += width if biases else 0
        self.extra_slice = slice(end, end + extra)
        self.length = end + extra

    def weights(self, vector: Vector) -> list[Matrix]:
        """Views [out, in] on *vector*."""
        return [
            vector[where].reshape(self.sizes[layer + 1], self.sizes[layer])
            for layer, where in enumerate(self.weight_slices)
        ]

    def bias_vectors(self, vector: Vector) -> list[Vector | None]:
        """Views [out] on *vector*, None for a network without biases."""
        return [None if where is None else vector[where] for where in self.bias_slices]

    def select(self, keep: Sequence[NDArray[np.bool_]]) -> tuple["Layout", NDArray[np.int64]]:
        """The layout without the units that *keep* drops, and the survivors' old positions.

        Args:
            keep: bool [units] for each hidden layer.
        """
        ends = [
            np.ones(self.sizes[0], bool),
            *keep,
            np.ones(self.sizes[-1], bool),
        ]
        alive = np.ones(self.length, bool)
        for layer, where in enumerate(self.weight_slices):
            alive[where] = np.outer(ends[layer + 1], ends[layer]).ravel()
            bias = self.bias_slices[layer]
            if bias is not None:
                alive[bias] = ends[layer + 1]
        smaller = Layout([int(e.sum()) for e in ends], biases=self.biases, extra=self.extra)
        return smaller, np.flatnonzero(alive)


class Network:
    """Fully connected layers with tanh or ReLU between them and a linear output.

    Attributes:
        layout: where parameters lie.
        parameters: float32 [n], all of them.
        gradients: float32 [n], filled by `backward`.
        extra: view on the parameters that belong to no layer (a policy's log std).
    """

    def __init__(self, layout: Layout, activation: str, parameters: Vector) -> None:
        self.activation = activation
        self._adopt(layout, parameters)

    def _adopt(self, layout: Layout, parameters: Vector) -> None:
        self.layout = layout
        self.parameters = parameters
        self.gradients = np.zeros_like(parameters)
        self.weights = layout.weights(parameters)
        self.biases = layout.bias_vectors(parameters)
        self.extra = parameters[layout.extra_slice]
        self.extra_gradients = self.gradients[layout.extra_slice]
        self._weight_gradients = layout.weights(self.gradients)
        self._bias_gradients = layout.bias_vectors(self.gradients)
        self._rows = 0

    @classmethod
    def initialise(
        cls,
        layout: Layout,
        activation: str,
        rng: np.random.Generator,
        *,
        hidden_gain: float,
        output_gain: float,
        extra: float = 0.0,
    ) -> "Network":
        """Orthogonal weights (Saxe 2014), zero biases, *extra* in the extra parameters."""
        parameters = np.zeros(layout.length, np.float32)
        network = cls(layout, activation, parameters)
        for index, weight in enumerate(network.weights):
            gain = output_gain if index == len(network.weights) - 1 else hidden_gain
            weight[:] = gain * _orthogonal(weight.shape, rng)
        network.extra[:] = extra
        return network

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return self.layout.sizes[1:-1]

    def _reserve(self, rows: int) -> None:
        if rows > self._rows:
            sizes = self.layout.sizes
            self._rows = rows
            self._h = [np.empty((rows, size), np.float32) for size in sizes[1:]]
            self._d = [np.empty((rows, size), np.float32) for size in sizes[1:-1]]
            self._slope = [np.empty((rows, size), np.float32) for size in sizes[1:-1]]
            self._ones = np.ones(rows, np.float32)

    def forward(self, x: Matrix) -> Matrix:
        """Outputs float32 [rows, out] for inputs float32 [rows, in].

        The result and the hidden activations are buffers, overwritten by the next call.
        """
        rows = len(x)
        self._reserve(rows)
        h, last = x, len(self.weights) - 1
        self._x = x
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            out = self._h[layer][:rows]
            np.matmul(h, weight.T, out=out)
            if bias is not None:
                out += bias
            if layer < last:
                if self.activation == "tanh":
                    np.tanh(out, out=out)
                else:
                    np.maximum(out, 0, out=out)
            h = out
        return h

    def backward(self, d_outputs: Matrix) -> None:
        """Overwrite the layers' part of `gradients` for the last `forward`.

        Args:
            d_outputs: float32 [rows, out], the loss's derivative with respect to the outputs.
        """
        rows = len(d_outputs)
        d = d_outputs
        for layer in range(len(self.weights) - 1, -1, -1):
            below = self._h[layer - 1][:rows] if layer else self._x
            np.matmul(d.T, below, out=self._weight_gradients[layer])
            bias = self._bias_gradients[layer]
            if bias is not None:
                np.matmul(self._ones[:rows], d, out=bias)
            if layer:
                d_below = self._d[layer - 1][:rows]
                np.matmul(d, self.weights[layer], out=d_below)
                slope = self._slope[layer - 1][:rows]
                if self.activation == "tanh":
                    np.multiply(below, below, out=slope)
                    np.subtract(1, slope, out=slope)
                    d_below *= slope
                else:
                    d_below *= below > 0
                d = d_below

    def mean_activations(self, x: Matrix) -> list[Vector]:
        """Mean of every hidden unit over the rows of *x*, one float32 [units] per layer."""
        self.forward(x)
        return [h[: len(x)].mean(axis=0) for h in self._h[:-1]]

    def groups(self) -> list[UnitGroups]:
        """The hidden units' parameters, as views."""
        return unit_groups(self.weights, self.biases)

    def gradient_groups(self) -> list[UnitGroups]:
        """The same views on the gradients."""
        return unit_groups(self._weight_gradients, self._bias_gradients)

    def shrink(self, keep: Sequence[NDArray[np.bool_]]) -> NDArray[np.int64]:
        """Remove hidden units for good.

        Args:
            keep: bool [units] for each hidden layer.

        Returns:
            int64: positions in the old flat vector that survive, in their new order.
        """
        layout, survivors = self.layout.select(keep)
        self._adopt(layout, self.parameters[survivors])
        return survivors


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Matrix:
    rows, columns = shape
    square = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(square)
    q = q * np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
    return (q if rows >= columns else q.T).astype(np.float32)
