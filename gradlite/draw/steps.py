"""The backward pass one node at a time: what arrives where, and what it adds up to.

`steps` runs the walk of ``backward()`` with an inspector in the place of debug mode's, and reports
what the inspector saw. Nothing changes: no ``grad`` and no graph, and no hook is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, nextafter
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.cotangents import OutputCotangents
from gradlite.autodiff.modes import Mode, ModeContext
from gradlite.autodiff.node import Node
from gradlite.autodiff.tape import walk
from gradlite.draw.graph import age, ancestors
from gradlite.errors import GraphError
from gradlite.scalar import Value
from gradlite.scalar.bridge import OWN, SAME, value_or_node


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
    """Run the backward pass step by step.

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
        If a backward pass has freed the graph, or a Value is an input of itself.
    DivisionError, RangeError
        If a derivative of a Value is infinite, or too large.

    Notes
    -----
    Values are walked as nodes of the tape, so that each has one turn in a graph of both.

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
    nodes: dict[Any, Node] = {}
    for item, inputs in ancestors(root).items():
        nodes[item] = tape_node(item, inputs, nodes)
    items = {node: item for item, node in nodes.items()}
    leaves = {node for node in items if node.rule is None}
    inspector = StepRecorder()
    with inspector:  # a walk that stops at the leaves calls no hook, and adds to no gradient
        walk(nodes[root], g, on_gradient=lambda node, c: None, stop_at=leaves, retain=True)
    totals: dict[Any, Any] = {}
    for node, passed in inspector.steps:
        g, _ = passed[0]
        to = [items[parent] for parent in node.parents or () if parent is not None]
        arrivals = [arrival(x, c, totals) for x, (_, c) in zip(to, passed, strict=True)]
        yield Step(items[node], as_held(items[node], g), arrivals)


def tape_node(item: Any, inputs: tuple[Any, ...], nodes: dict[Any, Node]) -> Node:
    """Return a node for an item of a graph, given those of its inputs.

    A node that has no Value behind it is its own.
    """
    if not all(x in nodes for x in inputs):
        raise GraphError(f"{item!r} is an input of itself: a _prev that was set makes a circle.")
    if isinstance(item, Value):
        rule = OWN if inputs else None
        params: Any = {"value": item, "residuals": {}}
        if inputs and isinstance(inputs[0], Node):  # taken out of a Tensor
            rule, params = SAME, None
        parents: Any = tuple(nodes[x] for x in inputs)
        node = Node(rule, parents, parents, None, (), params)
    else:
        parents = tuple(p if p is None else nodes[value_or_node(p)] for p in item.parents)
        if parents == item.parents:
            return item  # type: ignore[no-any-return]  # a Node
        node = Node(item.rule, parents, item.args, item.ans, item.shape, item.params)
    # After its inputs, even if a _prev was set to younger ones.
    after = (nextafter(parent.serial, inf) for parent in parents if parent is not None)
    node.serial = max(age(item), *after, -1)  # type: ignore[assignment]  # between integers
    return node


class StepRecorder(ModeContext):
    """Records what the walk does, where debug mode would check it."""

    def __init__(self) -> None:
        self.steps: list[tuple[Node, list[tuple[Any, Any]]]] = []

    def _change(self, mode: Mode) -> Mode:
        return mode._replace(inspector=self)

    def before(self, node: Node) -> None:
        """Begin a step: the walk is about to differentiate a node."""
        self.steps.append((node, []))

    def backward(self, node: Node, g: Any, cotangent: Any) -> None:
        """Record what the node passes back to the next of its parents."""
        self.steps[-1][1].append((g, cotangent))

    def forward(self, rule: Any, args: Any, ans: Any, node: Any) -> None:
        """Ignore the operations that rules consist of."""


def arrival(x: Any, amount: Any, totals: dict[Any, Any]) -> Arrival:
    """Add a contribution to the total of an input."""
    amount = as_held(x, amount)
    totals[x] = added(totals[x], amount) if x in totals else amount
    return Arrival(x, amount, totals[x])


def as_held(x: Any, g: Any) -> Any:
    """Return a gradient as an item holds it: a Value as a float, a leaf in its own dtype."""
    if isinstance(x, Value):
        return float(g)
    return np.asarray(g, x.sink.dtype) if x.rule is None and x.sink is not None else g


def added(total: Any, amount: Any) -> Any:
    """Add out of place: a rule may have returned the same array twice."""
    if isinstance(total, OutputCotangents):
        total = OutputCotangents(total.shape, dict(total.parts))
    return total + amount
