"""Pooling: the maximum or the mean of what a window covers while it slides along an array."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.precision import as_float, narrow, wide
from gradlite.autodiff.rule import NON_DIFFERENTIABLE
from gradlite.autodiff.rules.indexing import untake
from gradlite.autodiff.rules.windows import Size, Window, as_batch, for_each_axis, make_window
from gradlite.errors import ShapeError

# -- maxima -----------------------------------------------------------------------------------


@primitive(opaque=True)
def max_pool(x: Any, *, window: Window) -> Any:
    """Return the maximum at each position of the window."""
    first, *others = window.covered(x.shape[2:])
    x = window.pad(as_float(x), -np.inf)
    ans = x[first].copy()
    for index in others:
        np.maximum(ans, x[index], out=ans)
    return ans


@primitive(opaque=True)
def first_maximum(x: Any, ans: Any, *, window: Window) -> Any:
    """Return where in ``x.ravel()`` each maximum is first; ``x.size`` if nowhere, for NaN."""
    covered = window.covered(x.shape[2:])
    padded = window.pad(x, np.nan)  # which equals nothing
    # The first element has the highest rank. With small integers and no branches, this takes a
    # fifth of the time of masked copies.
    small = np.min_scalar_type(len(covered))
    rank = np.zeros(ans.shape, small)
    for i, index in enumerate(reversed(covered), 1):
        np.maximum(rank, (padded[index] == ans).view(np.uint8) * small.type(i), out=rank)
    n, channels, *size = x.shape
    axes = zip(size, ans.shape[2:], window.stride, window.padding, strict=True)
    corner = np.arange(n * channels).reshape(n, channels, *[1] * len(size))
    for i, (length, m, s, (p, _)) in enumerate(axes, 1):
        corner = corner * length + (np.arange(m) * s - p).reshape(-1, *[1] * (len(size) - i))
    offset = [0]
    for _, *index in reversed(covered):
        offset.append(0)
        for length, part in zip(size, index, strict=True):
            offset[-1] = offset[-1] * length + part.start
    return np.where(rank, corner + np.take(offset, rank), x.size).ravel()


NON_DIFFERENTIABLE.add(first_maximum)
defvjp(
    max_pool,
    lambda g, ans, x, window: np.reshape(
        untake(np.ravel(g), index=first_maximum(x, ans, window=window), shape=(x.size + 1,))[:-1],
        x.shape,
    ),
    masks=True,
)


def max_pool1d(
    x: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    dilation: int | Size = 1,
    ceil_mode: bool = False,
) -> Any:
    """Return the maximum at each position of a window that slides along sequences.

    Parameters, result and errors are those of `max_pool2d`, with one axis in place of two.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool1d(np.array([[[1.0, 4.0, 2.0, 0.0, 3.0]]]), 2, ceil_mode=True)
    array([[[4., 2., 3.]]])
    """
    options = kernel_size, stride, padding, dilation, ceil_mode
    return max_pooling("max_pool1d", 1, x, *options)


def max_pool2d(
    x: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    dilation: int | Size = 1,
    ceil_mode: bool = False,
) -> Any:
    """Return the maximum at each position of a window that slides along images.

    Of elements that tie, the first in row order gets the gradient, as in PyTorch.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, height, width) or (channels, height, width)
        The images, or one.
    kernel_size : int or (int, int)
        Height and width of the window.
    stride : int or (int, int), optional
        How far it moves; by default `kernel_size`.
    padding : int or (int, int), default 0
        How far it reaches beyond each side, at most half its size.
    dilation : int or (int, int), default 1
        The distance between the elements that it covers.
    ceil_mode : bool, default False
        Whether the last window may reach beyond the end.

    Returns
    -------
    array or Tensor, shape (n, channels, height', width')
        With ``height' = (height + 2 padding - dilation (kernel - 1) - 1) / stride + 1``, rounded
        down, or up with `ceil_mode` (where the last window begins within the image).

    Raises
    ------
    ShapeError
        If x does not have three or four axes, or the window is larger than x.
    ValueError
        If another argument is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    options = kernel_size, stride, padding, dilation, ceil_mode
    return max_pooling("max_pool2d", 2, x, *options)


def max_pooling(name: str, axes: int, x: Any, *options: Any) -> Any:
    """Check the arguments of a maximum, and compute it."""
    x, single = as_batch(name, x, axes)
    y = max_pool(x, window=pooling_window(name, x, *options))
    return y[0] if single else y


def pooling_window(
    name: str,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Window:
    """Make the window, and check that it covers some element of `x` at every position."""
    axes = x.ndim - 2
    kernel = for_each_axis(name, "kernel_size", kernel_size, axes)
    pads = for_each_axis(name, "padding", padding, axes, least=0)
    window = make_window(name, x, kernel, kernel if stride is None else stride, pads, dilation)
    if any(2 * p > span for p, span in zip(pads, window.spans(), strict=True)):
        raise ValueError(
            f"{name}: padding {pads} is more than half of what the window spans, {window.spans()}: "
            f"it would cover nothing but padding in places."
        )
    return window.reaching_the_end(x.shape[2:]) if ceil_mode else window


# -- means ------------------------------------------------------------------------------------


@primitive(opaque=True)
def avg_pool(x: Any, *, window: Window) -> Any:
    """Return the mean at each position of the window, padding included."""
    covered = window.covered(x.shape[2:])
    x = window.pad(as_float(x))
    total = wide(x[covered[0]].copy())
    for index in covered[1:]:
        total += x[index]
    return narrow(total / len(covered), x.dtype)


@primitive(opaque=True)
def avg_unpool(g: Any, *, size: Size, window: Window) -> Any:
    """Distribute `g` evenly over what the window covered in images of this `size`."""
    covered = window.covered(size)
    x = np.zeros((*g.shape[:2], *window.padded_size(size)), g.dtype)
    share = g / len(covered)
    for index in covered:
        x[index] += share
    return x[window.inside(size)]


defvjp(avg_pool, lambda g, ans, x, window: avg_unpool(g, size=x.shape[2:], window=window))
defvjp(avg_unpool, lambda g, ans, y, size, window: avg_pool(g, window=window))


def avg_pool1d(
    x: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Return the mean at each position of a window that slides along sequences.

    The arguments are those of `avg_pool2d`, with one axis in place of two.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool1d(np.array([[[1.0, 4.0, 2.0, 0.0]]]), 2)
    array([[[2.5, 1. ]]])
    """
    options = kernel_size, stride, padding, ceil_mode, count_include_pad
    return avg_pooling("avg_pool1d", 1, x, *options)


def avg_pool2d(
    x: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Return the mean at each position of a window that slides along images.

    Padding counts as zeros, or with ``count_include_pad=False`` not at all. The other parameters,
    result and errors are those of `max_pool2d`; there is no dilation.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    options = kernel_size, stride, padding, ceil_mode, count_include_pad
    return avg_pooling("avg_pool2d", 2, x, *options)


def avg_pooling(
    name: str, axes: int, x: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, include: bool
) -> Any:
    """Check the arguments of a mean, and compute it."""
    x, single = as_batch(name, x, axes)
    window = pooling_window(name, x, kernel, stride, padding, 1, ceil)
    y = avg_pool(x, window=window)
    if ceil or not include:
        pads = for_each_axis(name, "padding", padding, axes, least=0)
        counts = counted(window, x.shape[2:], pads, include)
        y = y * np.asarray(prod(window.kernel) / counts, y.dtype)
    return y[0] if single else y


def counted(window: Window, size: Size, pads: Size, include: bool) -> Any:
    """Return how many elements count at each position; what `ceil_mode` adds never does."""
    counts: Any = 1
    axes = zip(size, window.kernel, window.stride, pads, window.places(size), strict=True)
    for n, k, s, p, places in axes:
        start = np.arange(places) * s - p
        stop = np.minimum(start + k, n + p)
        if not include:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        counts = np.multiply.outer(counts, stop - start)
    return counts


# -- an output of a given size ------------------------------------------------------------------


def adaptive_avg_pool(x: Any, output_size: Any, axes: int) -> Any:
    """Return means over as many parts of the last `axes` as `output_size` says.

    Part ``i`` of ``m`` covers the elements from ``floor(i n / m)`` to ``ceil((i + 1) n / m)``, as
    in PyTorch; parts may overlap by one. Along each axis this is a product with a constant matrix.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, *size) or (channels, *size)
        The input.
    output_size : int, or a tuple of int or None
        The numbers of parts; None leaves an axis as it is.
    axes : int
        The number of axes that are pooled, 1 or 2.

    Raises
    ------
    ShapeError
        If `x` has another number of axes.
    ValueError
        If `output_size` is not such numbers.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_avg_pool(np.array([[[1.0, 2.0, 4.0]]]), 2, 1)
    array([[[1.5, 3. ]]])
    """
    x, single = as_batch(f"adaptive_avg_pool{axes}d", x, axes)
    x = as_float(x)
    for axis, parts in parts_of(f"adaptive_avg_pool{axes}d", x, output_size, axes):
        means = np.zeros((x.shape[axis], len(parts)), x.dtype)
        for i, part in enumerate(parts):
            means[part, i] = 1 / (part.stop - part.start)
        x = along(axis, x, means)
    return x[0] if single else x


def along(axis: int, x: Any, matrix: Any) -> Any:
    """Multiply each vector along an axis, -1 or -2, by a matrix of a column for each output."""
    return np.matmul(x, matrix) if axis == -1 else np.matmul(matrix.T, x)


def adaptive_max_pool(x: Any, output_size: Any, axes: int) -> Any:
    """Return maxima over the parts that `adaptive_avg_pool` averages.

    Parts of unequal lengths are made equal by their last elements, repeated.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_max_pool(np.array([[[1.0, 2.0, 4.0]]]), 2, 1)
    array([[[2., 4.]]])
    """
    x, single = as_batch(f"adaptive_max_pool{axes}d", x, axes)
    kernel = [1] * axes
    for axis, parts in parts_of(f"adaptive_max_pool{axes}d", x, output_size, axes):
        longest = max(part.stop - part.start for part in parts)
        kernel[axis] = longest
        if len(parts) * longest > x.shape[axis]:
            starts, ends = ([[getattr(p, at)] for p in parts] for at in ("start", "stop"))
            index = np.minimum(np.arange(longest) + starts, np.subtract(ends, 1))
            x = np.take(x, index.ravel(), axis=axis)
    ones = (1,) * axes
    window = Window(tuple(kernel), tuple(kernel), ((0, 0),) * axes, ones)
    y = max_pool(x, window=window)
    return y[0] if single else y


def parts_of(name: str, x: Any, output_size: Any, axes: int) -> list[tuple[int, list[slice]]]:
    """Return each pooled axis, counted from the end, and its parts; those left as they are not."""
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * axes
    lengths = x.shape[2:]
    if len(sizes) == axes:
        sizes = [n if size is None else size for n, size in zip(lengths, sizes, strict=True)]
    counts = for_each_axis(name, "output_size", tuple(sizes), axes)
    if 0 in lengths:
        raise ShapeError(f"{name}: there is nothing to pool in an input of shape {x.shape}.")
    return [
        (i - axes, [slice(k * n // m, -(-(k + 1) * n // m)) for k in range(m)])
        for i, (n, m) in enumerate(zip(lengths, counts, strict=True))
        if m != n
    ]
