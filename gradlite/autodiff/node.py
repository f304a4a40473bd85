"""Nodes: what is recorded of an operation, and where gradients arrive.

Every operation on a Tensor makes one `Node`: its rule, the nodes of its inputs, and the arrays
that the rule will read. Nodes point from results to inputs only, so there are no cycles, and
reference counting alone frees a graph.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from sys import getrefcount
from typing import Any

import numpy as np

from gradlite.autodiff.operands import as_replacement
from gradlite.autodiff.rule import Rule, Traced
from gradlite.errors import GraphError

Shape = tuple[int, ...]

serial = count().__next__


class Node:
    """One recorded operation, or a leaf of the graph.

    Attributes
    ----------
    rule : Rule or None
        The derivative of the operation; None for a leaf.
    parents : tuple of (Node or None) or None
        The node of each array argument; None for an argument that does not require a gradient.
        The tuple itself is None once a walk has freed the node.
    args : tuple
        The arguments; for an array that the rule does not read, the array's node, which still
        has its ``shape``, ``ndim`` and ``size``.
    params : dict or None
        Keyword arguments of the operation.
    ans : array or None
        The output, if the rule reads it; a leaf's data.
    shape : tuple of int
        The shape of the output.
    serial : int
        Grows with time: a node is younger than its parents.
    sink : GradAccumulator or None
        Where the gradient goes: to ``grad`` of a leaf, and to hooks.
    note : object
        What debug mode recorded.
    """

    __slots__ = ("ans", "args", "note", "params", "parents", "rule", "serial", "shape", "sink")

    def __init__(
        self,
        rule: Rule | None,
        parents: tuple[Node | None, ...] | None,
        args: Any,
        ans: Any,
        shape: Any,
        params: dict[str, Any] | None = None,
    ) -> None:
        self.rule = rule
        self.parents = parents
        self.args = args
        self.ans = ans
        self.shape = shape
        self.params = params
        self.serial = serial()
        self.sink: GradAccumulator | None = None
        self.note: Any = None

    @property
    def ndim(self) -> int:
        """Number of dimensions of the output."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements of the output."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    def __array__(self, *_: Any, **__: Any) -> Any:
        # A node takes the place of an array only where the rule's code does not mention that.
        raise GraphError(
            "A derivative rule reads an array that was not kept for it, as nothing in the rule's "
            "own code says that it does: name the argument there."
        )

    def __repr__(self) -> str:
        return f"<node {self.rule.name if self.rule else 'leaf'} {self.shape}>"


class GradAccumulator:
    """Where a node's gradient arrives: a buffer that lives as long as the node, and hooks.

    The first gradient is copied into the buffer, later ones are added in place, so training
    allocates no gradient arrays after its first step.
    """

    __slots__ = ("buffer", "dtype", "full", "hooks", "retain")

    def __init__(self, dtype: np.dtype[Any], retain: bool = True) -> None:
        self.dtype = dtype
        self.buffer: Any = None
        self.full = False
        self.hooks: dict[int, Callable[[Any], Any]] = {}
        self.retain = retain

    def add(self, g: Any) -> None:
        """Add the array `g`, in place unless it is the first."""
        if g is self.buffer:  # a rule wrote to it directly
            self.full = True
        elif self.full and isinstance(self.buffer, Traced):
            self.buffer = self.buffer + g
        elif self.full:
            self.buffer += g
        elif self.buffer is None:
            self.buffer = np.array(g, dtype=self.dtype)
            self.full = True
        else:
            np.copyto(self.buffer, g)
            self.full = True

    def empty_buffer(self) -> Any:
        """Return the buffer for a rule to write the first gradient to, if there is one."""
        return None if self.full or self.hooks else self.buffer

    def add_recorded(self, g: Any) -> None:
        """Add the Tensor `g` of a recorded walk, so that the sum is recorded too."""
        self.buffer = self.buffer + g if self.full else g
        self.full = True

    def clear(self, forget: bool = False) -> None:
        """Mark the buffer empty; with `forget`, or if a user still holds its array, drop it."""
        self.full = False
        held = getrefcount(self.buffer) > 2 and getattr(self.buffer, "base", 0) is None  # no view
        if forget or held or isinstance(self.buffer, Traced):
            self.buffer = None

    def observe(self, g: Any, is_leaf: bool) -> Any:
        """Call the hooks with a complete gradient, in order; one that returns a value replaces it.

        An intermediate result with `retain` keeps the gradient, in place of an earlier pass's.
        """
        for hook in tuple(self.hooks.values()):
            replaced = hook(g)
            if replaced is not None:
                g = as_replacement(replaced, g)
        if self.retain and not is_leaf:
            self.buffer = g if isinstance(g, Traced) else np.array(g, dtype=self.dtype)
            self.full = True
        return g
