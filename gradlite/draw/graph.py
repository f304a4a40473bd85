"""The graph behind a result: Values, recorded operations on Tensors, and leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradlite.autodiff.node import Node
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import DtypeError, GraphError
from gradlite.scalar import Value, bridge
from gradlite.scalar.ops import short

Graph = dict[Any, tuple[Any, ...]]


def trace(root: Any) -> tuple[set[Any], set[tuple[Any, Any]]]:
    """Collect the graph behind a result.

    Parameters
    ----------
    root : Value or Tensor
        The result.

    Returns
    -------
    nodes : set
        Values; of Tensors the `Node` objects, recorded operations and leaves. (A Tensor without
        a node stands for itself.)
    edges : set of (child, parent)
        An input, and a result computed from it.

    Raises
    ------
    DtypeError
        If `root` is neither a Value nor a Tensor.
    GraphError
        If a backward pass has freed the graph.

    Examples
    --------
    >>> from gradlite.engine import Value
    >>> from gradlite.draw import trace
    >>> a, b = Value(2.0), Value(-3.0)
    >>> c = a * b
    >>> nodes, edges = trace(c)
    >>> nodes == {a, b, c}, edges == {(a, c), (b, c)}
    (True, True)
    """
    graph = ancestors(graph_root(root))
    return set(graph), {(child, parent) for parent in graph for child in graph[parent]}


def ancestors(root: Any) -> Graph:
    """Map an item of a graph and all items behind it to their inputs.

    The order is depth-first: inputs stand before what was made of them, and the same program
    gives the same order again.
    """
    graph: Graph = {root: inputs_of(root)}
    done: Graph = {}
    path: list[tuple[Any, Iterator[Any]]] = [(root, iter(graph[root]))]
    while path:
        item, rest = path[-1]
        for x in rest:
            if x not in graph:
                graph[x] = inputs_of(x)
                path.append((x, iter(graph[x])))
                break
        else:
            done[item] = graph[item]
            path.pop()
    return done


def graph_root(root: Any) -> Any:
    """Return the item of a graph that a result is."""
    if isinstance(root, Value):
        return root
    if isinstance(root, Tensor):
        return root if root._node is None else root._node
    one = " Draw one of its elements." if isinstance(root, (list, tuple)) and root else ""
    raise DtypeError(
        f"{short(root)} ({type(root).__name__}) has no graph: pass a Value or a Tensor, the result "
        f"of a computation.{one}"
    )


def inputs_of(item: Any) -> tuple[Any, ...]:
    """Return the inputs of an item of a graph, each once, in order."""
    if isinstance(item, Value):
        item._prev  # noqa: B018  # neurons that ran as arrays become Values
        tensor = getattr(item, "_extra", None)
        if isinstance(tensor, Node):
            return (tensor,)
        return tuple(dict.fromkeys(x for x in item._inputs if isinstance(x, Value)))
    if not isinstance(item, Node):
        return ()
    if item.parents is None:
        raise GraphError(
            f"The graph behind {item.rule.name if item.rule else 'this node'} was already freed "
            f"by an earlier backward pass: pass retain_graph=True to that pass, or draw before it."
        )
    parents = (bridge.value_or_node(parent) for parent in item.parents if parent is not None)
    return tuple(dict.fromkeys(parents))


def age(item: Any) -> float:
    """Return when an item was made: the younger, the larger. A leaf Value is the oldest."""
    return bridge.age(item) if isinstance(item, Value) else item.serial
