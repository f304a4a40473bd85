"""The backward pass one node at a time: what arrives where, and what it adds up to.

`steps` takes the walk that ``backward()`` takes, watched from where debug mode watches it, and
tells everything that happens on the way. It changes nothing: no ``grad``, no graph, and no hook
is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.cotangents import OutputCotangents
from gradlite.autodiff.modes import Mode, ModeContext
from gradlite.autodiff.node import Node
from gradlite.autodiff.tape import walk
from gradlite.draw.graph import inputs_of
from gradlite.errors import DivisionError, RangeError
from gradlite.scalar import Value
from gradlite.scalar.bridge import value_or_node
from gradlite.scalar.walk import described

Contributions = Iterator[tuple[Any, Any]]


class Arrival(NamedTuple):
    """A contribution that has reached an input.

    Attributes
    ----------
    item : Value or Node
        The input.
    amount : array or float
        What it was passed: a part of its gradient.
    total : array or float
        All that it has been passed so far.
    """

    item: Any
    amount: Any
    total: Any


class Step(NamedTuple):
    """A result passes its gradient back to what it was made of.

    Attributes
    ----------
    item : Value or Node
        The result.
    g : array or float
        Its gradient, which is complete by now.
    arrivals : list of Arrival
        What its inputs get, in the order of the arguments.
    """

    item: Any
    g: Any
    arrivals: list[Arrival]


def steps(root: Any, g: Any) -> Iterator[Step]:
    """Take the backward pass step by step.

    Parameters
    ----------
    root : Value or Node
        Where to start.
    g : array or float
        The cotangent to start from, of its shape.

    Yields
    ------
    Step
        One for each result behind `root`, and the first for `root` itself: the youngest first,
        so that all that a result contributed to has had its turn.

    Raises
    ------
    GraphError
        If a backward pass has let the graph go.
    DivisionError, RangeError
        If a derivative of a Value is infinite, or too large.

    Notes
    -----
    Where Values and Tensors meet, each Value has one turn, whichever way gradients reach it.

    Examples
    --------
    >>> from gradlite.engine import Value
    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> c = a * b + a
    >>> for step in steps(c, 1.0):
    ...     print(step.item.data, [(x.data, amount, total) for x, amount, total in step.arrivals])
    -4.0 [(-6.0, 1.0, 1.0), (2.0, 1.0, 1.0)]
    -6.0 [(2.0, -3.0, -2.0), (-3.0, 2.0, 2.0)]
    """
    order = results(root)
    if order and not any(isinstance(x, Value) for item in order for x in (item, *inputs_of(item))):
        yield from on_the_tape(root, g)
        return
    totals = {root: g}
    for item in order:
        if item not in totals:
            continue
        g = totals.pop(item)
        yield Step(item, g, [arrival(x, c, totals) for x, c in contributions(item, g)])


def results(root: Any) -> list[Any]:
    """List what is behind `root`, and itself, but no leaves: the youngest first."""
    found = {root: inputs_of(root)}
    pending = [root]
    for item in pending:
        new = [x for x in found[item] if x not in found]
        found.update((x, inputs_of(x)) for x in new)
        pending += new
    return sorted((item for item in found if found[item]), key=age, reverse=True)


def age(item: Any) -> float:
    """Return when an item was made; the younger, the larger."""
    made: float = item._serial if isinstance(item, Value) else item.serial
    return made


def arrival(x: Any, amount: Any, totals: dict[Any, Any]) -> Arrival:
    """Add a contribution to the total of an input; out of place, as rules share arrays."""
    if isinstance(x, Node) and x.rule is None and x.sink is not None:
        amount = np.asarray(amount, x.sink.dtype)  # the gradient of a leaf has its dtype
    totals[x] = added(totals[x], amount) if x in totals else amount
    return Arrival(x, amount, totals[x])


# -- on the tape ------------------------------------------------------------------------------


class Observer(ModeContext):
    """Stands where debug mode does, and writes down what the walk does."""

    def __init__(self) -> None:
        self.steps: list[tuple[Node, list[tuple[Any, Any]]]] = []

    def _change(self, mode: Mode) -> Mode:
        return mode._replace(inspector=self)

    def before(self, node: Node) -> None:
        """Begin a step: the walk is about to differentiate a node."""
        self.steps.append((node, []))

    def backward(self, node: Node, g: Any, cotangent: Any) -> None:
        """Note what the node passes back to the next of its parents."""
        self.steps[-1][1].append((g, cotangent))

    def forward(self, rule: Any, args: Any, ans: Any, node: Any) -> None:
        """Ignore the operations that rules consist of."""


def on_the_tape(root: Node, g: Any) -> Iterator[Step]:
    """Let `gradlite.autodiff.tape.walk` walk, and tell what it did.

    It stops at the leaves: so it calls no hook, and adds to no gradient.
    """
    ends = leaves(root)
    observer = Observer()
    with observer:
        walk(root, g, on_gradient=lambda node, c: None, stop_at=ends, retain=True)
    totals: dict[Any, Any] = {root: g}
    for node, passed in observer.steps:
        parents = [parent for parent in node.parents or () if parent is not None]
        given = zip(parents, (c for _, c in passed), strict=True)
        yield Step(node, passed[0][0], [arrival(x, c, totals) for x, c in given])


def leaves(root: Node) -> set[Node]:
    """Collect the leaves behind a node."""
    found, pending = {root}, [root]
    for node in pending:
        new = [x for x in inputs_of(node) if x not in found]
        found.update(new)
        pending += new
    return {node for node in found if node.rule is None and node is not root}


# -- where there are Values -------------------------------------------------------------------


def contributions(item: Any, g: Any) -> Contributions:
    """Return what a result passes back to each of its inputs."""
    if isinstance(item, Value):
        return from_value(item, g)
    given: list[tuple[Any, Any]] = []

    def deliver(node: Node, c: Any) -> None:
        x = value_or_node(node)
        given.append((x, float(c) if isinstance(x, Value) else c))

    parents = {parent for parent in item.parents if parent is not None}
    walk(item, g, on_gradient=deliver, stop_at=parents, retain=True)
    return iter(given)


def from_value(value: Any, g: float) -> Contributions:
    """Return what a Value contributes to each of its inputs.

    Its operation adds to their ``grad``; what stood there before is put back.
    """
    inputs = inputs_of(value)
    if isinstance(inputs[0], Node):  # the Value was taken out of a Tensor
        return iter([(inputs[0], np.float64(g))])
    before = [(x, x.grad) for x in (value, *inputs)]
    try:
        for x in inputs:
            x.grad = 0.0
        value.grad = g
        value._made_by.pull(value)
        return iter([(x, x.grad) for x in inputs])
    except ZeroDivisionError:
        raise DivisionError(f"The derivative is infinite: {described(value)}.") from None
    except OverflowError:
        raise RangeError(f"The derivative is too large: {described(value)}.") from None
    finally:
        for x, grad in before:
            x.grad = grad


def added(total: Any, amount: Any) -> Any:
    """Add out of place: a rule may have handed out the same array twice."""
    if isinstance(total, OutputCotangents):
        total = OutputCotangents(total.shape, dict(total.parts))
    return total + amount
