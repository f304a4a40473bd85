"""The linear layer as one node: a product, and a bias added in the product's own memory.

Gradients of weights are products of two matrices, written where possible straight into the buffer
of the leaf.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.operands import as_array
from gradlite.autodiff.rules.products import flat
from gradlite.errors import ShapeError

# -- the linear layer -------------------------------------------------------------------------


@primitive
def affine(x: Any, W: Any, b: Any = None) -> Any:
    """Compute ``x @ W + b``: the linear layer, as one node.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        The inputs, a row each.
    W : array_like or Tensor, shape (n, m)
        The weights.
    b : array_like or Tensor, shape (m,), optional
        The bias.

    Returns
    -------
    array or Tensor, shape (..., m)

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.affine(np.ones((2, 3)), np.ones((3, 1)), np.array([0.5]))
    array([[3.5],
           [3.5]])
    """
    x, W = as_array(x), as_array(W)
    if W.ndim != 2 or x.ndim == 0 or x.shape[-1] != len(W):
        raise ShapeError(f"affine: x of shape {x.shape} does not fit W of shape {W.shape}.")
    if b is not None and (b := as_array(b)).shape != W.shape[1:]:
        raise ShapeError(f"affine: b of shape {b.shape} does not fit W of shape {W.shape}.")
    return dense(x, W, b)


@primitive
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Compute ``x @ weight.T + bias``: `affine` with a weight as PyTorch stores it.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        The inputs, a row each.
    weight : array_like or Tensor, shape (m, n)
        The weights, a row for each output.
    bias : array_like or Tensor, shape (m,), optional
        The bias.

    Returns
    -------
    array or Tensor, shape (..., m)

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.ones((2, 3)), np.ones((1, 3)), np.array([0.5]))
    array([[3.5],
           [3.5]])
    """
    x, weight = as_array(x), as_array(weight)
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: x of shape {x.shape} does not fit a weight of shape {weight.shape}."
        )
    if bias is not None and (bias := as_array(bias)).shape != weight.shape[:1]:
        raise ShapeError(
            f"linear: a bias of shape {bias.shape} does not fit a weight of shape {weight.shape}."
        )
    return dense(x, weight.T, bias)


def dense(x: Any, W: Any, b: Any) -> Any:
    """Compute ``x @ W + b`` of arrays that fit, all rows in one product."""
    rows = np.dot(x if x.ndim <= 2 else flat(x), W)
    if b is not None and rows.dtype == b.dtype:
        rows += b
    elif b is not None:
        rows = rows + b
    return rows if x.ndim <= 2 else rows.reshape(*x.shape[:-1], W.shape[1])


def rows_dot(g: Any, W: Any) -> Any:
    """Multiply all rows by a matrix; `np.dot` of a stack would take them one by one."""
    if g.ndim <= 2:
        return np.dot(g, W)
    return np.reshape(np.dot(flat(g), W), (*g.shape[:-1], W.shape[1]))


def ones(n: int, dtype: Any) -> Any:
    """Return a vector of ones: a product with it is the fastest sum along an axis."""
    return remembered_ones(n, dtype) if n <= 65536 else np.ones(n, dtype)


@lru_cache(maxsize=32)
def remembered_ones(n: int, dtype: Any) -> Any:
    """Make a vector of ones, read-only as it is shared."""
    vector = np.ones(n, dtype)
    vector.flags.writeable = False
    return vector


def product(x: Any, y: Any, out: Any) -> Any:
    """Multiply two matrices, if possible into the buffer of a gradient."""
    if out is not None:
        try:
            return np.dot(x, y, out)
        except ValueError:  # another type, or not contiguous
            pass
    return np.dot(x, y)


def row_sum(g: Any, out: Any) -> Any:
    """Sum all rows: the gradient of a bias."""
    g = flat(g)
    return product(ones(len(g), g.dtype), g, out)


defvjp(
    affine,
    lambda g, ans, x, W, b: rows_dot(g, W.T),
    lambda g, ans, x, W, b, out=None: product(flat(x).T, flat(g), out),
    lambda g, ans, x, W, b, out=None: row_sum(g, out),
)
defvjp(
    linear,
    lambda g, ans, x, weight, bias: rows_dot(g, weight),
    lambda g, ans, x, weight, bias, out=None: product(flat(g).T, flat(x), out),
    lambda g, ans, x, weight, bias, out=None: row_sum(g, out),
)
