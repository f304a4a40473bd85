"""Layers of neurons as matrices, made of the numbers of their parameters.

The parameters are plain Values that anybody can read, change and compute with. `Layers.read`
compares their numbers with those that the matrices were made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from gradlite.autodiff.node import GradAccumulator, Node
from gradlite.autodiff.rule import RULES
from gradlite.autodiff.rules.activations import relu
from gradlite.autodiff.rules.fused import affine
from gradlite.autodiff.tensor import Tensor
from gradlite.scalar.engine import Value
from gradlite.scalar.ops import FUNCTIONS, number

Function = Callable[..., Any]
Read = tuple[list[Any], list[np.ndarray]]  # the numbers of all parameters, a matrix for each layer
FLOAT = frozenset({float})
read_data = attrgetter("data")

# What follows the weighted sums: on arrays, and on Tensors; and what it makes exactly 1 of.
ACTIVATIONS: dict[str, tuple[Function | None, Function | None, float]] = {
    "": (None, None, 1.0),
    "relu": (partial(np.maximum, 0.0), relu, 1.0),
    "tanh": (np.tanh, np.tanh, 40.0),
}


class Parameter(Value):
    """A Value that is a weight or a bias of a neuron."""

    __slots__ = ()


class ParameterAccumulator(GradAccumulator):
    """Brings the gradient of weights or biases, on the tape of Tensors, to the parameters."""

    __slots__ = ("parameters",)

    def __init__(self, parameters: Sequence[Any]) -> None:
        super().__init__(np.dtype(float))
        self.parameters = parameters

    def add(self, g: Any) -> None:
        """Add a column of gradients for each neuron."""
        for p, slope in zip(self.parameters, g.T.ravel().tolist(), strict=True):
            p.grad += slope

    def add_recorded(self, g: Any) -> None:
        """Add the numbers of `g`: floats cannot remember how they were made."""
        self.add(g._data)


def weighted_sum(w: Sequence[Any], b: Any, x: Sequence[Any]) -> Any:
    """Compute b + w1 x1 + w2 x2 + ... Value by Value, from left to right as the original does."""
    return sum((wi * xi for wi, xi in zip(w, x, strict=True)), b)


class Dense:
    """The neurons of a layer: for each the weights and the bias, and an activation for all."""

    def __init__(self, neurons: Sequence[Sequence[Any]], activation: str) -> None:
        self.neurons = neurons
        self.width, self.step = len(neurons), len(neurons[0])
        self.parameters = [p for row in neurons for p in row]
        self.activation = activation
        self.on_arrays, self.on_tensors, self.makes_one = ACTIVATIONS[activation]
        # Both rules read the output only.
        self.vjp: Any = RULES[FUNCTIONS[activation][1]].vjps[0] if activation else None
        weights, biases = [p for row in neurons for p in row[:-1]], [row[-1] for row in neurons]
        self.sinks = ParameterAccumulator(weights), ParameterAccumulator(biases)


class Layers:
    """Dense layers, each fed by the one before."""

    def __init__(self, layers: Sequence[Dense]) -> None:
        self.layers = layers
        self.inputs, self.width = layers[0].step - 1, layers[-1].width
        self.parameters = [p for layer in layers for p in layer.parameters]
        self.activation = layers[-1].activation
        self.last_read: Read = ([], [])

    def read(self) -> Read:
        """Return the numbers of the parameters and matrices of them, new ones after a change.

        Each matrix has a row more, for the 1 by which the next layer multiplies its biases.
        """
        numbers = list(map(read_data, self.parameters))
        try:
            if numbers == self.last_read[0]:
                return self.last_read
        except ValueError:  # an array is among them, which is no number
            pass
        if not FLOAT.issuperset(map(type, numbers)):
            numbers = [float(number(x)) for x in numbers]
        matrices, flat = [], np.array(numbers)
        for layer in self.layers:
            rows, flat = np.split(flat, [len(layer.parameters)])
            matrix = np.zeros((layer.width + 1, layer.step))
            matrix[:-1] = rows.reshape(layer.width, layer.step)
            matrix[-1, -1] = layer.makes_one
            matrices.append(matrix)
        self.last_read = numbers, matrices
        return self.last_read

    def forward(self, rows: Sequence[Any], matrices: Sequence[Any]) -> list[Any]:
        """Return the rows with a column of ones, and what each layer makes of them."""
        x = np.ones((len(rows), self.inputs + 1))
        x[:, :-1] = rows
        passed = [x]
        for layer, matrix in zip(self.layers, matrices, strict=True):
            x = x.dot(matrix.T)
            passed.append(x if layer.on_arrays is None else layer.on_arrays(x))
            x = passed[-1]
        return passed

    def backward(self, g: Any, passed: Sequence[Any], matrices: Sequence[Any]) -> Any:
        """Add to the gradients of the parameters, and return those of the rows."""
        for i in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[i]
            if layer.vjp is not None:
                g = layer.vjp(g, passed[i + 1][:, :-1], None)
            slopes = g.T.dot(passed[i]).ravel().tolist()
            for p, slope in zip(layer.parameters, slopes, strict=True):
                p.grad += slope
            g = g.dot(matrices[i][:-1, :-1])
        return g

    def on_tape(self, x: Tensor) -> Any:
        """Compute a batch on the tape: (n, inputs) to (n,), or (n, width) of several results."""
        for layer, matrix in zip(self.layers, self.read()[1], strict=True):
            W, b = map(live_tensor, (matrix[:-1, :-1].T, matrix[:-1, -1]), layer.sinks)
            x = affine(x, W, b)
            x = x if layer.on_tensors is None else layer.on_tensors(x)
        return x.reshape(x.shape[:-1]) if self.width == 1 else x

    def value_by_value(self, x: Sequence[Any], twins: dict[Any, Any] | None = None) -> Any:
        """Compute the layers as the original does, maybe with `twins` of the parameters."""
        for layer in self.layers:
            rows = layer.neurons
            if twins is not None:
                rows = [[twins[p] for p in row] for row in rows]
            x = [weighted_sum(row[:-1], row[-1], x) for row in rows]
            if layer.activation:
                x = [getattr(total, layer.activation)() for total in x]
        return x


def live_tensor(data: np.ndarray, sink: ParameterAccumulator) -> Tensor:
    """Make a leaf whose gradient goes to parameters."""
    node = Node(None, (), (), data, data.shape)
    node.sink = sink
    return Tensor._make(data, node)
