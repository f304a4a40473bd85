"""Parameters as views of one flat vector: a step is then a few calls, whatever the network.

A `Vector` packs parameters of one type. Each parameter's data becomes a view of `Vector.data`,
and the buffer of its gradient a view of `Vector.grad`, so that a backward pass leaves all
gradients side by side and an update is plain arithmetic on two long arrays. float16 parameters are
updated in float32, and their state is float32: squares of gradients and an eps of 1e-8 underflow in
float16, and 0 / 0 is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.node import GradAccumulator
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.writes import marker
from gradlite.errors import DtypeError

Array = np.ndarray
Scratch = tuple[Array, Array]
Named = tuple[str, Tensor]

BLOCK = 2**20
"""Bytes of a vector that are updated at a time, so that they stay in the cache during an update.

Measured with Adam on five million float32: a quarter faster than whole vectors, and a tenth faster
than blocks of 2**18.
"""


class Lazy(dict[str, Array]):
    """Arrays by name, created on first access."""

    def __init__(self, make: Callable[[str], Array]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, name: str) -> Array:
        array = self[name] = self.make(name)
        return array


class ParamView:
    """One parameter as a view of a vector.

    Attributes
    ----------
    name : str
        The parameter's name.
    p : Tensor
        The parameter.
    data, grad : ndarray
        The views of the vector that are its data and the buffer of its gradient.
    start, stop : int
        Where these views begin and end.
    steps : int
        The number of steps that the parameter has taken.
    node : Node or None
        The parameter's node at the last check; None for a frozen parameter.
    sink : GradAccumulator
        Where its gradient arrives; a frozen parameter has one that nothing reaches.
    """

    __slots__ = ("data", "grad", "name", "node", "p", "sink", "start", "steps", "stop")

    def __init__(self, name: str, p: Tensor, data: Array, grad: Array, start: int):
        self.name = name
        self.p = p
        self.start, self.stop = start, start + p.size
        self.data = data[self.start : self.stop].reshape(p.shape)
        self.grad = grad[self.start : self.stop].reshape(p.shape)
        self.steps = 0
        self.node: Any = None
        self.sink = GradAccumulator(data.dtype)
        self.bind()

    def bind(self) -> None:
        """Make the parameter and its gradient views of the vector again, keeping their values.

        They stop being views if ``p.data`` or ``p.grad`` is assigned, or another optimiser is made
        for the same parameter.
        """
        p = self.p
        node: Any = p._node
        if p._data is not self.data:
            if p.dtype != self.data.dtype:
                raise DtypeError(
                    f"The parameter {self.name} was {self.data.dtype} when the optimiser was made "
                    f"and is {p.dtype} now: make a new optimiser after astype()."
                )
            np.copyto(self.data, p._data)
            p._data = self.data
        if node is not self.node:
            self.node = node
            self.sink = GradAccumulator(self.data.dtype) if node is None else node.sink
        if node is not None:
            node.ans = self.data
        if self.sink.buffer is not self.grad:
            if self.sink.full:
                buffer = self.sink.buffer  # a Tensor after backward(create_graph=True)
                np.copyto(self.grad, buffer._data if isinstance(buffer, Tensor) else buffer)
            self.sink.buffer = self.grad


class Block(NamedTuple):
    """A part of a vector and of its gradient, state and scratch: the arguments of an update."""

    p: Array
    g: Array
    state: Lazy
    scratch: Scratch


class Widened:
    """Blocks of float16 parameters, each converted to float32 while it is updated.

    Parameters
    ----------
    halves : list of (array, array)
        Parameters and gradients in float16.
    blocks : list of Block
        The float32 blocks that are updated in their place.
    """

    def __init__(self, halves: list[tuple[Array, Array]], blocks: list[Block]) -> None:
        self.halves = halves
        self.blocks = blocks

    def __iter__(self) -> Iterator[Block]:
        for (data, grad), block in zip(self.halves, self.blocks, strict=True):
            np.copyto(block.p, data)
            np.copyto(block.g, grad)
            yield block
            np.copyto(data, block.p, casting="same_kind")


class Segment:
    """Parameters that lie side by side and take a step together.

    Attributes
    ----------
    views : sequence of ParamView
        The parameters.
    grad : array, shape (n,)
        Their gradients.
    blocks : iterable of Block
        What is updated, one after the other.
    mark_written : callable
        Records that the parameters were changed.
    """

    __slots__ = ("blocks", "grad", "mark_written", "views")

    def __init__(
        self, views: Sequence[ParamView], data: Array, grad: Array, blocks: Iterable[Block]
    ) -> None:
        self.views = views
        self.grad = grad
        self.blocks = blocks
        self.mark_written = marker(data)

    def advance(self) -> int:
        """Count a step, and return its number, counted from 1."""
        t = self.views[0].steps + 1
        for view in self.views:
            view.steps = t
        return t


class Vector:
    """Parameters of one type, packed.

    Parameters
    ----------
    named : sequence of (str, Tensor)
        The parameters: leaves, all of one dtype.

    Attributes
    ----------
    data : array, shape (n,)
        All parameters, in order.
    grad : array, shape (n,)
        All gradients. The entries of a parameter without a gradient are meaningless.
    views : list of ParamView
        The parameters, each with its place in the vector.
    state : Lazy
        The optimiser's state for each entry: arrays by name, initially zero; float32 for float16
        parameters.

    Examples
    --------
    >>> import gradlite as gl
    >>> p, q = gl.Tensor([1.0, 2.0], requires_grad=True), gl.Tensor(3.0, requires_grad=True)
    >>> vector = Vector([("p", p), ("q", q)])
    >>> (p * q).sum().backward()
    >>> vector.data, vector.grad
    (array([1., 2., 3.]), array([3., 3., 3.]))
    >>> vector.data[:] = 0
    >>> p
    Tensor([0., 0.], shape=(2,), dtype=float64, requires_grad=True)
    """

    def __init__(self, named: Sequence[Named]) -> None:
        size = sum(p.size for _, p in named)
        dtype = named[0][1].dtype
        data, grad = np.empty(size, dtype), np.zeros(size, dtype)
        self.data = data
        self.grad = grad
        self.views: list[ParamView] = []
        start = 0
        for name, p in named:
            self.views.append(ParamView(name, p, data, grad, start))
            start += p.size
        half = dtype.char == "e"
        wide = np.dtype(np.float32) if half else dtype
        self.state = Lazy(lambda name: np.zeros(size, wide))
        self._length = min(size, BLOCK // wide.itemsize)
        self._scratch = np.empty((4 if half else 2, self._length), wide)
        self._segments: dict[tuple[int, int], Segment] = {}

    def state_of(self, view: ParamView, name: str) -> Array:
        """Return the entries of a state array that belong to a parameter, in its shape."""
        return self.state[name][view.start : view.stop].reshape(view.data.shape)

    def zero_grad(self) -> None:
        """Mark all gradients as empty, without writing to their memory."""
        for view in self.views:
            if view.p._node is not view.node:
                view.bind()
            if view.node is None:
                view.p.zero_grad()  # a frozen parameter keeps its gradient elsewhere
            view.sink.full = False
            view.sink.buffer = view.grad

    def fill_grad(self, value: float) -> None:
        """Set all entries of the gradients that are there."""
        self.bind()
        for view in self.views:
            if view.sink.full:
                view.grad.fill(value)

    def bind(self) -> None:
        """Make sure that all parameters and gradients are views of this vector."""
        for view in self.views:
            p = view.p
            if (
                p._data is not view.data
                or view.sink.buffer is not view.grad
                or p._node is not view.node
            ):
                view.bind()

    def segments(self) -> list[Segment]:
        """Return the segments: runs of parameters with a gradient and the same number of steps."""
        self.bind()
        views = self.views
        steps = views[0].steps
        for view in views:
            if not view.sink.full or view.steps != steps:
                break
        else:  # the usual case
            return [self.whole()]
        segments, end = [], 0
        for (full, _), together in groupby(views, lambda view: (view.sink.full, view.steps)):
            start, end = end, end + len(list(together))
            if full:
                segments.append(self._segment(start, end))
        return segments

    def whole(self) -> Segment:
        """Return the segment of all parameters."""
        return self._segment(0, len(self.views))

    def _segment(self, first: int, end: int) -> Segment:
        segment = self._segments.get((first, end))
        if segment is None:
            views = self.views[first:end]
            start, stop = views[0].start, views[-1].stop
            bounds = [*range(start, stop, self._length), stop] if stop > start else []
            parts = [slice(*pair) for pair in pairwise(bounds)]
            blocks = [self._block(part) for part in parts]
            halves = [(self.data[part], self.grad[part]) for part in parts]
            updated = Widened(halves, blocks) if len(self._scratch) > 2 else blocks
            segment = self._segments[first, end] = Segment(
                views, self.data[start:stop], self.grad[start:stop], updated
            )
        return segment

    def _block(self, part: slice) -> Block:
        state = self.state
        one, two, *wide = self._scratch[:, : part.stop - part.start]
        p, g = wide or (self.data[part], self.grad[part])
        return Block(p, g, Lazy(lambda name: state[name][part]), (one, two))
