"""The white box: the graph of single operations behind a network that ran as arrays.

`expand` builds what the original engine would have built: for each neuron the products, the
sums from left to right and the activation, with the numbers of that call, the weights of that
time and the gradients that have arrived since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradlite.scalar.engine import ADD, MULTIPLY, SCALE, Value, new
from gradlite.scalar.ops import Op, unary_op

OPS = {"": ADD, "relu": unary_op("relu"), "tanh": unary_op("tanh")}


def expand(value: Any) -> None:
    """Turn the results of a call, of which `value` is one, into the graph behind them."""
    batch, row, _ = value._extra
    layers = batch.network.layers
    if not batch.passed:
        batch.compute()
    results = [ref() for ref in batch.siblings[row]] if row in batch.siblings else [value]
    arrived = batch.arrived.get(row) or [0.0] * len(results)
    cotangents = _cotangents(batch, row, np.array(arrived))
    # As old as the call: older than its results, younger than its inputs.
    count = sum(2 * len(layer.parameters) + layer.width for layer in layers)
    ages = iter(value._serial - (count - k) / (count + 1) for k in range(count))
    neurons: Sequence[Any] = batch.inputs[row]
    for i, layer in enumerate(layers):
        op = OPS[layer.activation]
        dz, dh = cotangents[i]
        h = batch.passed[i + 1][row].tolist()
        weights = batch.weights[i].tolist()
        x = batch.passed[i][row].tolist()
        step = layer.inputs + 1
        sums = [
            _weighted_sum(layer.parameters[j * step :], weights[j], neurons, x, dz[j], ages)
            for j in range(layer.width)
        ]
        if layer.vjp is None:
            neurons = sums
        else:
            neurons = [_made(h[j], dh[j], op, (sums[j],), ages) for j in range(layer.width)]
    for result, neuron in zip(results, neurons, strict=True):
        if result is not None:
            result._made_by, result._inputs = neuron._made_by, neuron._inputs


def _cotangents(batch: Any, row: int, g: Any) -> list[tuple[list[float], list[float]]]:
    """Carry `g` back; give for each layer the cotangents of its weighted sums and its results."""
    layers = batch.network.layers
    found = []
    with np.errstate(all="ignore"):
        for i in range(len(layers) - 1, -1, -1):
            layer = layers[i]
            dz = layer.vjp(g, batch.passed[i + 1][row, : layer.width], None) if layer.vjp else g
            found.append((dz.tolist(), g.tolist()))
            g = dz.dot(batch.weights_back[i][: layer.width, :-1])
    return found[::-1]


def _made(data: float, grad: float, op: Op, inputs: tuple[Any, ...], ages: Iterator[float]) -> Any:
    """Make a Value of a call's past."""
    value = new(Value)
    value.data, value.grad = data, grad
    value._made_by, value._inputs, value._serial = op, inputs, next(ages)
    return value


def _weighted_sum(
    parameters: Sequence[Any],
    weights: Sequence[float],
    inputs: Sequence[Any],
    numbers: Sequence[float],
    g: float,
    ages: Iterator[float],
) -> Any:
    """Build the weighted sum of one neuron: b + w1 x1 + w2 x2 + ..., from left to right."""
    total: Any = parameters[len(inputs)]
    data = weights[-1]
    for p, w, x, number in zip(parameters, weights, inputs, numbers, strict=False):
        if isinstance(x, Value):
            product = _made(w * number, g, MULTIPLY, (p, x), ages)
        else:
            product = _made(w * number, g, SCALE, (p,), ages)
            product._extra, product._passed = x, g
        data += product.data
        total = _made(data, g, ADD, (total, product), ages)
    return total
