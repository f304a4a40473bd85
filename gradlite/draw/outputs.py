"""The outputs of recorded operations: those that the tape has kept, and others computed again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gradlite.autodiff.node import Node
from gradlite.autodiff.rule import Function
from gradlite.scalar.bridge import ValueNode

REPEATABLE = ("numpy", "scipy", "_operator", "gradlite.autodiff.rules", "gradlite.autodiff.tape")


def outputs(graph: Iterable[Any]) -> dict[Node, Any]:
    """Return the output of each node of a graph, None where it cannot be known.

    The tape keeps only what rules read. An output may be kept at its node, or among the arguments
    of an operation that used it; otherwise the operation is carried out again. User functions are
    not called: they might draw random numbers, or have side effects.

    Parameters
    ----------
    graph : iterable
        Nodes, inputs before what was made of them; anything else is skipped.
    """
    nodes = [node for node in graph if isinstance(node, Node)]
    found: dict[Node, Any] = {}
    for node in nodes:
        for arg, parent in zip(node.args, node.parents or (), strict=True):
            if isinstance(parent, ValueNode):
                found[parent] = np.float64(parent.value.data)
            elif parent is not None and arg is not parent:
                found[parent] = arg
    for node in nodes:
        if node.rule is None or node.ans is not None:
            found[node] = node.ans
        elif node not in found:
            found[node] = again(node, found)
    return found


def again(node: Node, found: dict[Node, Any]) -> Any:
    """Carry out an operation again."""
    rule: Any = node.rule
    args = [found[arg] if isinstance(arg, Node) else arg for arg in node.args]
    params = {k: v for k, v in (node.params or {}).items() if k != "residuals"}
    pairs = zip(args, node.parents or (), strict=True)
    lost = any(arg is None and parent is not None for arg, parent in pairs)
    if lost or not repeatable(rule.fn):
        return None
    try:
        with np.errstate(all="ignore"):
            ans = rule.fn(*args, **params)
    except Exception:  # what was kept has been changed since: there is no number to show
        return None
    if rule.has_residuals:
        ans = ans[0]
    shape = tuple(map(np.shape, ans)) if rule.multiple_outputs else np.shape(ans)
    return ans if shape == node.shape else None


def repeatable(fn: Function) -> bool:
    """Return whether a function is known to give the same again, and to do nothing else."""
    module = getattr(fn, "__module__", None) or ""
    return isinstance(fn, np.ufunc) or f"{module}.".startswith(tuple(f"{m}." for m in REPEATABLE))
