"""Rules of the functions that only move elements: reshape, transpose, join, split, repeat.

Their derivative is the same movement backwards.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from gradlite.autodiff.define import decomposition, defvjp, primitive
from gradlite.autodiff.rule import Traced
from gradlite.errors import MissingRuleError, ShapeError

# -- the same elements in another shape -------------------------------------------------------


@primitive
def reshape(x: Any, shape: Any, order: Any = "C") -> Any:
    """Return the same elements in another shape.

    Raise MissingRuleError if `order` is 'A' or 'K': the cotangent may be laid out otherwise.
    """
    if order not in ("C", "F"):
        raise MissingRuleError(
            f"np.reshape and np.ravel on a Tensor take order='C' or 'F', not {order!r}: the output "
            f"would depend on how the elements lie in memory."
        )
    return np.reshape(x, shape, order=order)


defvjp(
    reshape,
    lambda g, ans, x, shape, order="C": np.reshape(g, x.shape, order=order),
    name="np.reshape",
)


@decomposition(np.reshape)
def _reshape(a: Any, shape: Any = None, order: Any = "C", *, newshape: Any = None) -> Any:
    # NumPy 2.0 calls the second argument newshape.
    return reshape(a, shape=newshape if shape is None else shape, order=order)


@decomposition(np.ravel)
def _ravel(a: Any, order: Any = "C") -> Any:
    return reshape(a, shape=(-1,), order=order)


defvjp(np.expand_dims, lambda g, ans, a, axis: np.reshape(g, a.shape))
defvjp(np.squeeze, lambda g, ans, a, axis=None: np.reshape(g, a.shape))
defvjp(np.broadcast_to, lambda g, ans, array, shape: g)


@decomposition(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    dtype, shape = dtype or a.dtype, np.shape(a) if shape is None else shape
    if not isinstance(fill_value, Traced):
        return np.full(shape, fill_value, dtype)
    value: Any = fill_value
    return np.broadcast_to(value, shape).astype(dtype)


# -- the axes in another order ----------------------------------------------------------------

defvjp(
    np.transpose,
    lambda g, ans, a, axes=None: np.transpose(
        g, None if axes is None else tuple(np.argsort([i % a.ndim for i in axes]))
    ),
)
defvjp(np.swapaxes, lambda g, ans, a, axis1, axis2: np.swapaxes(g, axis1, axis2))
defvjp(np.moveaxis, lambda g, ans, a, source, destination: np.moveaxis(g, destination, source))


@decomposition(np.rollaxis)
def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    axis = normalize_axis_index(axis, a.ndim)
    start = normalize_axis_index(start, a.ndim + 1) if start >= 0 else start + a.ndim
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


@decomposition(np.matrix_transpose)
def _matrix_transpose(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


# -- elements in another order ----------------------------------------------------------------

defvjp(np.flip, lambda g, ans, m, axis=None: np.flip(g, axis))
defvjp(
    np.roll,
    lambda g, ans, a, shift, axis=None: np.roll(g, -np.asarray(shift), axis),
)
defvjp(np.rot90, lambda g, ans, m, k=1, axes=(0, 1): np.rot90(g, -k, axes))
defvjp(np.tril, lambda g, ans, m, k=0: np.tril(g, k))
defvjp(np.triu, lambda g, ans, m, k=0: np.triu(g, k))


@decomposition(np.fliplr)
def _fliplr(m: Any) -> Any:
    return np.flip(m, 1)


@decomposition(np.flipud)
def _flipud(m: Any) -> Any:
    return np.flip(m, 0)


@decomposition(np.tile)
def _tile(A: Any, reps: Any) -> Any:
    reps = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    shape = (1,) * (len(reps) - A.ndim) + A.shape
    reps = (1,) * (len(shape) - len(reps)) + reps
    # Each axis becomes (copies, elements); the copies are broadcast.
    single = [n for length in shape for n in (1, length)]
    copied = [n for pair in zip(reps, shape, strict=True) for n in pair]
    whole = [n * m for n, m in zip(reps, shape, strict=True)]
    return np.reshape(np.broadcast_to(np.reshape(A, single), copied), whole)


# -- joining ----------------------------------------------------------------------------------


@primitive
def concat(*arrays: Any, axis: int, starts: tuple[int, ...]) -> Any:
    """Join arrays along `axis`; array i begins at ``starts[i]`` there."""
    return np.concatenate(arrays, axis=axis)


defvjp(
    concat,
    variadic=lambda i, g, ans, *arrays, axis, starts: g[
        (slice(None),) * axis + (slice(starts[i], starts[i + 1]),)
    ],
    name="np.concatenate",
)


@decomposition(np.concatenate)
def _concatenate(arrays: Any, axis: int | None = 0, dtype: Any = None) -> Any:
    arrays = [a if hasattr(a, "ndim") else np.asarray(a) for a in arrays]
    if axis is None:
        arrays, axis = [np.ravel(a) for a in arrays], 0
    if min(a.ndim for a in arrays) == 0:
        raise ShapeError("np.concatenate joins along an axis, and a 0-d array has none: np.stack.")
    axis = normalize_axis_index(axis, arrays[0].ndim)
    starts = tuple(accumulate((a.shape[axis] for a in arrays), initial=0))
    joined = concat(*arrays, axis=axis, starts=starts)
    return joined if dtype is None else joined.astype(dtype)


@primitive
def pile(*arrays: Any, axis: int) -> Any:
    """Join arrays of one shape along a new `axis`."""
    return np.stack(arrays, axis=axis)


defvjp(
    pile,
    variadic=lambda i, g, ans, *arrays, axis: g[(*(slice(None),) * axis, i)],
    name="np.stack",
)


@decomposition(np.stack)
def _stack(arrays: Any, axis: int = 0) -> Any:
    arrays = [a if hasattr(a, "ndim") else np.asarray(a) for a in arrays]
    if len({a.shape for a in arrays}) > 1:
        shapes = ", ".join(map(str, sorted({a.shape for a in arrays})))
        raise ShapeError(f"np.stack needs arrays of one shape, not {shapes}.")
    return pile(*arrays, axis=normalize_axis_index(axis, arrays[0].ndim + 1))


@decomposition(np.vstack)
def _vstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_2d(a) for a in tup], axis=0)


@decomposition(np.hstack)
def _hstack(tup: Any) -> Any:
    arrays = [np.atleast_1d(a) for a in tup]
    return np.concatenate(arrays, axis=0 if arrays[0].ndim == 1 else 1)


@decomposition(np.dstack)
def _dstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_3d(a) for a in tup], axis=2)


@decomposition(np.column_stack)
def _column_stack(tup: Any) -> Any:
    arrays = [a if hasattr(a, "ndim") else np.asarray(a) for a in tup]
    columns = [a if a.ndim > 1 else np.reshape(a, (-1, 1)) for a in arrays]
    return np.concatenate(columns, axis=1)


def _each(arrays: tuple[Any, ...], reshape: Any) -> Any:
    """Return what ``np.atleast_nd`` does: an array for one argument, a tuple for several."""
    done = tuple(reshape(a if hasattr(a, "ndim") else np.asarray(a)) for a in arrays)
    return done[0] if len(done) == 1 else done


@decomposition(np.atleast_1d)
def _atleast_1d(*arys: Any) -> Any:
    return _each(arys, lambda a: a if a.ndim else np.reshape(a, (1,)))


@decomposition(np.atleast_2d)
def _atleast_2d(*arys: Any) -> Any:
    return _each(arys, lambda a: a if a.ndim > 1 else np.reshape(a, (1, -1)))


@decomposition(np.atleast_3d)
def _atleast_3d(*arys: Any) -> Any:
    shapes = {0: (1, 1, 1), 1: (1, -1, 1)}
    return _each(
        arys, lambda a: a if a.ndim > 2 else np.reshape(a, shapes.get(a.ndim, (*a.shape, 1)))
    )


@decomposition(np.meshgrid)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    if indexing not in ("xy", "ij"):
        raise ValueError(f"np.meshgrid takes indexing='xy' or 'ij', not {indexing!r}.")
    n = len(xi)
    order = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    grids = [
        np.reshape(x, [-1 if axis == order[i] else 1 for axis in range(n)])
        for i, x in enumerate(xi)
    ]
    if sparse:
        return tuple(grids)
    shape = np.broadcast_shapes(*(grid.shape for grid in grids))
    return tuple(np.broadcast_to(grid, shape) for grid in grids)


# -- splitting ----------------------------------------------------------------------------------


@decomposition(np.array_split)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    axis = normalize_axis_index(axis, ary.ndim)
    n = ary.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        sections = int(indices_or_sections)
        if sections <= 0:
            raise ValueError("number sections must be larger than 0.")
        quotient, rest = divmod(n, sections)
        sizes = rest * [quotient + 1] + (sections - rest) * [quotient]
        edges = [0, *accumulate(sizes)]
    else:
        edges = [0, *indices_or_sections, n]
    whole = (slice(None),) * axis
    return [ary[(*whole, slice(a, b))] for a, b in pairwise(edges)]


@decomposition(np.split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % int(indices_or_sections):
        raise ShapeError(
            f"np.split cannot split an axis of length {ary.shape[axis]} into "
            f"{indices_or_sections} equal parts: use np.array_split."
        )
    return np.array_split(ary, indices_or_sections, axis)


@decomposition(np.hsplit)
def _hsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, axis=min(ary.ndim - 1, 1))


@decomposition(np.vsplit)
def _vsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, axis=0)


@decomposition(np.dsplit)
def _dsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, axis=2)


@primitive
def unstack(x: Any) -> Any:
    """Split an array into its entries along the first axis, in one operation."""
    return tuple(x)


defvjp(unstack, lambda g, ans, x: np.stack(tuple(g)), multiple_outputs=True, masks=True)

if hasattr(np, "unstack"):  # NumPy 2.1

    @decomposition(np.unstack)
    def _unstack(x: Any, /, *, axis: int = 0) -> Any:
        return unstack(np.moveaxis(x, axis, 0))
