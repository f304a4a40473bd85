"""The scene of a picture: what there is to see of a graph, whatever draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gradlite.autodiff.node import Node
from gradlite.autodiff.tensor import Tensor
from gradlite.draw.answers import answers
from gradlite.draw.boxes import constants, fields, gradient, operation, role_of
from gradlite.draw.graph import ancestors
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
        As which argument the operation took it, as its rule calls it ("x, y" for both); "" where
        the order does not matter.
    """

    source: str
    role: str = ""


@dataclass(eq=False)
class Box:
    """A number or an array of a graph, and the operation that made it.

    Attributes
    ----------
    id : str
        Made of letters and digits.
    item : Value, Node, Tensor, array or None
        What the box is drawn for: a Value; what is recorded of a Tensor, or the Tensor itself
        where nothing is; an array that was no Tensor. None for a box of repeats.
    kind : str
        'parameter' (a leaf that wants a gradient, or belongs to a module), 'input' (named, or
        labelled, data), 'constant' (any other leaf), 'result', 'root' (what was to be drawn), or
        'repeats' (the box stands for those in `Scene.repeats`).
    name : str
        The label of a Value, or the name that was given; otherwise "".
    inputs : list of Link
        What it was made of.
    value : array, float or None
        The number or numbers, if they are known.
    gradient : array, float or None
        The gradient that has arrived here, if it was kept.
    where : str
        The line of code that made it, if debug mode wrote it down; otherwise "".
    """

    id: str
    item: Any
    kind: Kind
    name: str = ""
    inputs: list[Link] = field(default_factory=list)
    value: Any = None
    gradient: Any = None
    where: str = ""

    # Worked out when somebody looks: of 100,000 boxes, most are folded away.

    @property
    def fields(self) -> list[str]:
        """Describe the number or numbers, and the gradient: a short text each."""
        return fields(self.item, self.value)

    @property
    def op(self) -> list[str]:
        """Name the operation that made it, then what that was told; nothing for a leaf."""
        return operation(self.item)


@dataclass(eq=False)
class Scene:
    """What there is to see of a graph.

    Attributes
    ----------
    boxes : dict of str to Box
        By id, inputs before what was made of them.
    root : str
        The id of the box of the result.
    repeats : dict of str to list of Box
        For each box of kind 'repeats', the boxes that it stands for (see folding.py).
    """

    boxes: dict[str, Box]
    root: str
    repeats: dict[str, list[Box]] = field(default_factory=dict)


def scene(root: Any, names: Mapping[str, Any] | None = None) -> Scene:
    """Collect what there is to see of the graph behind a result.

    Nothing is recorded, and no state changes.

    Parameters
    ----------
    root : Value or Tensor
        The result.
    names : mapping of str to Tensor, Value or array, optional
        What to call what went in.

    Raises
    ------
    DtypeError
        If `root` is neither a Value nor a Tensor.
    GraphError
        If a backward pass has let the graph of Tensors go.

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
    graph = ancestors(root)
    *_, last = graph
    known = answers(graph)
    if isinstance(last, Node):
        known[last] = root._data
    named = {id(graph_root(x)): (name, x) for name, x in (names or {}).items()}
    ids = {id(item): f"n{i}" for i, item in enumerate(graph)}
    boxes: dict[str, Box] = {}
    for item, inputs in graph.items():
        name, _ = named.get(id(graph_root(item)), NAMELESS)
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
    """Return the name of an array, and what has it; the tape keeps copies of indices and masks."""
    if id(array) in named or getattr(array, "dtype", np.dtype(float)).kind not in "biu":
        return named.get(id(array), NAMELESS)
    copies = (pair for pair in named.values() if np.array_equal(pair[1], array))
    return next(copies, NAMELESS)


def graph_root(x: Any) -> Any:
    """Give what stands in a graph for a Value, a Tensor, or an array."""
    return x if not isinstance(x, Tensor) else x._data if x._node is None else x._node


def arrays(item: Any) -> list[tuple[Any, str]]:
    """List the arrays that an operation took beside Tensors, each once, with its roles."""
    found: dict[int, tuple[Any, list[str]]] = {}
    for role, x in constants(item):
        if np.ndim(x):
            found.setdefault(id(x), (x, []))[1].append(role)
    return [(x, ", ".join(filter(None, roles))) for x, roles in found.values()]


def of_array(box_id: str, array: Any, name: str, owner: Any) -> Box:
    """Make the box of an array that was not on the tape, but may have come from a Tensor."""
    kind: Kind = "parameter" if isinstance(owner, Parameter) else "input" if name else "constant"
    return Box(box_id, array, kind, name, value=array)


def describe(box: Box, known: Mapping[Node, Any]) -> None:
    """Write into a box what its item tells of itself."""
    item = box.item
    if isinstance(item, Value):
        box.name = box.name or str(item.label or "")
        box.value, box.gradient = item.data, item.grad
        box.where = getattr(item, "_where", "")
    elif isinstance(item, Node):
        several = item.rule is not None and item.rule.outputs
        box.value, box.gradient = None if several else known[item], gradient(item)
        box.where = getattr(item.note, "where", "")
    else:
        box.value = item._data


def kind_of(box: Box) -> Kind:
    """Tell the kind of a box on the way to the root."""
    if box.inputs or box.op:
        return "result"
    if isinstance(box.item, (Node, Weight)):
        return "parameter"
    return "input" if box.name else "constant"
