"""Values on the tape of Tensors: where the two meet, gradients cross in both directions.

A Value that is an operand of an operation on Tensors gets a node on the tape. If it was computed
from Tensors, so do the Values in between, and the walk of the tape goes through them. Otherwise its
node passes its cotangent to a leaf that all such nodes share. There, once in each backward pass,
the walk on floats goes back through all of them.
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
    "The grad of a Value is a float, and so is what your own _backward adds to it: they cannot be "
    "differentiated again. Omit create_graph, or write the expression in Tensors."
)


class ValueNode(Node):
    """The node of a Value."""

    __slots__ = ("__weakref__", "value")

    value: Any


NODES: WeakValueDictionary[int, ValueNode] = WeakValueDictionary()
"""The nodes of Values, by id; a node keeps its Value alive, so no id comes twice."""


def value_or_node(node: Any) -> Any:
    """Return the Value to which a node belongs, or the node if it belongs to none."""
    return node.value if isinstance(node, ValueNode) else node


def node_of(value: Any) -> Node:
    """Return the node of a Value on the tape, after making it and those that lead to Tensors."""
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
    """Return the node of a Value, or None if it has none or a backward pass has freed it."""
    node = NODES.get(id(value))
    # None leads to no Tensors, which mypy does not see.
    return None if leads_to_tensors(node) and node.parents is None else node  # type: ignore[union-attr]


def leads_to_tensors(node: Node | None) -> bool:
    """Return whether a node belongs to a Value that was computed from Tensors."""
    return node is not None and node.rule is not TO_FLOATS


def own_node(value: Any, node: Any) -> Node:
    """Return the node of a Value if it leads to Tensors, otherwise one that leads to floats."""
    if leads_to_tensors(node):
        return node  # type: ignore[no-any-return]  # a ValueNode
    end = (float_end(),)
    return of_value(
        value, ValueNode(TO_FLOATS, end, end, None, (), {"value": value, "residuals": ()})
    )


def of_value(value: Any, node: ValueNode) -> ValueNode:
    """Record that a node belongs to a Value."""
    node.value = value
    NODES[id(value)] = node
    return node


def age(value: Any) -> float:
    """Return the serial number of a Value; that of a leaf is lower than those of all results."""
    return -1.0 if value._made_by is None else value._serial


# -- where Tensors are behind -----------------------------------------------------------------


class ValueAccumulator(GradAccumulator):
    """Sets ``grad`` of a Value to the gradient that arrives at its node."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__(np.dtype(float))
        self.value = value

    def observe(self, g: Any, is_leaf: bool) -> Any:
        """Set ``grad`` to the complete gradient."""
        self.value.grad = float(getattr(g, "_data", g))
        return g


def tape_node(value: Any, inputs: list[Node]) -> ValueNode:
    """Return the node of a Value that was computed from Tensors, given those of its inputs."""
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
    """Return what the user's own ``_backward`` adds to the ``grad`` of input `i`."""
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
    """The leaf of the tape at which cotangents of Values arrive, to continue on floats."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(np.dtype(float))
        self.hooks[0] = back_through_values  # leaves with hooks collect all cotangents first

    def add(self, g: Any) -> None:
        """Do nothing, as the hook has been called."""


def back_through_values(g: OutputCotangents) -> None:
    """Walk back from all Values whose cotangents have arrived in this pass."""
    values: Any = g.parts
    walk(toposort(list(values)), [(value, float(c)) for value, c in values.items()])


ENDS: ContextVar[tuple[Set[Any] | None, Node | None]] = ContextVar("ends", default=(None, None))


def float_end() -> Node:
    """Return the leaf that leads to floats.

    Each transform has its own, because it would have to record a walk to an older leaf.
    """
    variables, (known, end) = VARIABLES.get(), ENDS.get()
    if end is None or known is not variables:
        end = Node(None, (), (), None, ())
        end.sink = FloatEnd()
        ENDS.set((variables, end))
    return end


def to_floats(g: Any, ans: Any, end: Any, value: Any, residuals: Any = None) -> Any:
    """Return a cotangent together with its Value."""
    if residuals is None:  # the walk is recorded
        raise GraphError(FIRST_ORDER)
    return OutputCotangents((), {value: g})


TO_FLOATS = Rule(to_floats, (to_floats,), name="Value")
SAME = Rule(lambda x: x, (lambda g, ans, x: g,), name="Value")
OWN = Rule(own, (), variadic=own, name="Value")
UNPACK = Op("tensor", lambda value: None, source=lambda value: value._extra)
