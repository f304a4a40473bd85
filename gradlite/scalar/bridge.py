"""Values on the tape of Tensors: where the two meet, gradients cross in both directions.

A Value that an operation on Tensors takes in gets a node there. If Tensors are behind it, so do the
Values between, and the walk of the tape goes through them. Otherwise its node passes its cotangent
to a leaf that all such nodes share; there, once in a backward pass, the walk on floats goes back
through all of them.
"""

from __future__ import annotations

from collections.abc import Set
from contextvars import ContextVar
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from gradlite.autodiff.cotangents import OutputCotangents
from gradlite.autodiff.modes import VARIABLES
from gradlite.autodiff.node import GradAccumulator, Node
from gradlite.autodiff.rule import Rule
from gradlite.errors import GraphError
from gradlite.scalar.ops import Op
from gradlite.scalar.walk import toposort, walk

FIRST_ORDER = (
    "The grad of a Value is a float, as is what a _backward of your own adds to it: they cannot be "
    "differentiated again. Omit create_graph, or write the expression in Tensors."
)


class ValueNode(Node):
    """The node of a Value."""

    __slots__ = ("__weakref__", "value")

    value: Any


NODES: WeakValueDictionary[int, ValueNode] = WeakValueDictionary()
"""The nodes of Values, by id; a node keeps its Value alive, so no id comes twice."""


def value_or_node(node: Any) -> Any:
    """Return the Value that a node stands for, or the node if it stands for none."""
    return node.value if isinstance(node, ValueNode) else node


def node_of(value: Any) -> Node:
    """Return the node of a Value on the tape; make it, and those of Values that lead to Tensors."""
    nodes: dict[Any, Any] = {value: live_node(value)}
    missing = [value] if nodes[value] is None else []
    for x in missing:
        for y in x._inputs:
            if y not in nodes:
                nodes[y] = live_node(y)
                if nodes[y] is None:
                    missing.append(y)
    for x in sorted(missing, key=age):
        op = x._made_by
        if op is not None and (op.source or any(leads_to_tensors(nodes[y]) for y in x._inputs)):
            nodes[x] = tape_node(x, [own_node(y, nodes[y]) for y in x._inputs])
    return own_node(value, nodes[value])


def live_node(value: Any) -> ValueNode | None:
    """Return the node of a Value, unless there is none or a backward pass has freed it."""
    node = NODES.get(id(value))
    return None if leads_to_tensors(node) and node.parents is None else node  # type: ignore[union-attr]


def leads_to_tensors(node: Node | None) -> bool:
    """Return whether a node stands for a Value that Tensors are behind."""
    return node is not None and node.rule is not TO_FLOATS


def own_node(value: Any, node: Any) -> Node:
    """Return the node of a Value if it leads to Tensors, or else make one that leads to floats."""
    if leads_to_tensors(node):
        return node  # type: ignore[no-any-return]  # a ValueNode
    end = (float_end(),)
    return of_value(
        value, ValueNode(TO_FLOATS, end, end, None, (), {"value": value, "residuals": ()})
    )


def of_value(value: Any, node: ValueNode) -> ValueNode:
    """Note that a node is that of a Value."""
    node.value = value
    NODES[id(value)] = node
    return node


def age(value: Any) -> float:
    """Return when a Value was made; for a leaf, before all results."""
    return -1.0 if value._made_by is None else value._serial


# -- where Tensors are behind -----------------------------------------------------------------


class ValueAccumulator(GradAccumulator):
    """Shows the gradient that arrives at a node as ``grad`` of its Value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__(np.dtype(float))
        self.value = value

    def observe(self, g: Any, is_leaf: bool) -> Any:
        """Show the complete gradient."""
        self.value.grad = float(getattr(g, "_data", g))
        return g


def tape_node(value: Any, inputs: list[Node]) -> ValueNode:
    """Make the node of a Value with Tensors behind it, given those of its inputs."""
    op = value._made_by
    if op.source is not None:
        behind = (op.source(value),)
        node = ValueNode(SAME, behind, behind, None, ())
    elif op.rule is None:
        parents = tuple(dict.fromkeys(inputs))
        node = ValueNode(OWN, parents, parents, None, (), {"value": value, "residuals": {}})
    else:
        args = [np.float64(x.data) for x in value._inputs]
        constants = [value._extra] if len(args) < len(op.rule.vjps) else []
        nodes: tuple[Node | None, ...] = (*inputs, *(None for _ in constants))
        node = ValueNode(op.rule, nodes, (*args, *constants), np.float64(value.data), ())
    node.sink = ValueAccumulator(value)
    return of_value(value, node)


def own(i: int, g: Any, ans: Any, *args: Any, value: Any, residuals: Any = None) -> Any:
    """Return what a ``_backward`` that the user wrote adds to the ``grad`` of input `i`."""
    if residuals is None:  # the walk is recorded
        raise GraphError(FIRST_ORDER)
    if residuals.get("g") is not g:  # called for the first input: it adds to all at once
        inputs = list(dict.fromkeys(value._inputs))
        before = [(x, x.grad) for x in (value, *inputs)]
        try:
            for x in (value, *inputs):
                x.grad = 0.0
            walk([value], [(value, float(g))])
            residuals.update(g=g, arrived=[np.float64(x.grad) for x in inputs])
        finally:
            for x, grad in before:
                x.grad = grad
    return residuals["arrived"][i]


# -- where there are none ---------------------------------------------------------------------


class FloatEnd(GradAccumulator):
    """Where Values take over from the tape: at a leaf that cotangents of Values arrive at."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(np.dtype(float))
        self.hooks[0] = back_through_values  # leaves with hooks wait for all that arrives

    def add(self, g: Any) -> None:
        """Do nothing: the hook has been called."""


def back_through_values(g: OutputCotangents) -> None:
    """Walk back from all Values that have met the tape in this pass."""
    values: Any = g.parts
    walk(toposort(list(values)), [(value, float(c)) for value, c in values.items()])


ENDS: ContextVar[tuple[Set[Any] | None, Node | None]] = ContextVar("ends", default=(None, None))


def float_end() -> Node:
    """Return the leaf that leads to floats.

    Each transform has its own: to what is older than its variables, it would have to record.
    """
    variables, (known, end) = VARIABLES.get(), ENDS.get()
    if end is None or known is not variables:
        end = Node(None, (), (), None, ())
        end.sink = FloatEnd()
        ENDS.set((variables, end))
    return end


def to_floats(g: Any, ans: Any, end: Any, value: Any, residuals: Any = None) -> Any:
    """Address a cotangent to a Value."""
    if residuals is None:  # the walk is recorded
        raise GraphError(FIRST_ORDER)
    return OutputCotangents((), {value: g})


TO_FLOATS = Rule(to_floats, (to_floats,), name="Value")
SAME = Rule(lambda x: x, (lambda g, ans, x: g,), name="Value")
OWN = Rule(own, (), variadic=own, name="Value")
UNPACK = Op("tensor", lambda value: None, source=lambda value: value._extra)
