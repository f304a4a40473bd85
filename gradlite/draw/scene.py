"""The scene of a picture: the boxes and arrows of a graph, whatever draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gradlite.autodiff.node import Node
from gradlite.autodiff.tensor import Tensor
from gradlite.draw.boxes import constants, fields, gradient, operation, role_of
from gradlite.draw.graph import ancestors, graph_root
from gradlite.draw.outputs import outputs
from gradlite.nn import Parameter
from gradlite.scalar import Value
from gradlite.scalar.network import Parameter as Weight

Kind = Literal["parameter", "input", "constant", "result", "root", "repeats"]
NAMELESS = ("", None)


@dataclass(frozen=True)
class Link:
    """An arrow into a box.

    Attributes
    ----------
    source : str
        The id of the box that it comes from.
    role : str
        The argument that it is, as the rule calls it ("x, y" for both); "" where the order does
        not matter.
    """

    source: str
    role: str = ""


@dataclass(eq=False)
class Box:
    """A number or an array of a graph, and the operation that made it.

    Attributes
    ----------
    id : str
        Letters and digits.
    item : Value, Node, Tensor, array or None
        A Value; the node of a Tensor, or the Tensor itself if it has none; a plain array. None for
        a box of repeats.
    kind : str
        'parameter' (a leaf that requires a gradient, or belongs to a module), 'input' (named or
        labelled data), 'constant' (any other leaf), 'result', 'root' (the result drawn), or
        'repeats' (in place of the boxes in `Scene.repeats`).
    name : str
        The label of a Value, or the name that was given; otherwise "".
    inputs : list of Link
        What it was computed from.
    value : array, float or None
        The number or numbers, if they are known.
    gradient : array, float or None
        The gradient that has arrived, if it was kept.
    where : str
        The line of code that made it, if debug mode recorded it; otherwise "".
    """

    id: str
    item: Any
    kind: Kind
    name: str = ""
    inputs: list[Link] = field(default_factory=list)
    value: Any = None
    gradient: Any = None
    where: str = ""

    # Computed on access: of 100,000 boxes, most are folded away.

    @property
    def fields(self) -> list[str]:
        """Short texts about the number or numbers, and the gradient."""
        return fields(self.item, self.value)

    @property
    def op(self) -> list[str]:
        """The operation that made it, then its constants; nothing for a leaf."""
        return operation(self.item)


@dataclass(eq=False)
class Scene:
    """The boxes of a graph.

    Attributes
    ----------
    boxes : dict of str to Box
        By id, inputs before results.
    root : str
        The id of the box of the result.
    repeats : dict of str to list of Box
        For each box of kind 'repeats', the boxes that it stands for (see folding.py).
    """

    boxes: dict[str, Box]
    root: str
    repeats: dict[str, list[Box]] = field(default_factory=dict)


def scene(root: Any, names: Mapping[str, Any] | None = None) -> Scene:
    """Return the scene of the graph behind a Value or a Tensor, its leaves called by `names`.

    Nothing is recorded, and no state changes. Raise DtypeError if `root` is neither, GraphError if
    a backward pass has freed the graph.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> x, w = np.ones(3), gl.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> seen = scene((x * w).sum(), {"x": x, "w": w})
    >>> [(box.id, box.kind, box.name, box.op) for box in seen.boxes.values()]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('n0', 'parameter', 'w', []), ('n1array0', 'input', 'x', []),
     ('n1', 'result', '', ['np.multiply']), ('n2', 'root', '', ['np.sum'])]
    >>> seen.boxes["n1"].inputs
    [Link(source='n0', role=''), Link(source='n1array0', role='')]
    """
    graph = ancestors(graph_root(root))
    *_, last = graph
    known = outputs(graph)
    if isinstance(last, Node):
        known[last] = root._data
    named = {id(in_graph(x)): (name, x) for name, x in (names or {}).items()}
    ids = {id(item): f"n{i}" for i, item in enumerate(graph)}
    boxes: dict[str, Box] = {}
    for item, inputs in graph.items():
        name, _ = named.get(id(in_graph(item)), NAMELESS)
        links = [Link(ids[id(x)], role_of(x, item)) for x in inputs]
        box = Box(ids[id(item)], item, "result", name, links)
        for i, (array, role) in enumerate(arrays(item)):
            if id(array) not in ids:
                leaf = of_array(f"{box.id}array{i}", array, *name_of(array, named))
                ids[id(array)] = leaf.id
                boxes[leaf.id] = leaf
            links.append(Link(ids[id(array)], role))
        describe(box, known)
        box.kind = "root" if item is last else kind_of(box)
        boxes[box.id] = box
    return Scene(boxes, ids[id(last)])


def name_of(array: Any, named: Mapping[int, tuple[str, Any]]) -> tuple[str, Any]:
    """Return the name of an array, and its owner; the tape keeps copies of indices and masks."""
    if id(array) in named or getattr(array, "dtype", np.dtype(float)).kind not in "biu":
        return named.get(id(array), NAMELESS)

    def is_copy(x: Any) -> bool:
        x = getattr(x, "_data", x)
        return getattr(x, "dtype", None) == array.dtype and np.array_equal(x, array)

    return next((pair for pair in named.values() if is_copy(pair[1])), NAMELESS)


def in_graph(x: Any) -> Any:
    """Return what stands in a graph for a Value, a Tensor, or an array."""
    return x if not isinstance(x, Tensor) else x._data if x._node is None else x._node


def arrays(item: Any) -> list[tuple[Any, str]]:
    """Return the plain arrays that an operation took, each once, with its roles."""
    found: dict[int, tuple[Any, list[str]]] = {}
    for role, x in constants(item):
        if np.ndim(x):
            found.setdefault(id(x), (x, []))[1].append(role)
    return [(x, ", ".join(filter(None, roles))) for x, roles in found.values()]


def of_array(box_id: str, array: Any, name: str, owner: Any) -> Box:
    """Return the box of a plain array, which may be that of a Tensor."""
    kind: Kind = "parameter" if isinstance(owner, Parameter) else "input" if name else "constant"
    return Box(box_id, array, kind, name, value=array)


def describe(box: Box, known: Mapping[Node, Any]) -> None:
    """Fill in the label, value, gradient and line of code of a box."""
    item = box.item
    if isinstance(item, Value):
        box.name = box.name or str(item.label or "")
        box.value, box.gradient = item.data, item.grad
        box.where = getattr(item, "_where", "")
    elif isinstance(item, Node):
        several = item.rule is not None and item.rule.multiple_outputs
        box.value, box.gradient = None if several else known[item], gradient(item)
        box.where = getattr(item.note, "where", "")
    else:
        box.value = item._data


def kind_of(box: Box) -> Kind:
    """Return the kind of a box other than the root's."""
    if box.inputs or box.op:
        return "result"
    if isinstance(box.item, (Node, Weight)):
        return "parameter"
    return "input" if box.name else "constant"
