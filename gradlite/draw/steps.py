"""The backward pass one node at a time: what arrives where, and what it adds up to.

`steps` does what ``backward()`` does, in the same order and by the same rules, and tells
everything that happens on the way. It changes nothing: no ``grad``, no graph, and no hook is
called.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gradlite.cotangents import OutputCotangents, to_argument, zero_masked
from gradlite.draw.graph import made_of
from gradlite.errors import DivisionError, RangeError
from gradlite.node import Node
from gradlite.scalar import Value
from gradlite.scalar.bridge import Bridge
from gradlite.scalar.walk import described

Contributions = Iterator[tuple[Any, Any]]


class Arrival(NamedTuple):
    """A contribution that has reached an input.

    Attributes
    ----------
    item : Value or Node
        The input.
    amount : array or float
        What it was handed: a part of its gradient.
    total : array or float
        All that it has been handed so far.
    """

    item: Any
    amount: Any
    total: Any


class Step(NamedTuple):
    """A result hands its gradient on to what it was made of.

    Attributes
    ----------
    item : Value or Node
        The result.
    g : array or float
        Its gradient, which is whole by now.
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
    totals = {root: g}
    masked: set[Node] = set()
    for item in results(root):
        if item not in totals:
            continue
        g = totals.pop(item)
        if isinstance(item, Value):
            given = from_value(item, g)
        elif isinstance(item, Bridge):
            given = iter(item.seeds(g))
        else:
            behind_mask = item in masked
            given = from_node(item, g, behind_mask)
            if behind_mask or item.rule.masks:
                masked.update(parent for parent in item.parents if parent is not None)
        arrivals = []
        for x, amount in given:
            if isinstance(x, Node) and x.rule is None and x.sink is not None:
                amount = np.asarray(amount, x.sink.dtype)  # the gradient of a leaf has its dtype
            totals[x] = added(totals[x], amount) if x in totals else amount
            arrivals.append(Arrival(x, amount, totals[x]))
        yield Step(item, g, arrivals)


def results(root: Any) -> list[Any]:
    """List what is behind `root`, and itself, but no leaves: the youngest first."""
    found = {root: made_of(root)}
    pending = [root]
    for item in pending:
        new = [x for x in found[item] if x not in found]
        found.update((x, made_of(x)) for x in new)
        pending += new
    return sorted((item for item in found if found[item]), key=age, reverse=True)


def age(item: Any) -> float:
    """Say when an item was made; the younger, the larger."""
    made: float = item._serial if isinstance(item, Value) else item.serial
    return made


def from_value(value: Any, g: float) -> Contributions:
    """Give what a Value contributes to each of its inputs.

    Its operation adds to their ``grad``; what stood there before is put back.
    """
    inputs = made_of(value)
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


def from_node(node: Node, g: Any, behind_mask: bool) -> Contributions:
    """Give what an operation contributes to each of its inputs: a turn of `gradlite.tape.walk`."""
    rule: Any = node.rule
    parents: Any = node.parents
    vjps = rule.vjps or rule.pullbacks(len(parents))
    for i, parent in enumerate(parents):
        if parent is None:
            continue
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            c = vjps[i](g, node.ans, *node.args, **(node.params or {}))
            if behind_mask and rule.singular:
                c = zero_masked(g, c)
        yield parent, c if c.shape == parent.shape else to_argument(c, node, i)


def added(total: Any, amount: Any) -> Any:
    """Add out of place: a rule may have handed out the same array twice."""
    if isinstance(total, OutputCotangents):
        total = OutputCotangents(total.shape, dict(total.parts))
    return total + amount
