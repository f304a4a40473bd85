"""The NumPy program of a graph, for its page: the lines, and the step that each belongs to."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import numpy as np

from gradlite.autodiff.node import Node
from gradlite.compiler.graph import graph_program
from gradlite.draw.boxes import operands
from gradlite.draw.chain import rule_of
from gradlite.draw.graph import Graph, age, ancestors
from gradlite.draw.outputs import repeatable
from gradlite.draw.scene import Scene, arrays
from gradlite.scalar import Value
from gradlite.scalar.network import Parameter as Weight

LARGEST = 200  # items of a graph: nobody reads a longer program


def program_of(
    scene: Scene, names: Mapping[str, str], shown: Mapping[int, str]
) -> list[dict[str, str]]:
    """Return the lines of the program of a graph; none if it is large, or has no program.

    Parameters
    ----------
    scene : Scene
        The graph.
    names : dict of str to str
        The names of boxes, by id.
    shown : dict of int to str
        The ids of the boxes that show the items of the graph, by the ids of these.

    Returns
    -------
    list of dict
        With the ``code`` and, of a line that belongs to a step, its ``phase`` and ``box``.

    Examples
    --------
    >>> from gradlite.draw.names import names_of
    >>> from gradlite.draw.scene import scene
    >>> seen = scene(Value(2.0, label="x") * Value(3.0, label="w"))
    >>> shown = {id(box.item): box.id for box in seen.boxes.values()}
    >>> for line in program_of(seen, names_of(seen), shown)[3:]:
    ...     print(line["code"])
    def value_and_grad(x, w):
        t1 = x * w
        # the gradient of t1 with respect to t1
        grad_t1 = np.ones_like(t1)
        # back through multiply: t1
        grad_x = grad_t1 * w
        grad_w = grad_t1 * x
        return t1, (grad_x, grad_w)
    """
    root = scene.boxes[scene.root].item
    graph = ancestors(root)
    nodes = nodes_of(graph) if len(graph) <= LARGEST else {}
    if not nodes:
        return []
    inputs: dict[int, Any] = {}
    for item, node in nodes.items():
        if node.rule is None:
            inputs[id(item)] = node
        else:
            inputs.update((id(x), x) for x, _ in arrays(node))
    folded = [box for boxes in scene.repeats.values() for box in boxes]
    called = {id(box.item): box.name for box in folded}
    called |= {id(box.item): names[box.id] for box in scene.boxes.values()}
    results = {id(item): node for item, node in nodes.items() if node.rule is not None}
    words = identifiers({key: called.get(key, "") for key in (*inputs, *results)})
    lines = graph_program(
        nodes[root],
        {words[key]: x for key, x in inputs.items()},
        {node: words[key] for key, node in results.items()},
    )
    items = {node: item for item, node in nodes.items()}
    return [
        {"code": code}
        if step is None
        else {"code": code, "phase": step.phase, "box": shown[id(items[step.node])]}
        for code, step in lines
    ]


def nodes_of(graph: Graph) -> dict[Any, Node]:
    """Return the node of each item of a graph, inputs before results; none if it has no program.

    The function of a user is not called again, nor is a derivative that is not in the table. A
    graph of both Values and Tensors has no program either.
    """
    if all(isinstance(item, Node) for item in graph):
        nodes = {item: item for item in graph}
    elif all(isinstance(item, Value) for item in graph):
        nodes = nodes_of_values(sorted(graph, key=age))
    else:
        return {}
    return nodes if all(n.rule is None or repeatable(n.rule.fn) for n in nodes.values()) else {}


def nodes_of_values(values: Iterable[Any]) -> dict[Any, Node]:
    """Return nodes for Values, the oldest first; the numbers beside them get none."""
    nodes: dict[Any, Node] = {}
    made = [x for x in values if x._made_by is not None]
    numbers = numbers_beside(made)
    for x in made:
        rule, given = rule_of(x), operands(x)
        if rule is None:
            return {}
        parents: list[Node | None] = []
        for y in given:
            if isinstance(y, Value) and y not in numbers and y not in nodes:
                if y._made_by is not None:
                    return {}  # a result that is younger, as somebody has set _prev
                try:
                    nodes[y] = Node(None, (), (), np.float64(y.data), ())
                except OverflowError:  # an int beyond all floats
                    return {}
            parents.append(nodes.get(y) if isinstance(y, Value) else None)
        args = [p or getattr(y, "data", y) for p, y in zip(parents, given, strict=True)]
        nodes[x] = Node(rule, tuple(parents), tuple(args), None, ())
    return nodes


def numbers_beside(results: Iterable[Any]) -> set[Any]:
    """Return the constants of operations on Values: each has another operand that is none."""
    plain: set[Any] = set()
    others: set[Any] = set()
    for x in results:
        for y in x._inputs:
            leaf = y._made_by is None and not y.label and not isinstance(y, Weight)
            (plain if leaf else others).add(y)
    alone = [x._inputs for x in results if others.isdisjoint(x._inputs)]
    return plain.difference(*alone)


def identifiers(wishes: Mapping[int, str]) -> dict[int, str]:
    """Return names for variables, no two the same, as near to those wished for as can be.

    Examples
    --------
    >>> identifiers({1: "x", 2: "0.weight", 3: "-1", 4: "x", 5: "lambda", 6: "x[0]"})
    {1: 'x', 2: 'weight_0', 4: 'x_', 5: 'lambda_', 6: 'x_0', 3: 'v1'}
    """
    found: dict[int, str] = {}
    taken = {"np", *keyword.kwlist}
    for key, wish in wishes.items():
        word = re.sub(r"\W+", "_", ".".join(reversed(wish.split(".")))).strip("_")
        if word.isidentifier():
            while word in taken:
                word += "_"
            taken.add(word)
            found[key] = word
    free = (word for i in count(1) if (word := f"v{i}") not in taken)
    return found | {key: next(free) for key in wishes if key not in found}
