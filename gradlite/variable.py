"""Variable: data with a gradient. What a Tensor is apart from its operations."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradlite.errors import DetachError, DtypeError, GraphError, ShapeError, user_stacklevel
from gradlite.modes import enable_grad
from gradlite.node import SEEN, Node, Sink, serial
from gradlite.rule import Traced
from gradlite.tape import differentiating, is_differentiated, walk


class Variable(Traced):
    """An array and the node that made it: data, gradient, and the way back.

    `Tensor` is the Variable with operations.
    """

    __slots__ = ("__weakref__", "_data", "_node")

    _data: Any  # an array, or the NumPy scalar that NumPy made of a 0-d result
    _node: Node | None

    @staticmethod
    def _make(data: Any, node: Node | None) -> Any:
        """Make the result of an operation."""
        raise NotImplementedError

    @property
    def data(self) -> np.ndarray:
        """The values, an array. Writing to it is not recorded."""
        if type(self._data) is not np.ndarray:
            self._data = np.asarray(self._data)
        data: np.ndarray = self._data
        return data

    @data.setter
    def data(self, value: Any) -> None:
        if value is self._data:  # p.data -= step ends here, its work done in place
            return
        value = np.asarray(value, dtype=self._data.dtype)
        if value.shape != self.shape:
            raise ShapeError(
                f"data of shape {value.shape} for a Tensor of shape {self.shape}: make a new "
                f"Tensor instead."
            )
        self._data = value
        if self.is_leaf and self._node is not None:
            self._node.ans = value

    @property
    def _grad(self) -> Any:
        sink = self._node.sink if self._node is not None else None
        return sink.buffer if sink is not None and sink.full else None

    @property
    def grad(self) -> Any:
        """The gradient, an array of this Tensor's shape and dtype; None before `backward`.

        A Tensor after ``backward(create_graph=True)``. Leaves have one, and Tensors on which
        `retain_grad` was called. The array is reused: after `zero_grad`, the next `backward`
        writes to the same memory, so copy what you want to keep (``grad = None`` gives it up).
        """
        node = self._node
        if node is not None and node.rule is not None and not (node.sink and node.sink.retain):
            warnings.warn(
                f"The grad of a Tensor that is not a leaf (a result of {node.rule.name}) is "
                f"None: backward() fills those of leaves. Call retain_grad() on this one first; "
                f"to update a parameter, write under gl.no_grad(): w -= lr * w.grad, not "
                f"w = w - lr * w.grad, which makes another Tensor.",
                stacklevel=user_stacklevel(),
            )
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        sink = self._own_sink("grad")
        sink.clear(forget=True)
        if value is not None:
            if np.shape(value) not in ((), self.shape):
                raise ShapeError(
                    f"a gradient of shape {np.shape(value)} for a Tensor of shape {self.shape}."
                )
            sink.add(np.broadcast_to(value, self.shape))

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Tensor. Can be set on a leaf."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if wanted and self._node is None:
            data = self.data
            if data.dtype.kind != "f":
                raise DtypeError(
                    f"Only floating-point data can require a gradient, not {data.dtype}: "
                    f"write 1.0 in place of 1, or convert with astype(float)."
                )
            self._node = Node(None, (), (), data, data.shape)
            self._node.sink = Sink(data.dtype)
        elif not wanted and self._node is not None:
            if not self.is_leaf:
                raise GraphError(
                    "requires_grad can be switched off on leaves only; take detach() of a result."
                )
            self._node = None

    @property
    def is_leaf(self) -> bool:
        """Whether this Tensor is data rather than the result of a recorded operation."""
        return self._node is None or self._node.rule is None

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        shape: tuple[int, ...] = self._data.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._data.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        dtype: np.dtype[Any] = self._data.dtype
        return dtype

    def _stay_on_tape(self, way: str) -> None:
        """Raise DetachError if a derivative that is being computed depends on this Tensor."""
        if is_differentiated(self._node):
            raise DetachError(
                f"{way} of a Tensor in a function that is being differentiated would lose its "
                f"gradient: the result is a plain number. Say t.detach() (or t.data) if that is "
                f"meant. Otherwise use NumPy's functions (np.exp in place of math.exp), and put "
                f"results together with np.stack or gl.Tensor([...]) in place of a[i] = t."
            )

    def item(self) -> Any:
        """Return the only element as a Python number.

        Raises
        ------
        ShapeError
            If there are more or fewer elements than one.
        DetachError
            Inside a function that a transform (`grad`, ...) differentiates, if the number
            depends on its arguments.
        """
        return self._number("item()")

    def _number(self, way: str) -> Any:
        if self.size != 1:
            raise ShapeError(
                f"A Tensor of shape {self.shape} is not one number; index it, or use tolist()."
            )
        self._stay_on_tape(way)
        return self._data.item()

    def tolist(self) -> Any:
        """Return the data as nested lists of Python numbers; see `item`."""
        self._stay_on_tape("tolist()")
        return self._data.tolist()

    # -- differentiation ------------------------------------------------------------------

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Add to ``grad`` of every leaf the derivative of this Tensor with respect to it.

        Parameters
        ----------
        gradient : array_like, optional
            The cotangent to start from, of this Tensor's shape. May be left out for a Tensor
            of one element.
        retain_graph : bool, default False
            Keep the graph for another backward pass. By default its arrays are let go.
        create_graph : bool, default False
            Record the pass itself: ``grad`` is then a Tensor that can be differentiated again.
            Implies `retain_graph`.

        Raises
        ------
        GraphError
            If nothing here requires a gradient, or the graph was let go already.
        ShapeError
            If `gradient` has another shape, or is missing for more than one element.
        """
        node = self._node
        if node is None:
            raise GraphError(
                "backward() of a Tensor that does not require a gradient: no operation behind "
                "it was recorded. Make an input with requires_grad=True, and look for no_grad, "
                "detach() or .data on the way."
            )
        if gradient is None:
            if self.size != 1:
                raise ShapeError(
                    f"backward() of a Tensor of shape {self.shape} needs gradient= of that "
                    f"shape. For the gradient of one number, reduce first: .sum() or .mean()."
                )
            gradient = np.ones_like(self._data) if self.ndim else self.dtype.type(1)
        else:
            if not isinstance(gradient, Variable):
                gradient = np.asarray(gradient, self.dtype)
            if gradient.shape != self.shape:
                raise ShapeError(
                    f"gradient of shape {gradient.shape} for a Tensor of shape {self.shape}."
                )
            if not create_graph and isinstance(gradient, Variable):
                gradient = gradient._data
        SEEN.set(set())
        if create_graph:
            with enable_grad(), differentiating(None):
                walk(node, gradient, self._deliver_recorded, retain=True, wrap=self._make)
        else:
            walk(node, gradient, retain=retain_graph)

    def zero_grad(self) -> None:
        """Empty ``grad`` (it reads None); its memory is kept for the next backward pass."""
        if self._node is not None and self._node.sink is not None:
            self._node.sink.clear()

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate result in ``grad`` at the next `backward`.

        Where leaves add up over several passes, an intermediate result shows the latest.
        """
        self._own_sink("retain_grad").retain = True

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Call `hook` with the gradient of this Tensor whenever `backward` has computed it.

        Parameters
        ----------
        hook : callable
            Takes the gradient (an array; do not change it in place). What it returns, unless
            None, takes the gradient's place from there on, and must have its shape.

        Returns
        -------
        callable
            Call it without arguments to remove the hook.

        Examples
        --------
        >>> import gradlite as gl
        >>> x = gl.Tensor(3.0, requires_grad=True)
        >>> remove = x.register_hook(lambda g: g.clip(-1, 1))
        >>> (x * x).backward()
        >>> x.grad
        array(1.)
        """
        hooks = self._own_sink("register_hook", retain=False).hooks
        key = serial()
        hooks[key] = hook
        return lambda: hooks.pop(key, None) and None

    def _deliver_recorded(self, leaf: Node, g: Any) -> None:
        if leaf.sink is not None:
            g = g if isinstance(g, Variable) else self._make(g, None)
            leaf.sink.add_recorded(g if g.dtype == leaf.sink.dtype else g.astype(leaf.sink.dtype))

    def _own_sink(self, wanted_by: str, retain: bool = True) -> Sink:
        if self._node is None:
            raise GraphError(f"{wanted_by} needs a Tensor that requires a gradient.")
        if self._node.sink is None:
            self._node.sink = Sink(self.dtype, retain=retain)
        return self._node.sink


def holds_traced(data: Any) -> bool:
    """Tell whether something is, or has inside, a Tensor."""
    if isinstance(data, (list, tuple)):
        return any(map(holds_traced, data))
    return isinstance(data, Traced)


def assemble(data: Any) -> Any:
    """Put nested lists of Tensors, Values and numbers together on the tape."""
    inside = list(_leaves(data))
    value = next((x for x in inside if isinstance(x, Traced) and not isinstance(x, Variable)), None)
    if value is not None and not any(isinstance(x, (Variable, np.ndarray)) for x in inside):
        return value._join(np.array(data, dtype=object))
    if isinstance(data, (list, tuple)):
        return np.stack([assemble(part) for part in data])
    if isinstance(data, Traced):
        return np.copy(data)  # type: ignore[call-overload]  # a Tensor, by NumPy's dispatch
    return np.asarray(data)


def _leaves(data: Any) -> Iterator[Any]:
    """Give what is inside nested lists."""
    if isinstance(data, (list, tuple)):
        for part in data:
            yield from _leaves(part)
    else:
        yield data


def as_data(data: Any, dtype: Any, copy: bool) -> np.ndarray:
    """Make the array of a new Tensor, of real numbers."""
    if isinstance(data, np.ma.MaskedArray):
        raise DtypeError("A masked array would lose its mask here: fill it first, or use np.where.")
    try:
        array = np.array(data, dtype=dtype, copy=True if copy else None)
    except ValueError as error:
        kind = ShapeError if "inhomogeneous" in str(error) else DtypeError
        raise kind(f"No array can be made of this data: {error}") from None
    if array.dtype.kind not in "fiub":
        raise DtypeError(
            f"A Tensor holds real numbers, not {array.dtype} data such as "
            f"{array.flat[0] if array.size else data!r}."
        )
    return array
