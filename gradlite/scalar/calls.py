"""Calls of a network on single numbers: computed together, and carried back together.

A call only takes its inputs down. When somebody looks at the first result, all calls that wait
are computed as one batch; and those whose results one backward pass finds go back as one.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from threading import RLock, get_ident
from typing import Any

import numpy as np

from gradlite.autodiff.modes import current_mode
from gradlite.autodiff.node import serial
from gradlite.scalar.engine import Value, new
from gradlite.scalar.expand import OPS, expand
from gradlite.scalar.ops import Op

LOCK = RLock()
LIMIT = 256  # calls that may wait


class Batch:
    """Calls of a network that wait for each other.

    They see the weights of their time: a change of these starts another batch.

    Attributes
    ----------
    network : Network
        What was called.
    weights : list of array
        The matrices of its layers. The last way back went through `weights_back`.
    inputs : list of list of (float or Value)
        On what, a list for each call.
    rows : list of list of float
        The same as numbers, and a 1.
    passed : list of array
        The rows as an array, then what each layer gave for them; empty before.
    results : list of list of float
        What the last layer gave.
    """

    __slots__ = (
        "__weakref__", "arrived", "has_values", "inputs", "network", "passed", "results",
        "rows", "siblings", "thread", "weights", "weights_back",
    )  # fmt: skip

    def __init__(self, network: Any) -> None:
        self.network = network
        self.weights = self.weights_back = network.weights
        self.thread = get_ident()
        self.inputs: list[list[Any]] = []
        self.has_values = False
        self.rows: list[list[float]] = []
        self.passed: list[np.ndarray] = []
        self.results: list[list[float]] = []
        self.siblings: dict[int, list[Any]] = {}  # the results of a call, where they are several
        self.arrived: dict[int, list[float]] = {}  # what arrived last at the results of a call

    def add(self, inputs: list[Any], numbers: list[float], inner: tuple[Value, ...]) -> list[Any]:
        """Take a call down, and give its results."""
        row = len(self.rows)
        self.inputs.append(inputs)
        self.rows.append(numbers)
        age = serial()
        op: Op | None = self.network.outer_op
        before: tuple[Any, ...] = ()
        if not current_mode().record:
            op = None
        elif inner:
            op, before = self.network.inner_op, (Call(self, row, inner, age),)
        results = []
        for i in range(self.network.width):
            value = new(Result)
            value.grad = 0.0
            value._made_by = op
            value._inputs = before
            value._extra = (self, row, i)
            value._serial = age
            results.append(value)
        if len(results) > 1:
            self.siblings[row] = [weakref.ref(value) for value in results]
        return results

    def compute(self) -> None:
        """Run the network on all rows."""
        with LOCK, np.errstate(all="ignore"):
            if self.passed:
                return
            h = np.array(self.rows, float)
            passed = [h]
            for layer, weights in zip(self.network.layers, self.weights, strict=True):
                h = h.dot(weights.T)
                if layer.function is not None:
                    h = layer.function(h)
                passed.append(h)
            self.results = h.tolist()
            self.passed = passed

    def backward(self, values: Sequence[Any]) -> None:
        """Carry back the gradients of results of several calls."""
        width = self.network.width
        if width == 1:
            arrived = {value._extra[1]: [value.grad] for value in values}
        else:
            arrived = {}
            for value in values:
                _, row, i = value._extra
                if row not in arrived:
                    arrived[row] = [0.0] * width
                arrived[row][i] += value.grad
        self.carry_back(arrived)

    @np.errstate(all="ignore")
    def carry_back(self, cotangents: dict[int, list[float]]) -> None:
        """Add to the gradients of weights and inputs what arrived at some of the calls."""
        network = self.network
        network.refresh()
        if not self.passed:
            self.compute()
        passed, rows = self.passed, sorted(cotangents)
        if len(rows) < len(self.rows):
            passed = [h[rows] for h in passed]
        g = np.array([cotangents[row] for row in rows])
        self.arrived.update(cotangents)
        self.weights_back = network.weights
        for i, layer in network.backwards:
            if layer.vjp is not None:
                h = passed[i + 1]
                g = layer.vjp(g, h[:, :-1] if layer.feeds else h, None)
            slopes = g.T.dot(passed[i]).ravel().tolist()
            for p, slope in zip(layer.parameters, slopes, strict=True):
                p.grad += slope
            if i or self.has_values:  # as in the original, through the weights of now
                g = g.dot(network.weights[i][: layer.width, :-1])
        if self.has_values:
            for row, slopes in zip(rows, g.tolist(), strict=True):
                for x, slope in zip(self.inputs[row], slopes, strict=True):
                    if type(x) is not float:
                        x.grad += slope


class Call:
    """A call whose inputs are results: it stands between these and its own results.

    It has the attributes by which the walk knows a Value.
    """

    __slots__ = ("_inputs", "_made_by", "_serial", "arrived", "batch", "grad", "row")

    def __init__(self, batch: Batch, row: int, inputs: tuple[Value, ...], age: float) -> None:
        self.batch = batch
        self.row = row
        self.arrived = [0.0] * batch.network.width  # at the results, in this walk
        self._inputs = inputs
        self._made_by = CALL
        self._serial = age - 0.5
        self.grad = 0.0

    def backward(self) -> None:
        """Carry back what has arrived."""
        arrived, self.arrived = self.arrived, [0.0] * len(self.arrived)
        self.batch.carry_back({self.row: arrived})


class Result(Value):
    """A result that nobody has looked at yet. It becomes a Value when its data is wanted."""

    __slots__ = ()

    def _look(self) -> Any:
        batch, row, i = self._extra
        if not batch.passed:
            batch.compute()
        self.data = batch.results[row][i]
        return self.data

    def _write(self, data: Any) -> None:
        self.__class__ = Value  # type: ignore[assignment]  # it has the same slots
        self.data = data

    data = property(_look, _write)


CALL = Op("call", Call.backward)


def result_ops(activation: str) -> tuple[Op, Op]:
    """Make the Ops of results of calls with leaves alone before them, and of other calls.

    The former can wait for the end of a walk, and go back together. The latter have their
    places in the order.
    """
    name = OPS[activation].name
    return Op(name, lambda value: value._extra[0], expand), Op(name, _arrive, expand)


def _arrive(value: Any) -> None:
    (call,) = value._inputs
    call.arrived[value._extra[2]] += value.grad
