"""Cotangents: what a rule returns, summed to the shape of its argument."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.node import Node, Shape
from gradlite.autodiff.operands import as_numbers, as_plain, is_array_like
from gradlite.autodiff.rule import Traced
from gradlite.errors import DtypeError, ShapeError


def sum_to_shape(g: Any, shape: Shape) -> Any:
    """Sum a cotangent over the axes along which an argument of `shape` was broadcast.

    The sum is the adjoint of broadcasting: an entry that was used many times collects the
    contributions of all uses.

    Examples
    --------
    >>> import numpy as np
    >>> sum_to_shape(np.ones((4, 3)), (3,))
    array([4., 4., 4.])
    >>> sum_to_shape(np.ones((4, 3)), (4, 1)).shape
    (4, 1)
    """
    extra = len(g.shape) - len(shape)
    if extra < 0:
        raise ShapeError(f"a cotangent of shape {g.shape} for an argument of shape {shape}")
    padded = (1,) * extra + shape
    axes = tuple(i for i, (n, m) in enumerate(zip(g.shape, padded, strict=True)) if n != m)
    if any(padded[i] != 1 for i in axes):
        raise ShapeError(f"a cotangent of shape {g.shape} for an argument of shape {shape}")
    if axes != tuple(range(extra)):
        g = np.sum(g, axis=axes, keepdims=True)
        return np.reshape(g, shape) if extra else g
    return np.sum(g, axis=axes)


class OutputCotangents:
    """The cotangents of an operation with several results; those that are absent are zero."""

    __slots__ = ("parts", "shape")

    def __init__(self, shape: tuple[Shape, ...], parts: dict[int, Any]) -> None:
        self.shape = shape
        self.parts = parts

    def __add__(self, other: OutputCotangents) -> OutputCotangents:
        # In place: only the walk holds one, and it drops the old sum for the new one.
        for i, g in other.parts.items():
            self.parts[i] = self.parts[i] + g if i in self.parts else g
        return self

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, i: int) -> Any:
        i = range(len(self.shape))[i]
        if i in self.parts:
            return self.parts[i]
        return np.zeros(self.shape[i], np.result_type(*(g.dtype for g in self.parts.values())))


def checked_cotangent(c: Any, node: Node, i: int) -> Any:
    """Return a rule's result for argument `i` as real numbers; raise DtypeError if it is not."""
    if isinstance(c, (Traced, OutputCotangents)):
        return c
    if isinstance(c, (float, int)):
        return np.float64(c)
    rule: Any = node.rule
    what = f"The derivative rule of {rule.name} for argument {i} returned"
    if isinstance(c, (list, tuple)) and c:
        parts = [checked_cotangent(part, node, i) for part in c]
        if len({part.shape for part in parts}) > 1:
            raise ShapeError(f"{what} a list of parts that differ in shape.")
        return np.stack(parts)
    if isinstance(c, (np.ndarray, np.generic)) or is_array_like(c):
        if c.dtype.kind == "c":
            raise DtypeError(
                f"{what} complex numbers. Gradients are real numbers here: return np.real(...) of "
                f"what is real."
            )
        return as_plain(as_numbers(c, what), what)
    parents: Any = node.parents
    raise DtypeError(
        f"{what} {'None' if c is None else type(c).__name__}, not an array of shape "
        f"{parents[i].shape}."
        f"{' Where there is no derivative, write None in place of the rule.' if c is None else ''}"
    )


def to_argument(c: Any, node: Node, i: int) -> Any:
    """Return the cotangent `c` of argument `i` in its shape; raise ShapeError if it has another."""
    rule: Any = node.rule
    parents: Any = node.parents
    shape = parents[i].shape
    outputs: Any = node.shape if rule.multiple_outputs else (node.shape,)
    try:
        # A cotangent has no more axes than the output and the arguments; that of a single number
        # is a number, or has the shape of the output.
        axes_fit = len(c.shape) <= max(*map(len, outputs), *map(np.ndim, node.args))
        if axes_fit and (shape or c.shape in ((), *outputs)):
            return sum_to_shape(c, shape)
    except ShapeError:
        pass
    raise ShapeError(
        f"The derivative rule of {rule.name} returned a cotangent of shape "
        f"{c.shape} for argument {i}, which has shape {shape}."
    )


def zero_masked(g: Any, c: Any) -> Any:
    """Replace products of a zero cotangent and an infinite derivative by zero.

    ``np.where(x > 0, np.log(x), 0)`` sends zeros to the branch not taken, where log'(0) is
    infinite: 0 * inf is NaN in floating point and 0 here. Only entries that are not finite
    change, so second derivatives through an accidental zero stay right.
    """
    if g.shape != c.shape:
        return c
    if not isinstance(c, Traced):
        total = np.vdot(c, c)
        if total - total == 0:  # finite: the usual case, found in one fast pass
            return c
    return np.where((g == 0) & ~np.isfinite(c), 0, c)
