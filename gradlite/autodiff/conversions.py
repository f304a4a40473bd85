"""Conversions: how a Tensor becomes a plain number, an array, text, or a copy.

What would lose a gradient silently is an error that says what to write instead.
"""

from __future__ import annotations

import copy
import operator
import sys
from typing import Any

import numpy as np

from gradlite.autodiff.modes import is_differentiated
from gradlite.autodiff.rule import Traced, to_data
from gradlite.errors import DetachError, DtypeError, ShapeError

SCIPY_PRODUCTS = ("_matmul_dispatch", "_rmatmul_dispatch")  # of scipy.sparse


class Conversions(Traced):
    """The part of `Tensor` that leaves the tape."""

    __slots__ = ()

    def _stay_on_tape(self: Any, way: str) -> None:
        """Raise DetachError if a derivative that is being computed depends on this Tensor."""
        if is_differentiated(self._node):
            raise DetachError(
                f"{way} of a Tensor in a function that is being differentiated would lose its "
                f"gradient: the result is a plain number. Say t.detach() (or t.data) if that is "
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
        """Give the data as an array that shares memory with this Tensor.

        Raises
        ------
        DetachError
            If this Tensor requires a gradient: say ``t.detach().numpy()`` (or ``t.data``).
        """
        array: np.ndarray = self.__array__()
        return array

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._node is not None:
            caller = sys._getframe(1)
            if caller.f_code.co_name in SCIPY_PRODUCTS:
                # To scipy, an array of this one object is "no array": it leaves sparse @ tensor
                # to __rmatmul__.
                this = np.empty((), object)
                this[()] = self
                return this
            raise DetachError.to_array(caller)
        return np.array(self._data, dtype=dtype, copy=copy)

    __pandas_priority__ = 5000  # pandas' objects leave operators to us

    @property
    def _mask(self: Any) -> Any:
        # np.ma reads the `_data` and `_mask` of what stands beside a masked array.
        raise DtypeError(
            "A masked array beside a Tensor would hide its mask from the derivative: use "
            "m.filled(0) and a weight of 0, or np.where."
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
        # What a derivative that is being computed depends on stays on the tape.
        if is_differentiated(self._node):
            return +self
        return _rebuild(type(self), self.__getstate__())

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        if is_differentiated(self._node):
            return +self
        return _rebuild(type(self), copy.deepcopy(self.__getstate__(), memo))

    def __getstate__(self: Any) -> dict[str, Any]:
        # Without the graph: it may be deep, and its arrays belong to this process. A plain dict,
        # which skops can write, too.
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
