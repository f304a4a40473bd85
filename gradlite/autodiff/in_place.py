"""Augmented assignment: ``t += u`` changes the Tensor itself, as it changes an array.

If nothing is recorded, the memory is written to. Otherwise the object becomes the result, and the
arrays saved for derivatives do not change.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import numpy as np

from gradlite.autodiff.modes import current_mode, is_variable
from gradlite.autodiff.operands import as_plain
from gradlite.autodiff.rule import RULES, Traced
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.writes import mark_written
from gradlite.errors import DetachError, DtypeError, GraphError, ShapeError

Operation = Callable[..., Any]


def generate(operation: Operation, ufunc: Any, as_operand: Operation) -> Operation:
    """Return the augmented assignment for an operation that is a ufunc on arrays."""
    name = operation.__qualname__

    def change(self: Tensor, other: Any) -> Tensor:
        node = self._node
        if not current_mode().record:
            operand = other._data if isinstance(other, Traced) else as_operand(other, RULES[ufunc])
            ufunc(self.data, operand, out=self.data)
            mark_written(self.data)
            return self
        if node is not None and node.rule is None and not is_variable(node):
            raise GraphError(
                f"In-place {name} on a leaf that requires a gradient cannot be "
                f"recorded. To update it, do so under gl.no_grad(); to compute with it, write "
                f"y = x + ... in place of x += ..."
            )
        result = _fitting(operation(self, other), self, name)
        self._data, self._node = result._data, result._node
        if (
            node is not None
            and node.sink is not None
            and node.sink.retain
            and not is_variable(node)
        ):
            self.retain_grad()
        return self

    change.__qualname__ = name
    return change


def _fitting(result: Tensor, target: Any, name: str) -> Any:
    """Return the result of an augmented assignment in the dtype of `target`, if it fits there."""
    if result.shape != target.shape:
        raise ShapeError(
            f"In-place {name}: the result of shape {result.shape} does not fit into "
            f"shape {target.shape}."
        )
    if result.dtype == target.dtype:
        return result
    if not np.can_cast(result.dtype, target.dtype, "same_kind"):
        raise DtypeError(
            f"In-place {name}: a {result.dtype} result does not fit into {target.dtype} data."
        )
    return result.astype(target.dtype)


def of_array(
    operation: Operation | None, references: int, caller: FrameType, array: Any, tensor: Any
) -> Any:
    """Compute ``array += tensor``, after which the name on the left refers to a Tensor.

    This is equivalent to NumPy's in-place operation only if no other name refers to the array,
    which has `references` references, and if the `caller` assigns the result, unlike in a call of
    ``operator.iadd``.
    """
    name = operation.__qualname__ if operation is not None else "operation"
    as_plain(array, f"In-place {name} of a Tensor and")
    alone = references <= ALONE[name == "np.matmul"] and array.base is None
    if operation is None or not alone or not _is_assignment(caller.f_code, caller.f_lasti):
        raise DetachError(
            f"In-place {name} of a Tensor to an array that other names, or views, refer to: they "
            f"would not see the result, which is a Tensor. Write a = a + t in place of a += t, or "
            f"start with a Tensor: a = gl.Tensor(np.zeros(n))."
        )
    return _fitting(operation(array, tensor), array, name)


@functools.lru_cache
def _is_assignment(code: CodeType, position: int) -> bool:
    """Return whether the instruction at `position` is an augmented assignment, such as ``+=``."""
    steps = dis.get_instructions(code)
    return any(step.offset == position and step.argrepr.endswith("=") for step in steps)


def _references() -> tuple[int, int]:
    """Count the references to an array in ``array += x``, and in @=, if it has one name."""

    class Probe:
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
            out = kwargs.get("out")
            return sys.getrefcount(inputs[0]) if out is not None else 0

    array: Any = np.zeros(1)
    factor: Any = np.zeros(1)
    array += Probe()
    factor @= Probe()
    return int(array), int(factor)


ALONE = _references()
"""The number of references to an array with one name, as counted in ``array += tensor``."""
