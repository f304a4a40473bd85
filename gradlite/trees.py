"""Trees: arguments that are tuples, lists and dicts of arrays, taken apart and put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """List the leaves of nested tuples, lists and dicts, and give the way back.

    Examples
    --------
    >>> leaves, rebuild = flatten({"w": 1.0, "b": (2.0, 3.0)})
    >>> leaves
    [1.0, 2.0, 3.0]
    >>> rebuild(["x", "y", "z"])
    {'w': 'x', 'b': ('y', 'z')}
    """
    if isinstance(tree, dict):
        leaves, back = flatten(list(tree.values()))
        return leaves, lambda new: dict(zip(tree, back(new), strict=True))
    if not isinstance(tree, (tuple, list)):
        return [tree], lambda new: new[0]
    parts = [flatten(part) for part in tree]
    edges = list(accumulate((len(leaves) for leaves, _ in parts), initial=0))

    def rebuild(new: Sequence[Any]) -> Any:
        children = [
            back(new[a:b]) for (_, back), (a, b) in zip(parts, pairwise(edges), strict=True)
        ]
        return type(tree)(*children) if hasattr(tree, "_fields") else type(tree)(children)

    return [leaf for leaves, _ in parts for leaf in leaves], rebuild
