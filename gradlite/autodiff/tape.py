"""The tape: `record` makes a node for each operation, and `walk` goes back through them.

It visits the nodes from the youngest to the oldest, calls each rule with its cotangent, sums what
arrives at an argument, and frees each node.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from operator import attrgetter
from typing import Any

import numpy as np

from gradlite.autodiff.cotangents import (
    OutputCotangents,
    checked_cotangent,
    to_argument,
    zero_masked,
)
from gradlite.autodiff.modes import current_mode
from gradlite.autodiff.node import Node
from gradlite.autodiff.precision import wide
from gradlite.autodiff.rule import Rule
from gradlite.autodiff.saved_inputs import kept_constant
from gradlite.autodiff.writes import Writes, check_unchanged
from gradlite.errors import GraphError

Wrap = Callable[[Any, Node | None], Any]


def item(results: Any, i: int) -> Any:
    """Return result `i` of an operation with several."""
    return results[i]


ITEM = Rule(
    item, (lambda g, ans, results, i: OutputCotangents(results.shape, {i: g}),), name="item"
)


def record(
    rule: Rule, args: Any, nodes: Any, params: dict[str, Any] | None, ans: Any
) -> Node | None:
    """Return the node of an operation, or None if none of its arguments requires a gradient.

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
        Its output.
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
            keep_ans, keep = rule.saved_inputs[needed]
            kept = list(args)
            for i, parent in enumerate(nodes):
                if parent is not None:
                    if not keep >> i & 1:
                        kept[i] = parent
                elif (
                    rule.has_residuals or rule.multiple_outputs or not rule.differentiable >> i & 1
                ):
                    kept[i] = kept_constant(kept[i])
                elif keep >> i & 1:
                    kept[i] = kept_constant(kept[i], ans.dtype)
            if params:
                params = {name: kept_constant(value) for name, value in params.items()}
            shape = tuple(map(np.shape, ans)) if rule.multiple_outputs else ans.shape
            node = Node(
                rule, tuple(nodes), tuple(kept), ans if keep_ans else None, shape, params or None
            )
    if mode.inspector is not None:
        mode.inspector.forward(rule, args, ans, node)
    return node


def items(ans: Any, node: Node | None, wrap: Wrap) -> Any:
    """Wrap each result of an operation with several, with a node that picks it."""

    def origin(i: int, part: Any) -> Node | None:
        if node is None:
            return None
        return Node(ITEM, (node,), (node,), None, part.shape, {"i": i})

    wrapped = [wrap(part, origin(i, part)) for i, part in enumerate(ans)]
    return type(ans)(*wrapped) if hasattr(ans, "_fields") else type(ans)(wrapped)


ndarray = np.ndarray
by_age = attrgetter("serial")
ABSENT = object()


def toposort(root: Node, stop_at: Set[Node]) -> tuple[list[Node], dict[Node, Any]]:
    """List `root` and the nodes behind it, parents before children, without leaves or `stop_at`.

    Given `stop_at`, only what leads to them. Leaves with hooks are listed too: hooks see the
    complete gradient, so it has to be collected first. The dict holds None for each: no cotangent
    yet.
    """
    found = [root]
    cotangents: dict[Node, Any] = {root: None}
    oldest = min((end.serial for end in stop_at), default=0)  # what is older cannot lead there
    for node in found:
        if node.parents is None:
            raise GraphError(
                f"The graph behind {node.rule.name if node.rule else 'this node'} was already "
                f"freed by an earlier backward(). Pass retain_graph=True to that one to walk the "
                f"graph again, or compute the result again."
            )
        for parent in node.parents:
            if parent is None or parent in cotangents:
                continue
            if parent.rule is None and not (parent.sink is not None and parent.sink.hooks):
                continue
            if stop_at and (parent.serial < oldest or parent in stop_at):
                continue
            cotangents[parent] = None
            found.append(parent)
    found.sort(key=by_age)
    if stop_at:
        cotangents = {}
        for node in found:
            if any(parent in cotangents or parent in stop_at for parent in node.parents or ()):
                cotangents[node] = None
        found = list(cotangents)
    return found, cotangents


def walk(  # noqa: C901, PLR0912, PLR0915 -- see the comment in it
    root: Node,
    g: Any,
    on_gradient: Callable[[Node, Any], None] | None = None,
    stop_at: Set[Node] = frozenset(),
    retain: bool = False,
    wrap: Wrap | None = None,
) -> None:
    """Carry the cotangent `g` of `root` back through the graph.

    Parameters
    ----------
    root : Node
        Where to start.
    g : array or Tensor
        The cotangent of its output, of its shape.
    on_gradient : callable, optional
        ``on_gradient(node, cotangent)`` takes each contribution that reaches a leaf or one of
        `stop_at`. By default it is added to the leaf's gradient.
    stop_at : set of Node, optional
        Stop at these nodes, and visit only what leads to them.
    retain : bool
        Keep what the nodes saved, so that the graph can be walked again.
    wrap : callable, optional
        ``wrap(array, node) -> Tensor``: call the rules with Tensors, so that the walk itself is
        recorded (create_graph).

    Raises
    ------
    GraphError
        If an earlier walk has freed part of the graph.
    MutationError
        If an array that a rule needs was changed off the tape.
    """
    if root in stop_at and on_gradient is not None:
        on_gradient(root, g)
        return
    order, cotangents = toposort(root, stop_at)
    if order and order[0].serial < Writes.last:
        check_unchanged(order)
    cotangents[root] = wide(g) if hasattr(g, "dtype") else g
    inspector = current_mode().inspector
    direct = wrap is None and not stop_at  # leaves' own buffers are where gradients go
    special = inspector is not None or wrap is not None
    summed: set[Node] = set()
    masked: set[Node] = set()  # nodes that zeros from a branch not taken may reach
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # One long loop: one more call for each argument would slow graphs of small arrays down.
        for node in reversed(order):
            g = cotangents.pop(node)
            if g is None:
                continue
            rule: Any = node.rule
            sink: Any = node.sink
            if sink is not None and not stop_at:
                g = sink.observe(g, is_leaf=rule is None)
            if rule is None:  # a leaf with hooks, or the root itself
                if on_gradient is None:
                    sink.add(g)
                else:
                    on_gradient(node, g)
                continue
            args: Any = node.args
            parents: Any = node.parents
            params, ans = node.params, node.ans
            if special:
                args, params, ans = _prepare(node, inspector, wrap)
            vjps = rule.vjps or rule.pullbacks(len(parents))
            arity = rule.arity
            behind_mask = masked and node in masked
            careful = behind_mask or rule.careful
            i = -1
            for parent in parents:  # enumerate takes 50 ns more a node
                i += 1
                if parent is None:
                    continue
                held = cotangents.get(parent, ABSENT)
                if held is ABSENT and stop_at and parent not in stop_at:
                    continue
                if arity == 1:  # half the cost of the general call
                    c = vjps[0](g, ans, args[0])
                elif arity == 2:
                    c = vjps[i](g, ans, args[0], args[1])
                elif direct and rule.accepts_out and rule.accepts_out[i] and parent.rule is None:
                    c = vjps[i](g, ans, *args, **(params or {}), out=parent.sink.empty_buffer())
                else:
                    c = vjps[i](g, ans, *args, **(params or {}))
                if careful:
                    if rule.users:
                        c = checked_cotangent(c, node, i)
                    if behind_mask and rule.singular:
                        c = zero_masked(g, c)
                    if behind_mask or rule.masks:
                        masked.add(parent)
                if c.shape != parent.shape:
                    c = to_argument(c, node, i)
                if inspector is not None:
                    inspector.backward(node, g, c)
                # Add at once, so that two multi-megabyte gradients never exist side by side.
                if held is None:
                    cotangents[parent] = c
                elif held is ABSENT:
                    if on_gradient is not None:
                        on_gradient(parent, c)
                    elif (sink := parent.sink).full and type(sink.buffer) is ndarray:
                        sink.buffer += c
                    else:
                        sink.add(c)
                elif parent in summed and type(held) is ndarray is type(c):
                    held += c
                else:  # a rule may have returned `held` for two arguments: add out of place
                    cotangents[parent] = held + c
                    summed.add(parent)
            if not retain:
                node.parents = node.args = node.params = node.ans = None


def _prepare(node: Node, inspector: Any, wrap: Wrap | None) -> tuple[Any, Any, Any]:
    """Show a node to debug mode; return what its rule is called with, wrapped for create_graph."""
    if inspector is not None:
        inspector.before(node)
    if wrap is None:
        return node.args, node.params, node.ans
    args = tuple(
        arg if parent is None or arg is parent else wrap(arg, parent)
        for arg, parent in zip(node.args, node.parents or (), strict=True)
    )
    params = {k: v for k, v in (node.params or {}).items() if k != "residuals"} or None
    ans = node.ans
    if ans is not None:
        ans = items(ans, node, wrap) if isinstance(ans, tuple) else wrap(ans, node)
    return args, params, ans
