"""Neurons as arrays: layers as matrices, and networks of layers.

The weights and the bias of each neuron of a layer are a row of one matrix, and a layer is a
product with it and an activation. The parameters stay Values that anybody can read, change and
compute with; their matrices are made anew after a change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from threading import get_ident
from typing import Any
from weakref import ref

import numpy as np

from gradlite.autodiff.node import GradAccumulator, Node
from gradlite.autodiff.rule import RULES, Traced
from gradlite.autodiff.rules.activations import relu
from gradlite.autodiff.rules.fused import affine
from gradlite.autodiff.tensor import Tensor, as_data
from gradlite.errors import ShapeError
from gradlite.scalar.calls import LIMIT, Batch, result_ops
from gradlite.scalar.engine import Value
from gradlite.scalar.ops import FUNCTIONS, number, short

FLOAT = frozenset({float})

# What follows the weighted sums, on arrays and on Tensors, and what it makes 1 of: a neuron
# with that bias and no weights gives the 1 that multiplies the biases of the next layer.
ACTIVATIONS: dict[str, tuple[Callable[..., Any] | None, Callable[..., Any] | None, float]] = {
    "": (None, None, 1.0),
    "relu": (partial(np.maximum, np.zeros(())), relu, 1.0),
    "tanh": (np.tanh, np.tanh, 40.0),
}


class Clock:
    """Counts the writes to parameters, so that networks know when their matrices are stale."""

    __slots__ = ("ticks",)

    def __init__(self) -> None:
        self.ticks = 0


UNREAD = Clock()  # of parameters that no network has read yet


class Parameter(Value):
    """A Value that is a weight or a bias of neurons; they see it when its data changes."""

    __slots__ = ("_clock", "_number")

    _clock: Clock
    _number: float

    def __init__(self, data: float) -> None:
        self._clock = UNREAD
        super().__init__(data)

    def _write(self, data: Any) -> None:
        if type(data) is not float:
            data = float(number(data))
        self._number = data
        self._clock.ticks += 1

    data = property(attrgetter("_number"), _write)


class LiveSink(GradAccumulator):
    """Brings the gradient of a weight matrix, a Tensor, to the Parameters."""

    __slots__ = ("parameters",)

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        super().__init__(np.dtype(float))
        self.parameters = parameters

    def add(self, g: Any) -> None:
        """Add a row of gradients for each row of parameters."""
        for p, slope in zip(self.parameters, g.T.ravel().tolist(), strict=True):
            p.grad += slope

    def add_recorded(self, g: Any) -> None:
        """Add the numbers of `g`: floats cannot remember how they were made."""
        self.add(g._data)


class Dense:
    """The neurons of one layer as a matrix: a row of weights and the bias for each.

    Parameters
    ----------
    parameters : sequence of Parameter
        Weights and bias of the first neuron, then of the next.
    width : int
        The number of neurons.
    activation : str
        'relu', 'tanh', or '' for none.
    feeds : bool
        Whether another layer follows. The matrix then has a row more: with its one entry it
        makes the 1 by which the next layer multiplies its biases.
    """

    def __init__(
        self, parameters: Sequence[Parameter], width: int, activation: str, feeds: bool
    ) -> None:
        self.parameters = parameters
        self.width = width
        step = len(parameters) // width
        self.inputs = step - 1
        self.activation = activation
        self.feeds = feeds
        self.function, self.on_tensors, makes_one = ACTIVATIONS[activation]
        # Both rules read the answer only.
        self.vjp: Any = RULES[FUNCTIONS[activation][1]].vjps[0] if activation else None
        row = [Value(0.0)] * self.inputs + [Value(makes_one)]
        self.entries = [*parameters, *row] if feeds else parameters
        of_each = [parameters[i::step] for i in range(step)]  # weights of an input, then biases
        rows = [p for row in zip(*of_each[:-1], strict=True) for p in row]
        self.sinks = LiveSink(rows), LiveSink(of_each[-1])

    def on_tape(self, x: Any, weights: np.ndarray) -> Any:
        """Compute the layer for a batch, (n, inputs) to (n, width), on the tape."""
        of_weights, of_biases = self.sinks
        W = live_tensor(weights[:, :-1].T, of_weights)
        b = live_tensor(weights[:, -1], of_biases)
        z = affine(x, W, b)
        return z if self.on_tensors is None else self.on_tensors(z)


def live_tensor(data: np.ndarray, sink: LiveSink) -> Tensor:
    """Make a leaf whose gradient goes to Parameters."""
    node = Node(None, (), (), data, data.shape)
    node.sink = sink
    return Tensor._make(data, node)


class Network:
    """Layers of neurons, ready to run as arrays.

    Parameters
    ----------
    layers : sequence of Dense
        Each takes what the one before gives.
    name : str
        How errors call it.
    """

    def __init__(self, layers: Sequence[Dense], name: str) -> None:
        self.layers = layers
        self.name = name
        self.inputs, self.width = layers[0].inputs, layers[-1].width
        self.backwards = list(enumerate(layers))[::-1]
        self.entries = [p for layer in layers for p in layer.entries]
        self.parameters = [p for layer in layers for p in layer.parameters]
        clock = Clock()
        for p in self.parameters:
            if p._clock is UNREAD:
                p._clock = clock
        self.clocks = list(dict.fromkeys(p._clock for p in self.parameters))
        self.read = -1
        self.refresh()
        self.outer_op, self.inner_op = result_ops(layers[-1].activation)
        # Weak, so that what nobody waits for is forgotten, and nothing goes round in a circle.
        self.waiting: Callable[[], Batch | None] = lambda: None

    def refresh(self) -> None:
        """Bring the matrices up to date with the parameters; old ones stay as they are."""
        now = 0
        for clock in self.clocks:
            now += clock.ticks
        if now == self.read:
            return
        self.read = now
        numbers = np.array([p.data for p in self.entries], float)
        self.weights = []
        start = 0
        for layer in self.layers:
            end = start + len(layer.entries)
            self.weights.append(numbers[start:end].reshape(-1, layer.inputs + 1))
            start = end

    def __call__(self, x: Any) -> Any:
        """Compute the network: of single numbers as Values, of a batch as a Tensor."""
        kind = type(x)
        if kind is Tensor or (kind is not list and getattr(x, "ndim", 1) > 1):
            return self.on_tape(x)
        inputs = list(x) if kind is list else self.listed(x)
        if len(inputs) != self.inputs:
            for x in inputs:
                self.one(x)
            raise ShapeError(f"{self.name} takes {self.inputs} inputs, not {len(inputs)}.")
        numbers = inputs
        inner: tuple[Value, ...] = ()
        has_values = False
        if not FLOAT.issuperset(map(type, inputs)):
            inputs = [self.one(x) for x in inputs]
            numbers = [x.data if isinstance(x, Value) else x for x in inputs]
            inner = tuple([x for x in inputs if type(x) is not float and x._made_by is not None])
            has_values = True
        self.refresh()
        batch = self.waiting()
        if (
            batch is None
            or batch.weights is not self.weights
            or batch.passed
            or len(batch.rows) >= LIMIT
            or batch.thread != get_ident()
        ):
            batch = Batch(self)
            self.waiting = ref(batch)
        if has_values:
            batch.has_values = True
        results = batch.add(inputs, [*numbers, 1.0], inner)
        return results[0] if self.width == 1 else results

    def listed(self, x: Any) -> list[Any]:
        """Make a list of the inputs of a call."""
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
        """Make one input a float, unless it is a Value or, of a Tensor, can become one."""
        if isinstance(x, (list, tuple)) or (isinstance(x, Tensor) and x.ndim):
            raise ShapeError(
                f"{self.name} takes {self.inputs} numbers, not {short(x)} among them. A batch is "
                f"an array of shape (n, {self.inputs}): np.array(...) makes one of nested lists."
            )
        if isinstance(x, Traced):
            return x if isinstance(x, Value) else Value(x)
        return float(number(x))

    def on_tape(self, x: Any) -> Any:
        """Compute a batch on the tape: (n, inputs) to (n,), or (n, width) of several results."""
        if not isinstance(x, Tensor):
            x = as_data(x, None, copy=False)
        if x.ndim not in (1, 2) or x.shape[-1] != self.inputs:
            raise ShapeError(
                f"{self.name} takes {self.inputs} inputs: a batch has the shape "
                f"(n, {self.inputs}), not {x.shape}."
            )
        self.refresh()
        for layer, weights in zip(self.layers, self.weights, strict=True):
            x = layer.on_tape(x, weights[: layer.width])
        return x.reshape(x.shape[:-1]) if self.width == 1 else x
