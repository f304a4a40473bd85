"""Rules of the reductions: sums, products, extremes and norms.

A reduction takes `axis` (None for all, an int, or a tuple) and `keepdims`; its rule first puts
the reduced axes of the cotangent back with length one (`restore_axes`), then broadcasting does the
rest.
"""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from gradlite.autodiff.define import decomposition, defvjp, primitive
from gradlite.autodiff.operands import plain_array
from gradlite.autodiff.precision import as_float, narrow, wide
from gradlite.autodiff.rule import NON_DIFFERENTIABLE, to_data
from gradlite.autodiff.rules.elementwise import nonzero
from gradlite.errors import MissingRuleError

Axis = Any


def restore_axes(g: Any, ndim: int, axis: Axis, keepdims: bool) -> Any:
    """Return a reduced array with its reduced axes restored, of length one."""
    if axis is None:
        return np.reshape(g, (1,) * ndim)
    return g if keepdims else np.expand_dims(g, axis)


def reduced_size(shape: tuple[int, ...], axis: Axis) -> int:
    """Return how many elements a reduction over `axis` combines."""
    if axis is None:
        axis = range(len(shape))
    size = 1
    for i in axis if isinstance(axis, (tuple, range)) else (axis,):
        size *= shape[i]
    return size


# -- sums -------------------------------------------------------------------------------------

defvjp(
    np.sum,
    lambda g, ans, a, axis=None, keepdims=False: np.broadcast_to(
        restore_axes(g, a.ndim, axis, keepdims), a.shape
    ),
)
defvjp(
    np.mean,
    lambda g, ans, a, axis=None, keepdims=False: np.broadcast_to(
        restore_axes(g, a.ndim, axis, keepdims) / reduced_size(a.shape, axis), a.shape
    ),
)


def over(x: float, n: float) -> float:
    """Divide by the degrees of freedom; where none are left, var is NaN."""
    return x / n if n > 0 else nan


def deviation(a: Any, axis: Axis) -> Any:
    """Subtract the mean along `axis`."""
    a = wide(a)
    return a - np.mean(a, axis=axis, keepdims=True)


def settled(std: Any, a: Any, axis: Axis, ddof: float, keepdims: bool) -> Any:
    """Recompute a standard deviation of float16, where NumPy's sum of many squares overflows."""
    if std.dtype.char != "e":
        return std
    return np.std(wide(a), axis=axis, ddof=ddof, keepdims=keepdims)


defvjp(
    np.var,
    lambda g, ans, a, axis=None, ddof=0, keepdims=False: (
        restore_axes(g, a.ndim, axis, keepdims)
        * (over(2.0, reduced_size(a.shape, axis) - ddof))
        * deviation(a, axis)
    ),
)
# Where all elements are equal, std has no derivative; the subgradient taken is 0.
defvjp(
    np.std,
    lambda g, ans, a, axis=None, ddof=0, keepdims=False: (
        restore_axes(g / nonzero(settled(ans, a, axis, ddof, keepdims)), a.ndim, axis, keepdims)
        * (over(1.0, reduced_size(a.shape, axis) - ddof))
        * deviation(a, axis)
    ),
)


def reverse_cumsum(g: Any, axis: int) -> Any:
    """Sum from each element to the last."""
    return np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)


@primitive
def cumsum(x: Any, axis: int) -> Any:
    """Sum from the first element to each, along one axis."""
    return np.cumsum(x, axis=axis)


@primitive
def cumprod(x: Any, axis: int) -> Any:
    """Multiply from the first element to each, along one axis."""
    return np.cumprod(x, axis=axis)


def cumprod_vjp(g: Any, ans: Any, x: Any, axis: int) -> Any:
    """Differentiate a cumulative product, zeros included.

    Without zeros it is ``reverse_cumsum(g * ans) / x``. With them, Horner's scheme: element i
    is multiplied into every later product, so its cotangent is the product before it times
    s[i] = g[i] + x[i+1] * s[i+1].
    """
    if np.all(x != 0):
        return reverse_cumsum(g * ans, axis) / x
    g, x, ans = (np.moveaxis(a, axis, 0) for a in (g, x, ans))
    sums = [g[-1]]
    for i in range(len(x) - 2, -1, -1):
        sums.append(g[i] + x[i + 1] * sums[-1])
    before = np.concatenate([np.ones_like(x[:1]), ans[:-1]])
    return np.moveaxis(before * np.stack(sums[::-1]), 0, axis)


defvjp(cumsum, lambda g, ans, x, axis: reverse_cumsum(g, axis), name="np.cumsum")
defvjp(cumprod, cumprod_vjp, name="np.cumprod")


@decomposition(np.cumsum)
def _cumsum(a: Any, axis: int | None = None) -> Any:
    return cumsum(np.ravel(a), axis=0) if axis is None else cumsum(a, axis=axis)


@decomposition(np.cumprod)
def _cumprod(a: Any, axis: int | None = None) -> Any:
    return cumprod(np.ravel(a), axis=0) if axis is None else cumprod(a, axis=axis)


def reduced_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """List the axes that a reduction removes."""
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def rows_of(a: Any, axes: tuple[int, ...]) -> Any:
    """Move the elements that are reduced together to one last axis."""
    kept = tuple(n for i, n in enumerate(a.shape) if i not in axes)
    moved = np.moveaxis(a, axes, tuple(range(-len(axes), 0)))
    return np.reshape(moved, (*kept, reduced_size(a.shape, axes)))


def others(x: Any) -> Any:
    """Multiply, for each element, all the others along the last axis, without a division."""
    first = np.ones_like(x[..., :1])
    before = np.cumprod(np.concatenate([first, x[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([first, np.flip(x, -1)[..., :-1]], axis=-1), axis=-1)
    return before * np.flip(after, -1)


def prod_vjp(g: Any, ans: Any, a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Differentiate a product: that of all the other factors, so zeros do no harm."""
    axes = reduced_axes(axis, a.ndim)
    moved_shape = tuple(n for i, n in enumerate(a.shape) if i not in axes) + tuple(
        a.shape[i] for i in axes
    )
    products = np.reshape(others(rows_of(wide(a), axes)), moved_shape)
    return restore_axes(g, a.ndim, axis, keepdims) * np.moveaxis(
        products, tuple(range(-len(axes), 0)), axes
    )


defvjp(np.prod, prod_vjp)

# -- extremes ---------------------------------------------------------------------------------


def extreme_vjp(g: Any, ans: Any, a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Differentiate a maximum or minimum; elements that tie for it share equally."""
    hit = a == restore_axes(ans, a.ndim, axis, keepdims)
    # In integers: a sum of ones in float32 stops growing at 2**24.
    share = np.count_nonzero(hit, axis=axis, keepdims=True).astype(g.dtype)
    return hit * (restore_axes(g, a.ndim, axis, keepdims) / share)


for extreme in (np.max, np.min, np.amax, np.amin):
    defvjp(extreme, extreme_vjp, masks=True)


@decomposition(np.ptp)
def _ptp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@decomposition(np.median)
def _median(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    axes = reduced_axes(axis, a.ndim)
    rows = np.sort(rows_of(a, axes), axis=-1)
    n = rows.shape[-1]
    middle = np.mean(rows[..., (n - 1) // 2 : n // 2 + 1], axis=-1)
    if n:  # NaN sorts last; NumPy's median is NaN wherever there is one
        last = to_data(rows)[..., -1]
        middle = np.where(np.isnan(last), last, middle)
    return np.expand_dims(middle, axes) if keepdims else middle


@decomposition(np.average)
def _average(
    a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, keepdims: bool = False
) -> Any:
    a = plain_array(a, "np.average of")
    if weights is None:
        average = np.mean(a, axis=axis, keepdims=keepdims)
        total = np.full_like(average, reduced_size(a.shape, axis))
        return (average, total) if returned else average
    weights = plain_array(weights, "np.average of")
    dtype = np.result_type(a.dtype, weights.dtype)
    if weights.dtype != dtype:
        weights = weights.astype(dtype)
    a, weights = wide(a), wide(weights)
    if weights.shape != a.shape:
        axes = reduced_axes(axis, a.ndim)
        if axis is None or weights.shape != tuple(a.shape[i] for i in axes):
            raise TypeError(
                f"np.average of shape {a.shape} needs weights of that shape, or axis= and "
                f"weights shaped like those axes, not shape {weights.shape}."
            )
        weights = np.transpose(weights, tuple(np.argsort(axes)))
        weights = np.reshape(weights, [n if i in axes else 1 for i, n in enumerate(a.shape)])
    total = np.sum(np.broadcast_to(weights, a.shape), axis=axis, keepdims=keepdims)
    if np.any(total == 0):
        raise ZeroDivisionError("The weights of np.average sum to zero.")
    average = narrow(np.sum(a * weights, axis=axis, keepdims=keepdims) / total, dtype)
    return (average, narrow(total, dtype)) if returned else average


# -- norms ------------------------------------------------------------------------------------


def root(x: Any, degree: float) -> Any:
    """Compute ``x**(1/degree)``, with the subgradient 0 at 0."""
    return np.where(x == 0, 0, np.where(x == 0, 1, x) ** (1.0 / degree))


def vector_norm(x: Any, order: Any, axis: Axis, keepdims: bool) -> Any:
    """Compute the norm of vectors along `axis`; at zero its subgradient is 0."""
    x = as_float(x)
    if x.dtype.char == "e":  # the sum may not fit, where the norm does
        return narrow(vector_norm(wide(x), order, axis, keepdims), x.dtype)
    if order in (None, 2):
        return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))
    if order == np.inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    if order == -np.inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if isinstance(order, str) or order == 0:
        raise MissingRuleError(
            f"np.linalg.norm with ord={order!r} has no derivative for vectors: use a number, "
            f"np.inf or -np.inf."
        )
    return root(np.sum(np.abs(x) ** order, axis=axis, keepdims=keepdims), order)


def matrix_norm(x: Any, order: Any, axis: tuple[int, int], keepdims: bool) -> Any:
    """Compute the norm of matrices in the two axes `axis`."""
    x = as_float(x)
    if order in (None, "fro", "f"):
        return vector_norm(x, None, axis, keepdims)
    if order in (2, -2, "nuc"):
        values = np.linalg.svd(np.moveaxis(x, axis, (-2, -1)), compute_uv=False)
        reduce: Any = {2: np.max, -2: np.min, "nuc": np.sum}[order]
        norm = reduce(values, axis=-1)
    elif order in (1, -1, np.inf, -np.inf):
        along = 0 if abs(order) == 1 else 1
        moved = np.sum(np.abs(np.moveaxis(x, axis, (-2, -1))), axis=along - 2)
        norm = np.max(moved, axis=-1) if order > 0 else np.min(moved, axis=-1)
    else:
        raise MissingRuleError(f"np.linalg.norm with ord={order!r} is not defined for matrices.")
    if keepdims:
        norm = np.expand_dims(norm, tuple(i % x.ndim for i in axis))
    return norm


def norm_of_nothing(norm: Any, x: Any, axis: Axis, keepdims: bool, order: Any) -> Any:
    """Compute the norm of an empty array: NumPy's constant, or its error, of this version."""
    known = norm(np.zeros(x.shape, x.dtype), ord=order, axis=axis, keepdims=keepdims)
    return known + np.sum(x, axis=axis, keepdims=keepdims)


@decomposition(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    if x.size == 0:
        return norm_of_nothing(np.linalg.norm, x, axis, keepdims, ord)
    if axis is None:
        if ord is None or x.ndim == 1:
            axis = tuple(range(x.ndim))
            return vector_norm(x, ord, axis, keepdims)
        if x.ndim != 2:
            raise ValueError(f"np.linalg.norm with ord= needs axis= for {x.ndim} dimensions.")
        axis = (0, 1)
    if isinstance(axis, tuple) and len(axis) == 2:
        return matrix_norm(x, ord, axis, keepdims)
    return vector_norm(x, ord, axis, keepdims)


# -- no derivative: these give plain arrays ---------------------------------------------------

NON_DIFFERENTIABLE.update(
    (np.any, np.all, np.count_nonzero, np.argmax, np.argmin, np.nanargmax, np.nanargmin)
)
