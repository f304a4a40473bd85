"""Rules of indexing: taking elements out, and its adjoint, adding them back in.

`getitem` and `untake` are each other's adjoint, so both are operations with a rule, and every
function that moves elements about by index (take, sort, diagonal, pad, ...) is written in
terms of `getitem`.
"""

from __future__ import annotations

import operator
from array import array
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from gradlite.autodiff.define import decomposition, defvjp, primitive
from gradlite.autodiff.operands import as_array, is_array_like
from gradlite.autodiff.rule import NON_DIFFERENTIABLE, Traced
from gradlite.errors import MissingRuleError

FIXED = (int, type(None))


def as_index(index: Any) -> Any:
    """Return an index as NumPy reads it now, in integers, slices of them, and arrays.

    Whatever else it may consist of could change before the backward pass.
    """
    if index is None or index is Ellipsis or isinstance(index, (int, np.ndarray, np.generic)):
        return index
    if isinstance(index, slice):
        start, stop, step = index.start, index.stop, index.step
        if type(start) in FIXED and type(stop) in FIXED and type(step) in FIXED:
            return index
        return slice(*(None if x is None else operator.index(x) for x in (start, stop, step)))
    if isinstance(index, Traced):
        return index._data
    if isinstance(index, (tuple, list)):
        return type(index)(map(as_index, index))
    other = isinstance(index, array) or (hasattr(index, "__array__") and not is_array_like(index))
    return np.array(index) if other else index


def is_basic(index: Any) -> bool:
    """Return whether an index selects each element at most once by position."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice))
        for part in parts
    )


def is_mask(index: Any) -> bool:
    """Return whether an index is a boolean mask alone."""
    return isinstance(index, (np.ndarray, np.bool_)) and index.dtype == bool


@primitive
def getitem(x: Any, index: Any) -> Any:
    """Take ``x[index]``, for any index that NumPy takes."""
    return x[index]


@primitive(opaque=True)
def untake(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Add `g` into zeros of `shape` at `index`: the adjoint of ``x[index]``.

    An element that the index names several times collects all its contributions.
    """
    out = np.zeros(shape, g.dtype)
    if is_basic(index) or is_mask(index):
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


defvjp(
    getitem,
    lambda g, ans, x, index: untake(g, index=index, shape=x.shape),
    name="getitem",
    masks=True,
)
defvjp(untake, lambda g, ans, x, index, shape: g[index], name="untake")


def at(axis: int, index: Any, ndim: int) -> Any:
    """Make the index that applies `index` to one axis and leaves the others whole."""
    return (slice(None),) * normalize_axis_index(axis, ndim) + (index,)


@decomposition(np.take)
def _take(a: Any, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Any:
    indices = as_array(indices)
    if not indices.size:  # of [], NumPy makes floats
        indices = indices.astype(np.intp)
    if mode != "raise":
        n = a.size if axis is None else a.shape[axis]
        indices = indices % n if mode == "wrap" else np.clip(indices, 0, n - 1)
    return np.ravel(a)[indices] if axis is None else a[at(axis, indices, a.ndim)]


@decomposition(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    if axis is None:
        return np.ravel(arr)[indices]
    axis = normalize_axis_index(axis, arr.ndim)
    grid: list[Any] = [
        np.reshape(np.arange(n), [-1 if i == j else 1 for j in range(arr.ndim)])
        for i, n in enumerate(arr.shape)
    ]
    grid[axis] = indices
    return arr[tuple(grid)]


@decomposition(np.sort)
def _sort(a: Any, axis: int | None = -1, kind: Any = None, stable: Any = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argsort(a, axis=axis, kind=kind, stable=stable), axis)


@decomposition(np.repeat)
def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return a[at(axis, np.repeat(np.arange(a.shape[axis]), repeats), a.ndim)]


@decomposition(np.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    moved = np.moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = moved.shape[-2:]
    start = max(-offset, 0)
    i = np.arange(start, max(start, min(rows, columns - offset)))
    return moved[..., i, i + offset]


@decomposition(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 2:
        return np.diagonal(v, k)
    if v.ndim != 1:
        raise ValueError(f"np.diag takes 1 or 2 dimensions, not {v.ndim}.")
    n = len(v) + abs(k)
    i = np.arange(len(v)) + max(-k, 0)
    return untake(v, index=(i, i + k), shape=(n, n))


@decomposition(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


@decomposition(np.pad)
def _pad(array: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> Any:
    widths = _pad_widths(pad_width, array.ndim)
    if mode == "constant":
        return pad_constant(array, widths=widths, **kwargs)
    if mode not in ("edge", "reflect", "symmetric", "wrap") or kwargs:
        raise MissingRuleError(
            f"np.pad on a Tensor knows the modes constant (with constant_values), edge, reflect, "
            f"symmetric and wrap, not {mode!r}{' with ' + ', '.join(kwargs) if kwargs else ''}."
        )
    for axis, width in enumerate(widths):
        if any(width):  # these modes repeat elements: pad their numbers, and take those
            chosen: Any = mode  # one of the above
            numbers = np.pad(np.arange(array.shape[axis]), width, mode=chosen)
            array = array[at(axis, numbers, array.ndim)]
    return array


def _pad_widths(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    if isinstance(pad_width, dict):
        found = dict.fromkeys(range(ndim), (0, 0))
        for axis, width in pad_width.items():
            found[normalize_axis_index(axis, ndim)] = (
                (width, width) if isinstance(width, int) else tuple(width)
            )
        return tuple(found.values())
    pairs = np.broadcast_to(np.asarray(pad_width), (ndim, 2))
    return tuple((int(before), int(after)) for before, after in pairs)


@primitive
def pad_constant(x: Any, widths: Any, constant_values: Any = 0) -> Any:
    """Surround an array with a constant."""
    return np.pad(x, widths, constant_values=constant_values)


defvjp(
    pad_constant,
    lambda g, ans, x, widths, constant_values=0: g[
        tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True))
    ],
    name="np.pad",
)

# -- no derivative: these give plain arrays ---------------------------------------------------

NON_DIFFERENTIABLE.update(
    (
        np.argsort,
        np.argwhere,
        np.nonzero,
        np.flatnonzero,
        np.searchsorted,
        np.digitize,
        np.argpartition,
        np.lexsort,
    )
)
