"""Tensor: a NumPy array that remembers how it was made.

Here is what a Tensor holds: its data, its gradient, and the node that leads back to its inputs. Its
operators, ``__mul__`` and the others, are generated in operations.py and set in methods.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gradlite.autodiff.array_interface import ArrayInterface, as_data
from gradlite.autodiff.modes import differentiating, enable_grad, is_differentiated
from gradlite.autodiff.node import GradAccumulator, Node, serial
from gradlite.autodiff.operands import as_array, as_real
from gradlite.autodiff.rule import Traced
from gradlite.autodiff.tape import walk
from gradlite.autodiff.writes import mark_written
from gradlite.coming_from_pytorch import PyTorchSpellings
from gradlite.errors import DetachError, DtypeError, GraphError, ShapeError, user_stacklevel

new = object.__new__
Operation = Callable[..., Any]


class Tensor(ArrayInterface, PyTorchSpellings):
    """A NumPy array with a gradient.

    Parameters
    ----------
    data : array_like or Tensor
        Numbers, nested lists of them, an array, or Tensors (alone or in lists: these stay on
        the tape).
    requires_grad : bool, default False
        Whether gradients with respect to this Tensor are wanted. Only floating-point data can.
    dtype : dtype, optional
        The type of the data; by default that of `data`, so Python floats give float64.
    copy : bool, default True
        False shares memory with an array given as `data`.

    Raises
    ------
    DtypeError
        If `data` does not consist of numbers, or a gradient is asked of integers or booleans.

    Notes
    -----
    The operators, NumPy's functions and the methods all record. Do not change ``data`` in place
    between an operation and its backward pass: rules read the arrays as they are then (`debug`
    finds such changes).

    These methods do what NumPy's functions of the same names do: `sum mean prod var std max min
    cumsum cumprod trace diagonal ravel swapaxes squeeze repeat take clip round dot copy argmax
    argmin argsort searchsorted nonzero any all exp log sqrt abs sin cos tanh`; and these what
    gradlite's do: `relu sigmoid`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> x = gl.Tensor([0.0, 1.0, 2.0], requires_grad=True)
    >>> y = (np.sin(x) * x).sum()
    >>> y.backward()
    >>> np.allclose(x.grad, np.cos(x.data) * x.data + np.sin(x.data))
    True
    """

    __slots__ = ("__weakref__", "_data", "_frozen", "_node")

    _data: Any  # an array, or the NumPy scalar that NumPy returned for a 0-d result
    _node: Node | None  # how it was computed; None if it does not require a gradient
    _frozen: Node | None  # the node of a leaf that required one before; unset for most Tensors

    # Set in methods.py.
    __array_ufunc__: Operation
    __array_function__: Operation
    __add__: Operation
    __radd__: Operation
    __sub__: Operation
    __rsub__: Operation
    __mul__: Operation
    __rmul__: Operation
    __truediv__: Operation
    __rtruediv__: Operation
    __pow__: Operation
    __rpow__: Operation
    __matmul__: Operation
    __rmatmul__: Operation
    __neg__: Operation
    __pos__: Operation
    __abs__: Operation
    __lt__: Operation
    __le__: Operation
    __gt__: Operation
    __ge__: Operation
    sum: Operation
    mean: Operation
    max: Operation
    ravel: Operation
    swapaxes: Operation
    copy: Operation

    __hash__ = object.__hash__

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        dtype: Any = None,
        copy: bool = True,
    ) -> None:
        if holds_traced(data):
            made = assemble(data)
            if isinstance(data, Traced):
                made = np.copy(made)
            if dtype is not None:
                made = made.astype(dtype)
            self._data, self._node = made._data, made._node
        else:
            self._data, self._node = as_data(data, dtype, copy), None
        if requires_grad:
            self.requires_grad = True

    @staticmethod
    def _make(data: Any, node: Node | None) -> Tensor:
        tensor = new(Tensor)
        tensor._data = data
        tensor._node = node
        return tensor

    def detach(self) -> Tensor:
        """Return a Tensor of the same data that is not on the tape."""
        return _make(self._data, None)

    @property
    def data(self) -> np.ndarray:
        """The values, an array. Writing to it is not recorded."""
        if type(self._data) is not np.ndarray:
            self._data = as_array(self._data)
        data: np.ndarray = self._data
        return data

    @data.setter
    def data(self, value: Any) -> None:
        if value is self._data:  # p.data -= step ends here, its work done in place
            mark_written(value)
            return
        value = as_real(value, self._data.dtype, "data is")
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
        `retain_grad` was called. Parameters of an optimiser reuse the array: after `zero_grad`,
        the next `backward` writes to it, so copy what you want to keep.
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
            sink.add(np.broadcast_to(as_real(value, self.dtype, "The gradient is"), self.shape))

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Tensor. Can be set on a leaf; its ``grad`` is kept."""
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
            self._node = getattr(self, "_frozen", None) or Node(None, (), (), data, data.shape)
            self._node.ans, self._node.sink = data, self._node.sink or GradAccumulator(data.dtype)
        elif not wanted and self._node is not None:
            if not self.is_leaf:
                raise GraphError("requires_grad can be switched off on leaves: detach() results.")
            self._frozen, self._node = self._node, None

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
            The cotangent to start from, of this Tensor's shape. Optional for a Tensor of one
            element.
        retain_graph : bool, default False
            Keep the graph for another backward pass. By default its arrays are freed.
        create_graph : bool, default False
            Record the pass itself: ``grad`` is then a Tensor that can be differentiated again.
            Implies `retain_graph`.

        Raises
        ------
        GraphError
            If nothing here requires a gradient, or the graph was freed already.
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
        if not create_graph and is_differentiated(node):
            raise DetachError(
                "backward() in a function that is being differentiated gives gradients off the "
                "tape: pass create_graph=True, or call gl.grad inside. Write t.detach().backward() "
                "if a constant is meant."
            )
        if gradient is None:
            if self.size != 1:
                raise ShapeError(
                    f"backward() of a Tensor of shape {self.shape} needs gradient= of that "
                    f"shape. For the gradient of one number, reduce first: .sum() or .mean()."
                )
            gradient = np.ones_like(self._data) if self.ndim else self.dtype.type(1)
        else:
            if not isinstance(gradient, Tensor):
                gradient = as_real(gradient, self.dtype, "The gradient is")
            if gradient.shape != self.shape:
                raise ShapeError(
                    f"gradient of shape {gradient.shape} for a Tensor of shape {self.shape}."
                )
            if not create_graph and isinstance(gradient, Tensor):
                gradient = gradient._data
        if create_graph:
            with enable_grad(), differentiating(None):
                walk(node, gradient, self._deliver_recorded, retain=True, wrap=self._make)
        else:
            walk(node, gradient, retain=retain_graph)

    def zero_grad(self) -> None:
        """Empty ``grad``: it is None then. If nobody holds the array, the next pass reuses it."""
        node = self._node or getattr(self, "_frozen", None)
        if node is not None and node.sink is not None:
            node.sink.clear()

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
            g = g if isinstance(g, Tensor) else self._make(g, None)
            leaf.sink.add_recorded(g if g.dtype == leaf.sink.dtype else g.astype(leaf.sink.dtype))

    def _own_sink(self, wanted_by: str, retain: bool = True) -> GradAccumulator:
        if self._node is None:
            raise GraphError(f"{wanted_by} needs a Tensor that requires a gradient.")
        if self._node.sink is None:
            self._node.sink = GradAccumulator(self.dtype, retain=retain)
        return self._node.sink


_make = Tensor._make


def holds_traced(data: Any) -> bool:
    """Return whether `data` is a Tensor, or nested lists that contain one."""
    if isinstance(data, (list, tuple)):
        return any(map(holds_traced, data))
    return isinstance(data, Traced)


def assemble(data: Any) -> Any:
    """Stack nested lists of Tensors and numbers into one Tensor, on the tape."""
    if isinstance(data, (list, tuple)):
        return np.stack([assemble(part) for part in data])
    if isinstance(data, Traced):
        return _make(data._data, data._node)
    return as_data(data, None, copy=False)
