"""Pooling: the maximum or the mean of what a window covers while it slides along images."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.precision import as_float, narrow, wide
from gradlite.autodiff.rule import NON_DIFFERENTIABLE
from gradlite.autodiff.rules.convolution import (
    Size,
    Window,
    as_given,
    check_axes,
    for_each_axis,
    make_window,
)
from gradlite.autodiff.rules.indexing import untake

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
    n, channels, height, width = x.shape
    rows, places = (
        np.arange(m) * s - p
        for m, s, (p, _) in zip(ans.shape[2:], window.stride, window.padding, strict=True)
    )
    images = np.arange(n * channels).reshape(n, channels, 1, 1)
    corner = (images * height + rows[:, None]) * width + places
    offset = [0, *(i.start * width + j.start for _, i, j in reversed(covered))]
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


def max_pool2d(
    x: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    dilation: int | Size = 1,
) -> Any:
    """Return the maximum at each position of a window that slides along images.

    Of elements that tie, the first in row order gets the gradient, as in PyTorch.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, height, width)
        The images.
    kernel_size : int or (int, int)
        Height and width of the window.
    stride : int or (int, int), optional
        How far it moves; by default `kernel_size`.
    padding : int or (int, int), default 0
        How far it reaches beyond each side, at most half its size.
    dilation : int or (int, int), default 1
        The distance between the elements that it covers.

    Returns
    -------
    array or Tensor, shape (n, channels, height', width')
        With ``height' = (height + 2 padding - dilation (kernel - 1) - 1) // stride + 1``.

    Raises
    ------
    ShapeError
        If x does not have four axes, or the window is larger than x.
    ValueError
        If another argument is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    x = as_given(x)
    window = pooling_window("max_pool2d", x, kernel_size, stride, padding, dilation)
    return max_pool(x, window=window)


def pooling_window(
    name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> Window:
    """Make the window, and check that it covers some element of `x` at every position."""
    check_axes(name, x, ("height", "width"))
    kernel = for_each_axis(name, "kernel_size", kernel_size, 2)
    pads = for_each_axis(name, "padding", padding, 2, least=0)
    window = make_window(name, x, kernel, kernel if stride is None else stride, pads, dilation)
    if any(2 * p > span for p, span in zip(pads, window.spans(), strict=True)):
        raise ValueError(
            f"{name}: padding {pads} is more than half of what the window spans, {window.spans()}: "
            f"it would cover nothing but padding in places."
        )
    return window


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


def avg_pool2d(
    x: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
) -> Any:
    """Return the mean at each position of a window that slides along images.

    Padding counts as zeros, as is PyTorch's default. Parameters, result and errors are those of
    `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    x = as_given(x)
    return avg_pool(x, window=pooling_window("avg_pool2d", x, kernel_size, stride, padding))
