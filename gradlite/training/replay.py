"""Replay: the operations of a training step, recorded once and repeated for each batch.

Batches of one shape make the same graph if the network and its loss are *static*: which operations
they perform does not depend on the numbers, and nothing is drawn at random. Of the graph, later
steps need only the list of its functions and rules. These are called in the same order on the same
kinds of arrays, so the results are the same, bit for bit, without modules, Tensors and nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from gradlite import nn
from gradlite.autodiff.cotangents import sum_to_shape, zero_masked
from gradlite.autodiff.node import Node
from gradlite.autodiff.precision import wide
from gradlite.autodiff.tape import ITEM, toposort
from gradlite.autodiff.tensor import Tensor

STATIC = frozenset(
    kind.forward
    for kind in (
        nn.Linear, nn.Conv1d, nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.LayerNorm, nn.Flatten,
        nn.Identity, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.SiLU, nn.GELU, nn.LeakyReLU,
        nn.ELU, nn.Softmax, nn.LogSoftmax, nn.Sequential, nn.Residual,
    )
)  # fmt: skip
"""The forward methods of modules that perform the same operations whatever the numbers."""

SETTINGS = (type(None), bool, int, float, str)


def is_static(module: nn.Module) -> bool:
    """Return whether a network certainly performs the same operations for all batches of a shape.

    Examples
    --------
    >>> is_static(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    True
    >>> is_static(nn.Sequential(nn.Linear(2, 3), nn.Dropout()))
    False
    """
    return all(
        type(part).forward in STATIC
        and type(part).__call__ is nn.Module.__call__
        and "forward" not in vars(part)
        for part in module.modules()
    )


class NotStaticError(Exception):
    """Raised if a graph contains something that may differ for the next batch."""


class Replay:
    """A recorded computation of a loss, ready for other inputs of the same shapes.

    Parameters
    ----------
    loss : Tensor
        A single number. Its graph must not have been freed.
    inputs : sequence of arrays
        The arrays that each call replaces.

    Raises
    ------
    NotStaticError
        If the graph has arrays that are neither parameters nor `inputs` (they might be computed
        from these), hooks, or operations with several results.

    Examples
    --------
    >>> import gradlite as gl
    >>> layer = nn.Linear(2, 1, rng=np.random.default_rng(0))
    >>> x, y = np.ones((3, 2), np.float32), np.zeros((3, 1), np.float32)
    >>> replay = Replay(gl.mse(layer(x), y), (x, y))
    >>> loss = replay(2 * x, y + 1)  # and the gradient is in layer.weight.grad
    >>> bool(loss == gl.mse(layer(2 * x), y + 1).data)
    True
    """

    def __init__(self, loss: Tensor, inputs: Sequence[Any]) -> None:
        self.seed = wide(np.ones_like(loss._data))
        self.inputs = len(inputs)
        self.values: list[Any] = list(inputs)
        self.leaves: list[tuple[int, Node]] = []
        self.forward: list[tuple[Any, ...]] = []
        self.backward: list[tuple[Any, ...]] = []
        root: Any = loss._node
        nodes, _ = toposort(root, frozenset())
        if any(node.rule is None for node in nodes):  # the leaves listed are those with hooks
            raise NotStaticError
        places: dict[Node, int] = {}
        for node, unread in zip(nodes, last_uses(nodes), strict=True):
            self._add(node, unread, places)
        self.backward.reverse()
        self.values[: self.inputs] = [None] * self.inputs

    def _add(self, node: Node, unread: list[Node], places: dict[Node, int]) -> None:
        """Append what a node does forward and what it does backward."""
        rule: Any = node.rule
        params = {k: v for k, v in (node.params or {}).items() if k != "residuals"}
        if rule.multiple_outputs or rule is ITEM or not all(map(is_setting, params.values())):
            raise NotStaticError
        parents: Any = node.parents
        args = [self._place(*pair, places) for pair in zip(node.args, parents, strict=True)]
        take = itemgetter(*args) if len(args) > 1 else lambda values, i=args[0]: (values[i],)
        place = places[node] = self._new(None)
        known = dict(params)  # and the residuals of the function
        unused = [(places[parent], parent) for parent in unread]
        self.forward.append(
            (rule.fn, take, params, place, known if rule.has_residuals else None, unused)
        )
        vjps = rule.vjps or rule.pullbacks(len(args))
        writes = rule.accepts_out or (False,) * len(args)
        pulls = [
            (vjps[i], args[i], p.shape, None if p.rule else p.sink, writes[i] and p.rule is None)
            for i, p in enumerate(parents)
            if p is not None
        ]
        self.backward.append((place, take, known, rule, pulls))

    def _place(self, arg: Any, parent: Node | None, places: dict[Node, int]) -> int:
        """Return the index of an argument in `values`."""
        if parent is not None:
            if parent.rule is not None and parent.sink is not None:  # with hooks, or retains grad
                raise NotStaticError
            if parent not in places:
                places[parent] = self._new(None)
                self.leaves.append((places[parent], parent))
            return places[parent]
        for i in range(self.inputs):
            if arg is self.values[i] or _is_copy(arg, self.values[i]):
                return i
        if is_setting(arg):
            return self._new(arg)
        raise NotStaticError

    def _new(self, value: Any) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def __call__(self, *inputs: Any) -> Any:
        """Return the loss of other inputs, a 0-d array, and add its gradient to the leaves'."""
        values = self.values
        values[: self.inputs] = inputs
        for place, leaf in self.leaves:
            values[place] = leaf.ans
        for fn, take, params, place, kept, unused in self.forward:
            ans = fn(*take(values), **params)
            if kept is not None:
                ans, kept["residuals"] = ans
            values[place] = ans
            for unread, node in unused:
                values[unread] = node  # it has the shape, which is all that a rule may read
        self._walk(values)
        values[: self.inputs] = [None] * self.inputs
        return ans

    def _walk(self, values: list[Any]) -> None:
        """Repeat what the walk back through the graph does, and free the outputs."""
        cotangents = {self.backward[0][0]: self.seed}
        masked: set[int] = set()
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for place, take, params, rule, pulls in self.backward:
                g = cotangents.pop(place)
                args, ans = take(values), values[place]
                behind_mask = place in masked
                for vjp, parent, shape, sink, writes in pulls:
                    if writes:
                        c = vjp(g, ans, *args, **params, out=sink.empty_buffer())
                    else:
                        c = vjp(g, ans, *args, **params)
                    if behind_mask and rule.singular:
                        c = zero_masked(g, c)
                    if c.shape != shape:
                        c = sum_to_shape(c, shape)
                    if behind_mask or rule.masks:
                        masked.add(parent)
                    if sink is not None:
                        sink.add(c)
                    elif parent in cotangents:
                        cotangents[parent] = cotangents[parent] + c
                    else:
                        cotangents[parent] = c
                params.pop("residuals", None)
                values[place] = None


def _is_copy(arg: Any, value: Any) -> bool:
    """Return whether `arg` is the copy of the class indices `value` that the tape made."""
    arrays = isinstance(arg, np.ndarray) and isinstance(value, np.ndarray)
    return (
        arrays
        and arg.dtype == value.dtype
        and value.dtype.kind in "biu"
        and np.array_equal(arg, value)
    )


def last_uses(nodes: Sequence[Node]) -> list[list[Node]]:
    """Return for each node the arguments that no later node and no rule needs."""
    last: dict[Node, int] = {}
    read: set[Node] = set()
    for i, node in enumerate(nodes):
        for arg, parent in zip(node.args, node.parents or (), strict=True):
            if parent is not None:
                last[parent] = i
                if arg is not parent or parent.rule is None or parent.ans is not None:
                    read.add(parent)
    uses: list[list[Node]] = [[] for _ in nodes]
    for parent, i in last.items():
        if parent not in read:
            uses[i].append(parent)
    return uses


def is_setting(value: Any) -> bool:
    """Return whether an argument is a setting of an operation rather than data."""
    if isinstance(value, tuple):
        return all(map(is_setting, value))
    if isinstance(value, slice):
        return is_setting((value.start, value.stop, value.step))
    return type(value) in SETTINGS
