"""Networks of neurons as matrices: a call runs on arrays, and is still a white box.

The parameters are plain Values; each call compares their numbers with those of its matrices. All
calls that a backward pass reaches are differentiated together. On first access to ``_prev``, a
result becomes the graph of single operations that the original would have built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any
from weakref import ref

import numpy as np

from gradlite.autodiff.array_interface import as_data
from gradlite.autodiff.modes import MODE, RECORDING, current_mode
from gradlite.autodiff.node import GradAccumulator, Node, serial
from gradlite.autodiff.rule import RULES, Traced
from gradlite.autodiff.rules.activations import relu
from gradlite.autodiff.rules.fused import affine
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import ShapeError
from gradlite.scalar.engine import ADD, Value
from gradlite.scalar.ops import FUNCTIONS, Op, number, short, unary_op
from gradlite.scalar.walk import toposort, walk

# The numbers of all parameters; and for each layer the weights (outputs, inputs) and the biases.
Weights = tuple[list[float], list[tuple[np.ndarray, np.ndarray]]]
FLOAT = frozenset({float})
read_data = attrgetter("data")

# Activations on arrays and on Tensors.
ACTIVATIONS: dict[str, tuple[Any, Any]] = {
    "": (None, None),
    "relu": (partial(np.maximum, 0.0), relu),
    "tanh": (np.tanh, np.tanh),
}


class Parameter(Value):
    """A Value that is a weight or a bias of a neuron."""

    __slots__ = ()


class ParameterAccumulator(GradAccumulator):
    """Adds the gradient of an array of weights or biases to ``grad`` of the parameters."""

    __slots__ = ("parameters",)

    def __init__(self, parameters: Sequence[Any]) -> None:
        super().__init__(np.dtype(float))
        self.parameters = parameters

    def add(self, g: Any) -> None:
        """Add a column of gradients for each neuron."""
        for p, slope in zip(self.parameters, g.T.ravel().tolist(), strict=True):
            p.grad += slope

    def add_recorded(self, g: Any) -> None:
        """Add the numbers of `g`; as floats they are off the tape."""
        self.add(g._data)


def weighted_sum(w: Sequence[Any], b: Any, x: Sequence[Any]) -> Any:
    """Return b + w1 x1 + w2 x2 + ... of Values, added from left to right as in the original."""
    return sum((wi * xi for wi, xi in zip(w, x, strict=True)), b)


class Dense:
    """A layer: the weights and then the bias of each neuron, and one activation for all."""

    def __init__(self, neurons: Sequence[Sequence[Any]], activation: str) -> None:
        self.neurons = neurons
        self.shape = len(neurons), len(neurons[0])
        self.parameters = [p for row in neurons for p in row]
        self.activation = activation
        self.on_arrays, self.on_tensors = ACTIVATIONS[activation]
        # Both rules read the output only.
        self.vjp: Any = RULES[FUNCTIONS[activation][1]].vjps[0] if activation else None
        weights, biases = [p for row in neurons for p in row[:-1]], [row[-1] for row in neurons]
        self.sinks = ParameterAccumulator(weights), ParameterAccumulator(biases)


class Network:
    """Dense layers, each fed by the one before; errors use the name `name`."""

    def __init__(self, layers: Sequence[Dense], name: str) -> None:
        self.layers = layers
        self.name = name
        self.inputs, self.width = layers[0].shape[1] - 1, layers[-1].shape[0]
        self.parameters = [p for layer in layers for p in layer.parameters]
        self.weights: Weights = ([], [])

    def __call__(self, x: Any) -> Any:
        """Compute the layers: Values for single numbers, a Tensor for a batch."""
        kind = type(x)
        if kind is Tensor or (kind is not list and getattr(x, "ndim", 1) > 1):
            return self.on_tape(x)
        numbers = inputs = x.copy() if kind is list else self.listed(x)
        if not FLOAT.issuperset(map(type, inputs)):
            inputs = [self.one(x) for x in inputs]
            numbers = [x if type(x) is float else x.data for x in inputs]
        if len(inputs) != self.inputs:
            raise ShapeError(f"{self.name} takes {self.inputs} inputs, not {len(inputs)}.")
        has_results = numbers is not inputs and any(getattr(x, "_made_by", None) for x in inputs)
        if has_results or current_mode().inspector is not None:  # debug mode looks at every Value
            results = self.value_by_value(inputs)
        else:
            results = self.on_arrays(inputs, numbers)
        return results[0] if len(results) == 1 else results

    def listed(self, x: Any) -> list[Any]:
        """Return the inputs of a call as a list."""
        try:
            if not isinstance(x, (str, bytes)):
                return x.tolist() if isinstance(x, np.ndarray) and x.ndim else list(x)
        except TypeError:
            pass
        raise ShapeError(
            f"{self.name} takes a sequence of {self.inputs} numbers or Values, or a batch as an "
            f"array of shape (n, {self.inputs}), not {short(x)}."
        )

    def one(self, x: Any) -> Any:
        """Return an input as a float or a Value; a Tensor of one element becomes a Value."""
        if isinstance(x, (list, tuple)) or (isinstance(x, Tensor) and x.ndim):
            raise ShapeError(
                f"{self.name} takes {self.inputs} numbers, not {short(x)} among them. A batch is "
                f"an array of shape (n, {self.inputs}): np.array(...) makes one of nested lists."
            )
        if isinstance(x, Traced):
            return x if isinstance(x, Value) else Value(x)
        return float(number(x))

    def read(self) -> Weights:
        """Return the numbers of the parameters and their matrices, renewed after a change."""
        numbers = list(map(read_data, self.parameters))
        try:
            if numbers == self.weights[0]:
                return self.weights
        except ValueError:  # an array is among them, which is no number
            pass
        if not FLOAT.issuperset(map(type, numbers)):
            numbers = [float(number(x)) for x in numbers]
        matrices, flat = [], np.array(numbers)
        for layer in self.layers:
            rows, flat = np.split(flat, [len(layer.parameters)])
            rows = rows.reshape(layer.shape)
            matrices.append((rows[:, :-1].copy(), rows[:, -1]))  # contiguous, twice as fast
        self.weights = numbers, matrices
        return self.weights

    def on_arrays(self, inputs: list[Any], numbers: list[float]) -> list[Any]:
        """Compute the results of a call, and record what the backward pass needs."""
        weights = self.read()
        passed = [x := np.array(numbers, float)]
        with np.errstate(all="ignore"):
            for layer, (W, b) in zip(self.layers, weights[1], strict=True):
                x = W.dot(x) + b
                x = x if layer.on_arrays is None else layer.on_arrays(x)
                passed.append(x)
        results = [Value(y) for y in x.tolist()]
        if current_mode().record:
            call = Call(self, weights[0], inputs, passed, list(map(ref, results)))
            op, age = OPS[layer.activation], serial()
            for i, value in enumerate(results):
                value._made_by, value._extra, value._serial = op, (call, i), age
        return results

    @np.errstate(all="ignore")
    def backward(self, results: Sequence[Any]) -> None:
        """Pass the gradients of results back, with the current weights as in the original."""
        cotangents: dict[Call, list[float]] = {}
        for value in results:
            call, i = value._extra
            cotangents.setdefault(call, [0.0] * self.width)[i] += value.grad
        numbers, matrices = self.read()
        passed = list(map(np.array, zip(*(call.passed for call in cotangents), strict=True)))
        g = np.array(list(cotangents.values()))
        for k in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[k]
            if layer.vjp is not None:
                g = layer.vjp(g, passed[k + 1], None)
            slopes = np.column_stack((g.T.dot(passed[k]), g.sum(0)))
            for p, slope in zip(layer.parameters, slopes.ravel().tolist(), strict=True):
                p.grad += slope
            g = g.dot(matrices[k][0])
        for (call, arrived), row in zip(cotangents.items(), g.tolist(), strict=True):
            call.arrived = numbers, arrived
            for x, slope in zip(call.inputs, row, strict=True):
                if type(x) is not float:
                    x.grad += slope

    def on_tape(self, x: Any) -> Any:
        """Compute a batch on the tape: (n, inputs) to (n,), or (n, width) of several results."""
        x = x if isinstance(x, Tensor) else Tensor(as_data(x, None, copy=False), copy=False)
        if x.ndim not in (1, 2) or x.shape[-1] != self.inputs:
            raise ShapeError(
                f"{self.name} takes {self.inputs} inputs: a batch has the shape "
                f"(n, {self.inputs}), not {x.shape}."
            )
        for layer, (W, b) in zip(self.layers, self.read()[1], strict=True):
            x = affine(x, *map(live_tensor, (W.T, b), layer.sinks))
            x = x if layer.on_tensors is None else layer.on_tensors(x)
        return x.reshape(x.shape[:-1]) if self.width == 1 else x

    def value_by_value(self, x: Sequence[Any], twins: dict[Any, Any] | None = None) -> Any:
        """Compute the layers as the original does, with `twins` of the parameters if given."""
        for layer in self.layers:
            rows = layer.neurons
            if twins is not None:
                rows = [[twins[p] for p in row] for row in rows]
            x = [weighted_sum(row[:-1], row[-1], x) for row in rows]
            if layer.activation:
                x = [getattr(total, layer.activation)() for total in x]
        return x


def live_tensor(data: np.ndarray, sink: ParameterAccumulator) -> Tensor:
    """Return a leaf whose gradient goes to parameters."""
    node = Node(None, (), (), data, data.shape)
    node.sink = sink
    return Tensor._make(data, node)


@dataclass(eq=False, slots=True)
class Call:
    """What the results of a call have in common.

    Attributes
    ----------
    network : Network
        The network that was called.
    numbers : list of float
        The numbers of the parameters at that time.
    inputs : list
        Floats and Values.
    passed : list of array
        The numbers of the inputs, and what each layer made of them.
    results : list of weak reference
        To the results.
    arrived : (list of float, list of float) or None
        The numbers of the parameters and the cotangents of the results in the last backward pass.
    """

    network: Network
    numbers: list[float]
    inputs: list[Any]
    passed: list[np.ndarray]
    results: list[ref[Any]]
    arrived: tuple[list[float], list[float]] | None = None

    def unfold(self, age: float) -> None:
        """Turn the results into those of the single operations that the original would have built.

        These have the numbers of the call, and the gradients of the last backward pass.
        """
        parameters = self.network.parameters
        # Twins hold the numbers of the call; parameters and inputs keep their current ones.
        twins = {
            x: Value(y) for x, y in zip(self.inputs, self.passed[0].tolist(), strict=True)
            if type(x) is not float
        }  # fmt: skip
        twins.update((p, Value(y)) for p, y in zip(parameters, self.numbers, strict=True))
        token = MODE.set(RECORDING)
        try:
            outs = self.network.value_by_value([twins.get(x, x) for x in self.inputs], twins)
        finally:
            MODE.reset(token)
        order = toposort(outs)
        if self.arrived is not None:
            for p, y in zip(parameters, self.arrived[0], strict=True):
                twins[p].data = y
            seeds = [(out, g) for out, g in zip(outs, self.arrived[1], strict=True) if g]
            walk(toposort([out for out, _ in seeds]), seeds)
        originals = {twin: x for x, twin in twins.items()}
        for k, value in enumerate(order, 1):  # younger than the inputs, older than the results
            value._serial = age - k / (len(order) + 1)
            value._inputs = tuple([originals.get(x, x) for x in value._inputs])
        for result, out in zip(self.results, outs, strict=True):
            if (value := result()) is not None:
                value._made_by, value._inputs = out._made_by, out._inputs


def network_of(value: Any) -> Any:
    """Return the network that a result is of: it takes the gradients of all results back."""
    return value._extra[0].network


def expand(value: Any) -> None:
    """Turn a result of a call, and the others of that call, into results of single operations."""
    value._extra[0].unfold(value._serial)


OPS = {
    activation: Op(op.name, network_of, expand=expand)
    for activation, op in {"": ADD, "relu": unary_op("relu"), "tanh": unary_op("tanh")}.items()
}
