"""The walk back through a graph of Values.

It does on floats what `autodiff.tape.walk` does on arrays, and leaves ``grad`` on every Value
that it passes. Where the graph of Values ends in something else (a Tensor that a Value was
taken from, the neurons of a network that ran as arrays) the gradients are handed over.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from operator import attrgetter
from typing import Any

from gradlite.autodiff.node import Node
from gradlite.errors import DivisionError, RangeError

by_age = attrgetter("_serial")
Seeds = Sequence[tuple[Any, float]]


class Start:
    """Stands for a result of the values that a walk starts from."""

    __slots__ = ("_inputs",)

    def __init__(self, inputs: Sequence[Any]) -> None:
        self._inputs = inputs


def behind(roots: Sequence[Any]) -> tuple[list[Any], dict[Any, float]]:
    """List the results (not the leaves) among `roots` and behind them, the youngest first.

    Their ``grad`` is set to zero; what it was before, unless zero, is the second answer.
    """
    zero = float("0")  # an object of its own: whatever has it as its grad has been found
    before: dict[Any, float] = {}
    found: list[Any] = [Start(roots)]
    for value in found:
        for x in value._inputs:
            if x._made_by is not None and x.grad is not zero:
                if x.grad:
                    before[x] = x.grad
                x.grad = zero
                found.append(x)
    del found[0]
    found.sort(key=by_age, reverse=True)
    return found, before


def walk(seeds: Seeds, seen: Set[int] = frozenset()) -> tuple[dict[Node, float], list[Any]]:
    """Add to ``grad`` of every leaf behind the seeds what the seeds' cotangents contribute.

    A result shows and passes on what arrived in this walk alone.

    Parameters
    ----------
    seeds : sequence of (Value, float)
        Where to start, and the cotangents there.
    seen : set of int, optional
        The ids of the results that other walks of the same backward pass have met: these show
        the sum.

    Returns
    -------
    dict of Node to float
        What arrived at Tensors that Values were made of.
    list of Value
        The results that were met.

    Raises
    ------
    DivisionError, RangeError
        If a derivative is infinite, or too large.
    """
    order, before = behind([value for value, _ in seeds])
    for value, g in seeds:
        value.grad += g
    leaving: dict[Any, list[Any]] = {}
    try:
        for value in order:
            receiver = value._made_by.pull(value)
            if receiver is not None:
                if receiver in leaving:
                    leaving[receiver].append(value)
                else:
                    leaving[receiver] = [value]
    except ZeroDivisionError:
        raise DivisionError(f"The derivative is infinite: {described(value)}.") from None
    except OverflowError:
        raise RangeError(f"The derivative is too large: {described(value)}.") from None
    arrived: dict[Node, float] = {}
    for receiver, values in leaving.items():
        if isinstance(receiver, Node):
            arrived[receiver] = sum(value.grad for value in values)
        else:
            receiver.backward(values)
    if seen:
        for value, g in before.items():
            if id(value) in seen:
                value.grad += g
    return arrived, order


def quiet_walk(seeds: Seeds) -> dict[Node, float]:
    """Walk for the sake of what arrives at Tensors; no Value's ``grad`` changes."""
    order, before = behind([value for value, _ in seeds])
    for value in order:
        value.grad = before.get(value, 0.0)
    for value in order:
        if value._made_by.expand is not None:  # neurons that ran as arrays become Values
            value._made_by.expand(value)
    touched: dict[Any, float] = {value: value.grad for value, _ in seeds}
    pending = [value for value, _ in seeds]
    while pending:
        for value in pending.pop()._inputs:
            if value not in touched:
                touched[value] = value.grad
                pending.append(value)
    arrived, _ = walk(seeds)
    for value, g in touched.items():
        value.grad = g
    return arrived


def described(value: Any) -> str:
    """Write a result as a formula: ``Value(data=0.0, ...) ** 0.5``."""
    inputs = ", ".join(map(repr, value._inputs))
    return f"{value._op or 'a leaf'} of {inputs}, at {value!r}"
