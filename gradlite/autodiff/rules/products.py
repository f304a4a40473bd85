"""Rules of the products of vectors, matrices and stacks of them.

A matrix is the last two axes; all others are a stack. Products that can be expressed by others are
written in terms of those.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.define import decomposition, defvjp, primitive
from gradlite.autodiff.operands import plain_array
from gradlite.errors import ShapeError


def T(x: Any) -> Any:
    """Transpose matrices: exchange the last two axes."""
    return x.swapaxes(-1, -2)


def row(x: Any) -> Any:
    """Return vectors as matrices of one row."""
    return np.expand_dims(x, -2)


def column(x: Any) -> Any:
    """Return vectors as matrices of one column."""
    return np.expand_dims(x, -1)


# -- products of matrices and vectors ---------------------------------------------------------


def flat(x: Any) -> Any:
    """Return the rows of a stack of matrices as one matrix."""
    return x if x.ndim == 2 else np.reshape(x, (prod(x.shape[:-1]), x.shape[-1]))


def matmul_vjp_x(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """Return the cotangent of the left factor."""
    if y.ndim == 1:
        return g * y if x.ndim == 1 else column(g) * y
    if x.ndim == 1:
        return np.squeeze(y @ column(g), -1)
    return g @ T(y)


def matmul_vjp_y(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """Return the cotangent of the right factor."""
    if x.ndim == 1:
        return g * x if y.ndim == 1 else column(x) * row(g)
    if y.ndim == 1:
        return np.reshape(g, (prod(g.shape),)) @ flat(x)
    if y.ndim == 2 < x.ndim:  # one matrix for the whole stack: one product, not a stack to sum
        return T(flat(x)) @ flat(g)
    return T(x) @ g


defvjp(np.matmul, matmul_vjp_x, matmul_vjp_y)


@decomposition(np.linalg.matmul)
def _matmul(x1: Any, x2: Any) -> Any:
    return np.matmul(x1, x2)


@decomposition(np.dot)
def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    if np.ndim(b) <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, (-1, -2))


@decomposition(np.inner)
def _inner(a: Any, b: Any) -> Any:
    return a * b if np.ndim(a) == 0 or np.ndim(b) == 0 else np.tensordot(a, b, (-1, -1))


@decomposition(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return np.matmul(np.ravel(a), np.ravel(b))


@decomposition(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return column(np.ravel(a)) * np.ravel(b)


@decomposition(np.linalg.outer)
def _vector_outer(x1: Any, x2: Any) -> Any:
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ShapeError(
            f"np.linalg.outer takes two vectors, not shapes {np.shape(x1)} and {np.shape(x2)}."
        )
    return np.outer(x1, x2)


@primitive
def vecdot(x: Any, y: Any) -> Any:
    """Multiply vectors along the last axis and sum."""
    return np.vecdot(x, y)


defvjp(
    vecdot,
    lambda g, ans, x, y: column(g) * y,
    lambda g, ans, x, y: column(g) * x,
    name="np.vecdot",
)


@decomposition(np.vecdot, np.linalg.vecdot)
def _vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    x1, x2 = plain_array(x1, "np.vecdot of"), plain_array(x2, "np.vecdot of")
    return vecdot(np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1))


if hasattr(np, "matvec"):  # NumPy 2.2

    @decomposition(np.matvec)
    def _matvec(x1: Any, x2: Any) -> Any:
        return np.squeeze(np.matmul(x1, column(x2)), -1)

    @decomposition(np.vecmat)
    def _vecmat(x1: Any, x2: Any) -> Any:
        return np.squeeze(np.matmul(row(x1), x2), -2)


@decomposition(np.kron)
def _kron(a: Any, b: Any) -> Any:
    # Each axis of the result is a pair of axes, one of a and one of b, put together.
    ndim = max(np.ndim(a), np.ndim(b))
    rows, columns = ((1,) * (ndim - np.ndim(x)) + np.shape(x) for x in (a, b))
    coarse = np.reshape(a, [n for m in rows for n in (m, 1)])
    fine = np.reshape(b, [n for m in columns for n in (1, m)])
    return np.reshape(coarse * fine, [n * m for n, m in zip(rows, columns, strict=True)])


@primitive
def cross(x: Any, y: Any) -> Any:
    """Return the cross product of vectors of three components in the last axis."""
    return np.cross(x, y)


defvjp(cross, lambda g, ans, x, y: cross(y, g), lambda g, ans, x, y: cross(g, x), name="np.cross")


@decomposition(np.cross)
def _cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = plain_array(a, "np.cross of"), plain_array(b, "np.cross of")
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ShapeError(
            f"np.cross on a Tensor takes vectors of 3 components, not of {a.shape[-1]} and "
            f"{b.shape[-1]}."
        )
    return np.moveaxis(cross(a, b), -1, axisc)


@decomposition(np.linalg.cross)
def _linalg_cross(x1: Any, x2: Any, *, axis: int = -1) -> Any:
    return np.cross(x1, x2, axis=axis)
