"""The array interface of a Tensor: indexing, shapes, and conversions.

A conversion that would lose a gradient silently is an error that says what to write instead.
"""

from __future__ import annotations

import copy
import operator
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from gradlite.autodiff.modes import is_differentiated
from gradlite.autodiff.operands import as_plain, is_array_like
from gradlite.autodiff.rule import Traced, to_data
from gradlite.autodiff.rules import elementwise, indexing, shape
from gradlite.coming_from_pytorch import meant_by
from gradlite.errors import DetachError, DtypeError, ShapeError

SCIPY_PRODUCTS = ("_matmul_dispatch", "_rmatmul_dispatch")  # of scipy.sparse


class ArrayInterface(Traced):
    """Indices, shapes and conversions of `Tensor`."""

    __slots__ = ()

    def __len__(self: Any) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d Tensor")
        return int(self.shape[0])

    def __iter__(self: Any) -> Iterator[Any]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d Tensor")
        return iter(shape.unstack(self))

    def __getitem__(self: Any, index: Any) -> Any:
        return indexing.getitem(self, index=indexing.as_index(index))

    def __setitem__(self: Any, index: Any, value: Any) -> None:
        raise TypeError(
            "Assigning to entries of a Tensor cannot be recorded. Build the result with np.where "
            "or np.concatenate, or write to t.data where no gradient should flow. (Augmented "
            "assignment to part of a Tensor, t[i] += x, is such an assignment too.)"
        )

    @property
    def T(self: Any) -> Any:
        """The axes in reverse order."""
        return self.transpose()

    @property
    def mT(self: Any) -> Any:
        """The last two axes exchanged."""
        return self.swapaxes(-1, -2)

    def reshape(self: Any, *shape: Any, order: Any = "C") -> Any:
        """Return the elements in another shape: ``t.reshape(2, 3)`` or ``t.reshape((2, 3))``."""
        new_shape = shape[0] if len(shape) == 1 else shape
        return self.__array_function__(np.reshape, (), (self, new_shape), {"order": order})

    def flatten(self: Any, *axes: Any) -> Any:
        """Return all elements along one axis, a copy."""
        if axes:
            raise TypeError(f"flatten() takes no axes, as NumPy's. {meant_by('b.flatten(1)')}")
        return self.ravel().copy()

    def transpose(self: Any, *axes: Any) -> Any:
        """Permute the axes; without arguments, reverse them."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        if len(axes) == 2 and self.ndim != 2:
            raise ShapeError(
                f"transpose({axes[0]}, {axes[1]}) of a Tensor of shape {self.shape}: transpose "
                f"permutes all axes, as NumPy's. {meant_by('b.transpose(0, 1)')}"
            )
        return self.__array_function__(np.transpose, (), (self, order), {})

    def astype(self: Any, dtype: Any) -> Any:
        """Convert to another type; a gradient comes back in this Tensor's own.

        Integers and booleans have no gradient: converted to those, the result is off the tape.
        """
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            return self._make(self._data.astype(dtype), None)
        return elementwise.astype(self, dtype=dtype, source=self.dtype)

    # -- conversions ----------------------------------------------------------------------

    def _stay_on_tape(self: Any, way: str) -> None:
        """Raise DetachError if a derivative that is being computed depends on this Tensor."""
        if is_differentiated(self._node):
            raise DetachError(
                f"{way} of a Tensor in a function that is being differentiated would lose its "
                f"gradient: the result is a plain number. Write t.detach() (or t.data) if that is "
                f"meant. Otherwise use NumPy's functions (np.exp in place of math.exp), and put "
                f"results together with np.stack or gl.Tensor([...]) in place of a[i] = t."
            )

    def item(self: Any) -> Any:
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

    def _number(self: Any, way: str) -> Any:
        if self.size != 1:
            raise ShapeError(
                f"A Tensor of shape {self.shape} is not one number; index it, or use tolist()."
            )
        self._stay_on_tape(way)
        return self._data.item()

    def tolist(self: Any) -> Any:
        """Return the data as nested lists of Python numbers; see `item`."""
        self._stay_on_tape("tolist()")
        return self._data.tolist()

    def numpy(self: Any) -> np.ndarray:
        """Return the data as an array that shares memory with this Tensor.

        Raises
        ------
        DetachError
            If this Tensor requires a gradient: write ``t.detach().numpy()`` (or ``t.data``).
        """
        array: np.ndarray = self.__array__()
        return array

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._node is not None:
            caller = sys._getframe(1)
            if caller.f_code.co_name in SCIPY_PRODUCTS:
                # scipy does not take an array of one object for an array, and leaves
                # sparse @ tensor to __rmatmul__.
                this = np.empty((), object)
                this[()] = self
                return this
            raise DetachError.to_array(caller)
        return np.array(self._data, dtype=dtype, copy=copy)

    __pandas_priority__ = 5000  # pandas' objects leave operators to us

    @property
    def _mask(self: Any) -> Any:
        # np.ma reads the `_data` and `_mask` of the other operand of a masked array.
        raise DtypeError(
            "In an operation of a masked array and a Tensor, the derivative would ignore the mask: "
            "use m.filled(0) and a weight of 0, or np.where."
        )

    def __contains__(self: Any, value: Any) -> bool:
        return bool(np.any(self._data == to_data(value)))

    def __bool__(self: Any) -> bool:
        if self.size != 1:
            raise ValueError(
                f"The truth value of a Tensor of shape {self.shape} is ambiguous: use "
                f".any() or .all()."
            )
        return bool(self._data)

    def __float__(self: Any) -> float:
        return float(self._number("float()"))

    def __int__(self: Any) -> int:
        return int(self._number("int()"))

    def __index__(self: Any) -> int:
        return operator.index(self.data)

    def __format__(self: Any, spec: str) -> str:
        if not spec:
            return str(self)
        return format(self._data.item() if self.size == 1 else self.item(), spec)

    def __repr__(self: Any) -> str:
        text = np.array2string(self.data, separator=", ", prefix="Tensor(")
        text += f", shape={self.shape}, dtype={self.dtype}"
        if self._node is not None:
            rule = self._node.rule
            text += f", fn={rule.name}" if rule else ", requires_grad=True"
        return f"Tensor({text})"

    def _repr_html_(self: Any) -> str:
        from gradlite.autodiff.notebook import array_html

        facts = [f"shape {self.shape}", str(self.dtype)]
        if self._node is not None:
            rule = self._node.rule
            facts += ["requires_grad", *([f"result of {rule.name}"] if rule else [])]
        grad = to_data(self._grad)
        return array_html(type(self).__name__, self.data, facts, grad)

    def __copy__(self: Any) -> Any:
        # If a derivative that is being computed depends on this Tensor, the copy is on the tape.
        if is_differentiated(self._node):
            return +self
        return _rebuild(type(self), self.__getstate__())

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        if is_differentiated(self._node):
            return +self
        return _rebuild(type(self), copy.deepcopy(self.__getstate__(), memo))

    def __getstate__(self: Any) -> dict[str, Any]:
        # Without the graph, which may be deep and whose arrays belong to this process. It is a
        # plain dict, so skops can write it, too.
        self._stay_on_tape("pickle")
        return {"data": self.data, "requires_grad": self.requires_grad, "grad": self._grad}

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        self._data, self._node = state["data"], None
        self.requires_grad = state["requires_grad"]
        if state["grad"] is not None:
            self.grad = state["grad"]


def _rebuild(kind: type[Any], state: dict[str, Any]) -> Any:
    tensor = object.__new__(kind)
    tensor.__setstate__(state)
    return tensor


def as_data(data: Any, dtype: Any, copy: bool) -> np.ndarray:
    """Return the array of real numbers for a new Tensor."""
    if is_array_like(data):
        symbol: np.ndarray = data.astype(data.dtype if dtype is None else dtype)
        return symbol
    data = as_plain(data, "A Tensor of")
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
