"""Trees: nested tuples, lists and dicts of arrays, flattened and rebuilt."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from gradlite.errors import ShapeError


def flatten(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """Return the leaves of nested tuples, lists and dicts, and the function that rebuilds them.

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

        def rebuild_dict(new: Sequence[Any]) -> Any:
            made = copy.copy(tree)  # keeps its type: an OrderedDict, a defaultdict
            made.update(zip(tree, back(new), strict=True))
            return made

        return leaves, rebuild_dict
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


def leaves_like(tree: Any, like: Any, name: str = "tree") -> list[Any]:
    """Return the leaves of a tree that must have the structure of `like`, in its order.

    `name` is the tree's name in errors.

    Raises
    ------
    ShapeError
        If the structures differ.

    Examples
    --------
    >>> leaves_like({"b": 1.0, "a": 2.0}, {"a": 0.0, "b": 0.0})
    [2.0, 1.0]
    """
    if isinstance(like, dict):
        if not isinstance(tree, dict) or tree.keys() != like.keys():
            raise ShapeError(f"{name}: {_build(tree)} where {_build(like)} is needed.")
        return [leaf for key in like for leaf in leaves_like(tree[key], like[key], name)]
    if isinstance(like, (tuple, list)):
        if not isinstance(tree, (tuple, list)) or len(tree) != len(like):
            raise ShapeError(f"{name}: {_build(tree)} where {_build(like)} is needed.")
        pairs = zip(tree, like, strict=True)
        return [leaf for part, model in pairs for leaf in leaves_like(part, model, name)]
    if isinstance(tree, dict):
        raise ShapeError(f"{name}: {_build(tree)} where one array or number is needed.")
    return [tree]


def _build(tree: Any) -> str:
    """Describe the top of a tree."""
    if isinstance(tree, dict):
        return f"a dict with the keys {sorted(map(str, tree))}"
    if isinstance(tree, (tuple, list)):
        return f"a {type(tree).__name__} of {len(tree)}"
    return f"a {type(tree).__name__}"
