"""Values on the tape of Tensors: where the two meet, gradients cross in both directions.

A Value that an operation on Tensors takes in gets a node there, and so do all Values behind it; the
rules of the table and the walk of the tape do the rest.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from gradlite.autodiff.node import GradAccumulator, Node
from gradlite.autodiff.rule import Rule
from gradlite.errors import GraphError
from gradlite.scalar.ops import Op

FIRST_ORDER = (
    "The grad of a Value is a float, as is what a _backward of your own adds to it: they cannot be "
    "differentiated again. Omit create_graph, or write the expression in Tensors."
)


class ValueAccumulator(GradAccumulator):
    """Brings the gradient of a node to the Value that the node stands for."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__(np.dtype(float))
        self.value = value

    def observe(self, g: Any, is_leaf: bool) -> Any:
        """Show the complete gradient of a result."""
        if not is_leaf:
            self.value.grad = float(getattr(g, "_data", g))
        return g

    def add(self, g: Any) -> None:
        """Add a contribution to the gradient of a leaf."""
        self.value.grad += float(g)

    def add_recorded(self, g: Any) -> None:
        """Raise GraphError: floats cannot remember how they were made."""
        raise GraphError(FIRST_ORDER)


class ValueNode(Node):
    """The node of a Value."""

    __slots__ = ("__weakref__", "value")

    value: Any


NODES: WeakValueDictionary[int, ValueNode] = WeakValueDictionary()
"""The nodes of Values, by id; a node keeps its Value alive, so no id comes twice."""


def node_of(value: Any) -> Node:
    """Return the node of a Value on the tape; make it, and those of the Values behind it."""
    nodes: dict[Any, Any] = {value: live_node(value)}
    missing = [value] if nodes[value] is None else []
    for x in missing:
        for y in x._inputs:
            if y not in nodes:
                nodes[y] = live_node(y)
                if nodes[y] is None:
                    missing.append(y)
    for x in sorted(missing, key=age):
        nodes[x] = NODES[id(x)] = make_node(x, [nodes[y] for y in x._inputs])
    return nodes[value]  # type: ignore[no-any-return]  # there is one by now


def live_node(value: Any) -> ValueNode | None:
    """Return the node of a Value, unless there is none or a backward pass has freed it."""
    node = NODES.get(id(value))
    return None if node is None or node.parents is None else node


def age(value: Any) -> float:
    """Return when a Value was made; for a leaf, before all results."""
    return -1.0 if value._made_by is None else value._serial


def make_node(value: Any, inputs: list[Node]) -> ValueNode:
    """Make the node of a Value, given those of its inputs."""
    op = value._made_by
    if op is None:
        node = ValueNode(None, (), (), None, ())
    elif op.source is not None:
        behind = (inputs[0] if inputs else op.source(value),)
        node = ValueNode(SAME, behind, behind, None, ())
    elif op.rule is None:
        parents = tuple(dict.fromkeys(inputs))
        node = ValueNode(OWN, parents, parents, None, (), {"value": value, "saved": {}})
    else:
        args = [np.float64(x.data) for x in value._inputs]
        constants = [value._extra] if len(args) < len(op.rule.vjps) else []
        nodes: tuple[Node | None, ...] = (*inputs, *(None for _ in constants))
        node = ValueNode(op.rule, nodes, (*args, *constants), np.float64(value.data), ())
    node.value, node.sink = value, ValueAccumulator(value)
    return node


def value_or_node(node: Any) -> Any:
    """Return the Value that a node stands for, or the node if it stands for none."""
    return node.value if isinstance(node, ValueNode) else node


def own(i: int, g: Any, ans: Any, *args: Any, value: Any, saved: Any = None) -> Any:
    """Return what a ``_backward`` that the user wrote adds to the ``grad`` of input `i`."""
    if saved is None:  # the walk is recorded
        raise GraphError(FIRST_ORDER)
    if saved.get("g") is not g:  # called for the first input: it adds to all at once
        inputs = list(dict.fromkeys(value._inputs))
        before = [(x, x.grad) for x in (value, *inputs)]
        try:
            for x in inputs:
                x.grad = 0.0
            value.grad = float(g)
            value._made_by.pull(value)
            saved.update(g=g, arrived=[np.float64(x.grad) for x in inputs])
        finally:
            for x, grad in before:
                x.grad = grad
    return saved["arrived"][i]


SAME = Rule(lambda x: x, (lambda g, ans, x: g,), name="Value")
OWN = Rule(own, (), variadic=own, name="Value")
UNPACK = Op("tensor", lambda value: None, source=lambda value: value._extra)
