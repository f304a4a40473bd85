"""The tape: what is recorded of a computation, and the walk back through it.

`record` makes a node of each operation. `walk` visits the nodes from the last made to the first,
hands each rule its cotangent, sums what arrives at an argument to the argument's shape, and lets
go of everything as it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from typing import Any

import numpy as np

from gradlite.errors import DetachError, DtypeError, GraphError, ShapeError
from gradlite.modes import current_mode
from gradlite.node import Node, Shape
from gradlite.rule import Rule, Traced

Wrap = Callable[[Any, Node | None], Any]

VARIABLES: ContextVar[Set[Node] | None] = ContextVar("gradlite_variables", default=frozenset())
"""What the transforms at work differentiate with respect to; None stands for everything."""


@contextmanager
def differentiating(variables: Set[Node] | None) -> Iterator[None]:
    """Guard results of `variables` (and of those of outer transforms): see `is_differentiated`."""
    outer = VARIABLES.get()
    token = VARIABLES.set(None if variables is None or outer is None else variables | outer)
    try:
        yield
    except ValueError as error:
        # To ``a[i] = t``, NumPy says that an element is set to a sequence, and why as the cause.
        if isinstance(error.__cause__, DetachError):
            raise error.__cause__.with_traceback(error.__traceback__) from None
        raise
    finally:
        VARIABLES.reset(token)


def is_differentiated(node: Node | None) -> bool:
    """Return whether a derivative that is being computed depends on the result of `node`.

    A conversion of such a result to a plain number would lose its gradient silently.
    """
    variables = VARIABLES.get()
    if node is None or (variables is not None and not variables) or not current_mode().record:
        return False
    if variables is None or node in variables:
        return True
    oldest = min(variable.serial for variable in variables)
    pending, seen = [node], {node}
    for behind in pending:
        new = {p for p in behind.parents or () if p is not None and p.serial >= oldest} - seen
        if not variables.isdisjoint(new):
            return True
        seen |= new
        pending += new
    return False


def unbroadcast(g: Any, shape: Shape) -> Any:
    """Sum a cotangent over the axes along which an argument of `shape` was broadcast.

    The sum is the adjoint of broadcasting: an entry that was used many times collects what
    each use contributes.

    Examples
    --------
    >>> import numpy as np
    >>> unbroadcast(np.ones((4, 3)), (3,))
    array([4., 4., 4.])
    >>> unbroadcast(np.ones((4, 3)), (4, 1)).shape
    (4, 1)
    """
    extra = len(g.shape) - len(shape)
    if extra < 0:
        raise ShapeError(f"a cotangent of shape {g.shape} for an argument of shape {shape}")
    padded = (1,) * extra + shape
    axes = tuple(i for i, (n, m) in enumerate(zip(g.shape, padded, strict=True)) if n != m)
    if any(padded[i] != 1 for i in axes):
        raise ShapeError(f"a cotangent of shape {g.shape} for an argument of shape {shape}")
    if axes != tuple(range(extra)):
        g = np.sum(g, axis=axes, keepdims=True)
        return np.reshape(g, shape) if extra else g
    return np.sum(g, axis=axes)


class Bundle:
    """The cotangents of an operation with several results; those that are absent are zero."""

    __slots__ = ("parts", "shape")

    def __init__(self, shape: tuple[Shape, ...], parts: dict[int, Any]) -> None:
        self.shape = shape
        self.parts = parts

    def __add__(self, other: Bundle) -> Bundle:
        # In place: only the walk holds a Bundle, and it drops the old sum for the new one.
        for i, g in other.parts.items():
            self.parts[i] = self.parts[i] + g if i in self.parts else g
        return self

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, i: int) -> Any:
        i = range(len(self.shape))[i]
        if i in self.parts:
            return self.parts[i]
        return np.zeros(self.shape[i], np.result_type(*(g.dtype for g in self.parts.values())))


def item(results: Any, i: int) -> Any:
    """Pick result `i` of an operation that gives several."""
    return results[i]


ITEM = Rule(item, (lambda g, ans, results, i: Bundle(results.shape, {i: g}),), name="item")


def record(
    rule: Rule, args: Any, nodes: Any, params: dict[str, Any] | None, ans: Any
) -> Node | None:
    """Make the node of an operation, or None where nothing wants its gradient.

    Parameters
    ----------
    rule : Rule
        The derivative of the operation.
    args : sequence
        Its arguments, Tensors replaced by their arrays.
    nodes : sequence of (Node or None)
        The node of each argument.
    params : dict
        Its keyword arguments.
    ans : array or tuple of arrays
        Its answer.
    """
    mode = current_mode()
    node = None
    if mode.record:
        found, bit = 0, 1
        if rule.variadic is None:
            for parent in nodes:
                if parent is not None:
                    found |= bit
                bit += bit
        elif any(parent is not None for parent in nodes):
            found = -1  # all, whichever they are
        needed = found & rule.differentiable
        if needed:
            if needed != found:
                nodes = [n if needed >> i & 1 else None for i, n in enumerate(nodes)]
            keep_ans, keep = rule.keeps[needed]
            kept = list(args)
            for i, parent in enumerate(nodes):
                if parent is not None and not keep >> i & 1:
                    kept[i] = parent
                elif rule.saves or not rule.differentiable >> i & 1:  # a loss has classes
                    kept[i] = _own_selection(kept[i])
            if params:
                params = {name: _own_selection(value) for name, value in params.items()}
            shape = tuple(map(np.shape, ans)) if rule.outputs else ans.shape
            node = Node(
                rule, tuple(nodes), tuple(kept), ans if keep_ans else None, shape, params or None
            )
    if mode.inspector is not None:
        mode.inspector.forward(rule, args, ans, node)
    return node


def _own_selection(x: Any) -> Any:
    """Copy index arrays and masks: programs fill and change them in loops, and they are small."""
    if isinstance(x, np.ndarray) and x.dtype.kind in "biu":
        return x.copy()
    return tuple(map(_own_selection, x)) if type(x) is tuple else x


def items(ans: Any, node: Node | None, wrap: Wrap) -> Any:
    """Wrap each result of an operation with several, so that it knows where it came from."""

    def origin(i: int, part: Any) -> Node | None:
        if node is None:
            return None
        return Node(ITEM, (node,), (node,), None, part.shape, {"i": i})

    wrapped = [wrap(part, origin(i, part)) for i, part in enumerate(ans)]
    return type(ans)(*wrapped) if hasattr(ans, "_fields") else type(ans)(wrapped)


by_age = attrgetter("serial")
ABSENT = object()


def waiting_list(root: Node, ends: Set[Node]) -> tuple[list[Node], dict[Node, Any]]:
    """List `root` and the nodes behind it, parents before children, without leaves or `ends`.

    Given `ends`, only what leads to them. Leaves with hooks are listed too: hooks see the whole
    gradient, so it has to be collected first. The dict holds None for each: no cotangent yet.
    """
    found = [root]
    waiting: dict[Node, Any] = {root: None}
    oldest = min((end.serial for end in ends), default=0)  # what is older cannot lead there
    for node in found:
        parents = node.parents
        if parents is None:
            raise GraphError(
                f"The graph behind {node.rule.name if node.rule else 'this node'} was let go by "
                f"an earlier backward pass. Pass retain_graph=True to that pass to walk the "
                f"graph again, or compute the result anew."
            )
        for parent in parents:
            if parent is None or parent in waiting:
                continue
            if parent.rule is None and not (parent.sink is not None and parent.sink.hooks):
                continue
            if ends and (parent.serial < oldest or parent in ends):
                continue
            waiting[parent] = None
            found.append(parent)
    found.sort(key=by_age)
    if ends:
        waiting = {}
        for node in found:
            if any(parent in waiting or parent in ends for parent in node.parents or ()):
                waiting[node] = None
        found = list(waiting)
    return found, waiting


def walk(
    root: Node,
    g: Any,
    deliver: Callable[[Node, Any], None] | None = None,
    ends: Set[Node] = frozenset(),
    retain: bool = False,
    wrap: Wrap | None = None,
) -> None:
    """Carry the cotangent `g` of `root` back through the graph.

    Parameters
    ----------
    root : Node
        Where to start.
    g : array or Tensor
        The cotangent of its answer, of its shape.
    deliver : callable, optional
        ``deliver(node, cotangent)`` takes each contribution that reaches a leaf or one of
        `ends`. By default each leaf's sink takes its own.
    ends : set of Node, optional
        Stop at these nodes, and visit only what leads to them.
    retain : bool
        Keep what the nodes saved, so that the graph can be walked again.
    wrap : callable, optional
        ``wrap(array, node) -> Tensor``: hand the rules Tensors, so that what they do is
        recorded (create_graph).

    Raises
    ------
    GraphError
        If an earlier walk has let part of the graph go.
    """
    if root in ends and deliver is not None:
        deliver(root, g)
        return
    order, cotangents = waiting_list(root, ends)
    if not order:
        return
    cotangents[root] = g
    inspector = current_mode().inspector
    direct = wrap is None and not ends  # leaves' own buffers are where gradients go
    special = inspector is not None or wrap is not None
    summed: set[Node] = set()
    masked: set[Node] = set()  # nodes to which zeros from a branch not taken may come
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for node in reversed(order):
            g = cotangents.pop(node)
            if g is None:
                continue
            rule: Any = node.rule
            sink: Any = node.sink
            if sink is not None and not ends:
                g = sink.observe(g, is_leaf=rule is None)
            if rule is None:  # a leaf with hooks, or the root itself
                if deliver is None:
                    sink.add(g)
                else:
                    deliver(node, g)
                continue
            args: Any = node.args
            parents: Any = node.parents
            params, ans = node.params, node.ans
            if special:
                if inspector is not None:
                    inspector.before(node)
                if wrap is not None:
                    args, params, ans = _as_tensors(node, wrap)
            vjps = rule.vjps or rule.pullbacks(len(parents))
            arity = rule.arity
            behind_mask = node in masked
            feeds_masked = behind_mask or rule.masks
            i = -1
            for parent in parents:
                i += 1
                if parent is None or (ends and parent not in cotangents and parent not in ends):
                    continue
                # Spelt out for one and two arguments, which spares half the cost of the call.
                if arity == 1:
                    c = vjps[0](g, ans, args[0])
                elif arity == 2:
                    c = vjps[i](g, ans, args[0], args[1])
                elif direct and rule.into and rule.into[i] and parent.rule is None:
                    c = vjps[i](g, ans, *args, **(params or {}), out=parent.sink.free())
                else:
                    c = vjps[i](g, ans, *args, **(params or {}))
                try:
                    if behind_mask and rule.singular:
                        c = unmask(g, c)
                    if c.shape != parent.shape:
                        c = fitted(c, node, i)
                except AttributeError:  # no array: a rule of the user's
                    c = fitted(as_cotangent(c, node, i), node, i)
                if inspector is not None:
                    inspector.backward(node, g, c)
                # Each contribution is accounted for at once, so that no two multi-megabyte
                # gradients wait side by side.
                held = cotangents.get(parent, ABSENT)
                if feeds_masked:
                    masked.add(parent)
                if held is None:
                    cotangents[parent] = c
                elif held is ABSENT:
                    if c.dtype.kind == "c":
                        raise DtypeError(
                            f"Complex numbers reached argument {i} of {rule.name} on the way back: "
                            f"a derivative rule returned them. Gradients are real numbers here: "
                            f"return np.real(...) of what is real."
                        )
                    if deliver is not None:
                        deliver(parent, c)
                    else:
                        parent.sink.add(c)
                elif parent in summed and type(held) is np.ndarray is type(c):
                    held += c
                else:  # a rule may have handed out `held` twice: add out of place
                    cotangents[parent] = held + c
                    summed.add(parent)
            if not retain:
                node.parents = node.args = node.params = node.ans = None


def fitted(c: Any, node: Node, i: int) -> Any:
    """Bring a cotangent to the shape of argument `i`, or name the rule that went wrong."""
    rule: Any = node.rule
    parents: Any = node.parents
    shape = parents[i].shape
    try:
        # What was broadcast has as many axes as something here; a single number, its shape.
        axes_fit = len(c.shape) <= max(len(node.shape), *map(np.ndim, node.args))
        if rule.outputs or (axes_fit and (shape or c.shape in ((), node.shape))):
            return unbroadcast(c, shape)
    except ShapeError:
        pass
    raise ShapeError(
        f"The derivative rule of {rule.name} returned a cotangent of shape "
        f"{c.shape} for argument {i}, which has shape {shape}."
    )


def as_cotangent(c: Any, node: Node, i: int) -> Any:
    """Make an array of the numbers that a rule returned for argument `i`, or name the rule."""
    if isinstance(c, (float, int)):
        return np.float64(c)
    if isinstance(c, (list, tuple)) and c:
        return np.stack([as_cotangent(part, node, i) for part in c])
    if hasattr(c, "shape"):
        return c
    rule: Any = node.rule
    parents: Any = node.parents
    remedy = " Where there is no derivative, say None in place of the rule." if c is None else ""
    raise DtypeError(
        f"The derivative rule of {rule.name} for argument {i} returned "
        f"{'None' if c is None else type(c).__name__}, not an array of shape "
        f"{parents[i].shape}.{remedy}"
    )


def unmask(g: Any, c: Any) -> Any:
    """Put zero where a zero cotangent met an infinite derivative.

    ``np.where(x > 0, np.log(x), 0)`` sends zeros to the branch not taken, where log'(0) is
    infinite: 0 * inf is NaN in floating point and 0 here. Only entries that are not finite
    change, so second derivatives through an accidental zero stay right.
    """
    if g.shape != c.shape:
        return c
    if not isinstance(c, Traced):
        total = np.vdot(c, c)
        if total - total == 0:  # finite: the usual case, told by one fast pass
            return c
    return np.where((g == 0) & ~np.isfinite(c), 0, c)


def _as_tensors(node: Node, wrap: Wrap) -> tuple[Any, Any, Any]:
    """Give a node's arguments and answer as Tensors that lead back to where they came from."""
    args = tuple(
        arg if parent is None or arg is parent else wrap(arg, parent)
        for arg, parent in zip(node.args, node.parents or (), strict=True)
    )
    params = {k: v for k, v in (node.params or {}).items() if k != "saved"} or None
    ans = node.ans
    if ans is not None:
        ans = items(ans, node, wrap) if isinstance(ans, tuple) else wrap(ans, node)
    return args, params, ans
