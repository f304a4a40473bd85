"""Calls of networks: computed together and carried back together, and still a white box.

A call on plain numbers waits: its results are computed when the data of one is first read, with
all other calls that wait; and those that a backward pass finds go back together. On first access to
``_prev``, a result becomes the graph of single operations that the original would have built.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import get_ident
from typing import Any

import numpy as np

from gradlite.autodiff.array_interface import as_data
from gradlite.autodiff.modes import MODE, RECORDING, current_mode
from gradlite.autodiff.node import serial
from gradlite.autodiff.rule import Traced
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import ShapeError
from gradlite.scalar.engine import ADD, Value, new
from gradlite.scalar.layers import FLOAT, Layers, Read
from gradlite.scalar.ops import Op, number, short, unary_op
from gradlite.scalar.walk import toposort, walk

LIMIT = 256  # calls that may wait


class Network:
    """Layers that can be called; `name` is how errors call them."""

    def __init__(self, layers: Layers, name: str) -> None:
        self.layers = layers
        self.name = name
        self.waiting: Batch | None = None

    def __call__(self, x: Any) -> Any:
        """Compute the layers: for single numbers Values, for a batch a Tensor."""
        layers = self.layers
        kind = type(x)
        if kind is Tensor or (kind is not list and getattr(x, "ndim", 1) > 1):
            return self.on_tape(x)
        inputs = list(x) if kind is list else self.listed(x)
        if len(inputs) != layers.inputs:
            for x in inputs:
                self.one(x)
            raise ShapeError(f"{self.name} takes {layers.inputs} inputs, not {len(inputs)}.")
        numbers, has_results = inputs, False
        if not FLOAT.issuperset(map(type, inputs)):
            inputs = [self.one(x) for x in inputs]
            numbers = [x if type(x) is float else x.data for x in inputs]
            has_results = any(type(x) is not float and x._made_by for x in inputs)
        if has_results or current_mode().inspector is not None:  # debug mode looks at every Value
            results = layers.value_by_value(inputs)
        else:
            results = self.batch().results(inputs, numbers)
        return results[0] if len(results) == 1 else results

    def batch(self) -> Batch:
        """Return the calls that wait to be computed with the parameters of now."""
        read, batch = self.layers.read(), self.waiting
        if (
            batch is None
            or batch.read is not read
            or batch.passed
            or len(batch.calls) >= LIMIT
            or batch.thread != get_ident()
        ):
            batch = self.waiting = Batch(self.layers, read)
        return batch

    def on_tape(self, x: Any) -> Any:
        """Compute a batch of shape (n, inputs) on the tape of Tensors."""
        layers = self.layers
        x = x if isinstance(x, Tensor) else Tensor(as_data(x, None, copy=False), copy=False)
        if x.ndim not in (1, 2) or x.shape[-1] != layers.inputs:
            raise ShapeError(
                f"{self.name} takes {layers.inputs} inputs: a batch has the shape "
                f"(n, {layers.inputs}), not {x.shape}."
            )
        return layers.on_tape(x)

    def listed(self, x: Any) -> list[Any]:
        """Return the inputs of a call as a list."""
        try:
            if not isinstance(x, (str, bytes)):
                return x.tolist() if isinstance(x, np.ndarray) and x.ndim else list(x)
        except TypeError:
            pass
        inputs = self.layers.inputs
        raise ShapeError(
            f"{self.name} takes a sequence of {inputs} numbers or Values, or a batch as an array "
            f"of shape (n, {inputs}), not {short(x)}."
        )

    def one(self, x: Any) -> Any:
        """Return an input as a float, or as the Value that it is or, of a Tensor, can become."""
        if isinstance(x, (list, tuple)) or (isinstance(x, Tensor) and x.ndim):
            inputs = self.layers.inputs
            raise ShapeError(
                f"{self.name} takes {inputs} numbers, not {short(x)} among them. A batch is an "
                f"array of shape (n, {inputs}): np.array(...) makes one of nested lists."
            )
        if isinstance(x, Traced):
            return x if isinstance(x, Value) else Value(x)
        return float(number(x))


class Batch:
    """Calls of the same layers with the same parameters (`read`).

    Attributes
    ----------
    calls : list of tuple
        For each call its inputs (floats and Values), their numbers, and for each of its results
        the list that is its ``_inputs``: empty until the call is unfolded.
    passed : list of array
        The numbers, a row for each call, and what each layer made of them; empty until computed.
    arrived : dict of int to (Read, list of float)
        By call: the parameters of its last backward pass, and what arrived at its results.
    outs : dict of int to list of Value
        By call: what its results are in the graph of single operations, once it is unfolded.
    """

    __slots__ = ("arrived", "calls", "layers", "outs", "passed", "read", "thread")

    def __init__(self, layers: Layers, read: Read) -> None:
        self.layers = layers
        self.read = read
        self.thread = get_ident()
        self.calls: list[tuple[list[Any], list[float], list[list[Value]]]] = []
        self.passed: list[np.ndarray] = []
        self.arrived: dict[int, tuple[Read, list[float]]] = {}
        self.outs: dict[int, list[Any]] = {}

    def results(self, inputs: list[Any], numbers: list[float]) -> list[Any]:
        """Add a call, and return its results, which are computed later."""
        call, age = len(self.calls), serial()
        op = OPS[self.layers.activation] if current_mode().record else None
        results, behind = [], []
        for i in range(self.layers.width):
            found: list[Value] = []
            value = new(Result)
            value._number = None
            value.grad = 0.0
            value._made_by = op
            value._inputs = found
            value._extra = self, call, i
            value._serial = age
            results.append(value)
            behind.append(found)
        self.calls.append((inputs, numbers, behind))
        return results

    def computed(self, call: int) -> list[Any]:
        """Return `passed`, after computing all calls that wait if `call` is among them."""
        passed = self.passed
        if not passed or call >= len(passed[0]):
            rows = [numbers for _, numbers, _ in self.calls]
            with np.errstate(all="ignore"):
                passed = self.passed = self.layers.forward(rows, self.read[1])
        return passed

    @np.errstate(all="ignore")
    def backward(self, results: Sequence[Any]) -> None:
        """Carry the gradients of results back, as the original does with the weights of now."""
        read = self.layers.read()
        cotangents: dict[int, list[float]] = {}
        for value in results:
            _, call, i = value._extra
            if call not in cotangents:
                cotangents[call] = [0.0] * self.layers.width
            cotangents[call][i] += value.grad
        calls = sorted(cotangents)
        passed = self.computed(calls[-1])
        if len(calls) < len(passed[0]):
            passed = [h[calls] for h in passed]
        slopes = self.layers.backward(np.array([cotangents[k] for k in calls]), passed, read[1])
        for call, row in zip(calls, slopes.tolist(), strict=True):
            self.arrived[call] = read, cotangents[call]
            inputs, numbers, _ = self.calls[call]
            if inputs is not numbers:
                for x, slope in zip(inputs, row, strict=True):
                    if type(x) is not float:
                        x.grad += slope

    def unfold(self, call: int, age: float) -> list[Any]:
        """Build the graph of single operations that the original would have built for a call.

        It has the numbers of that time, and the gradients of the last backward pass.
        """
        inputs, numbers, _ = self.calls[call]
        then = {x: y for x, y in zip(inputs, numbers, strict=True) if type(x) is not float}
        then.update(zip(self.layers.parameters, self.read[0], strict=True))
        # Twins hold the numbers of that time; parameters and inputs keep theirs.
        twins = {x: Value(y) for x, y in then.items()}
        token = MODE.set(RECORDING)
        try:
            outs: list[Any] = self.layers.value_by_value([twins.get(x, x) for x in inputs], twins)
        finally:
            MODE.reset(token)
        order = toposort(outs)
        if call in self.arrived:
            (later, _), cotangents = self.arrived[call]
            for p, y in zip(self.layers.parameters, later, strict=True):
                twins[p].data = y
            seeds = [(out, g) for out, g in zip(outs, cotangents, strict=True) if g]
            walk(toposort([out for out, _ in seeds]), seeds)
        originals = {twin: x for x, twin in twins.items()}
        for k, value in enumerate(order, 1):  # younger than the inputs, older than the results
            value._serial = age - k / (len(order) + 1)
            value._inputs = tuple([originals.get(x, x) for x in value._inputs])
        return outs


class Result(Value):
    """A result of a call, whose data is computed when it is first read."""

    __slots__ = ("_number",)

    _number: Any

    @property
    def data(self) -> Any:
        """The number."""
        if self._number is None:
            batch, call, i = self._extra
            self._number = batch.computed(call)[-1].item(call, i)
        return self._number

    @data.setter
    def data(self, number: Any) -> None:
        self._number = number


def pull(value: Any) -> Any:
    """Leave the gradient of a result to its batch, or to the graph if the call is unfolded."""
    batch, call, i = value._extra
    if call not in batch.outs:
        return batch
    batch.outs[call][i].grad += value.grad
    return None


def expand(value: Any) -> None:
    """Turn a result of a call into a result of single operations."""
    batch, call, i = value._extra
    if call not in batch.outs:
        outs = batch.outs[call] = batch.unfold(call, value._serial)
        for behind, out in zip(batch.calls[call][2], outs, strict=True):
            behind.append(out)
    value._made_by, value._inputs = batch.outs[call][i]._made_by, batch.outs[call][i]._inputs


OPS = {
    activation: Op(op.name, pull, expand=expand)
    for activation, op in {"": ADD, "relu": unary_op("relu"), "tanh": unary_op("tanh")}.items()
}
