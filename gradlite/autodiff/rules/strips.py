"""Convolution of many channels: the window moves along one axis without a copy.

Channels stand last. A strip holds, for a position of the window along the first axis, what its
rows cover, over the whole width::

    strips[group, sample, position, column, row of the window, channel]

What the window covers at a position along the second axis as well is then a slice, and a row of a
matrix: the columns ``p`` to ``p + kernel width``. An image is copied ``kernel height`` times, where
im2col copies it ``kernel height * kernel width`` times, and all samples share one product.

With few channels, turning them to the back and forth costs more than it saves.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.rules.windows import Window, at_a_time

LEAST = 64
"""How many elements the window has at least, in the channels of a group, for strips to pay."""
ROWS = 256
"""How many rows a matrix has, if there are as many: with fewer, products are slower."""


def pay(channels: int, window: Window) -> bool:
    """Return whether strips are faster than columns."""
    return channels * prod(window.kernel) >= LEAST


def convolve(x: Any, w: Any, b: Any, y: Any, window: Window, groups: int) -> None:
    """Write the convolution of `x` into `y`, a contiguous array."""
    matrices = matrices_of(w, groups)
    height, width = in_plane(y).shape[2:]
    for part, strip in strips_of(x, window, groups, height):
        last = channels_last(y[part], groups)
        out = np.empty(last.shape, y.dtype)
        for i, at in enumerate(window.in_plane().positions(1, width)):
            np.matmul(as_rows(strip[:, :, :, at]), matrices, out=as_rows(out[:, :, :, i]))
        if b is not None:
            out += b.reshape(groups, 1, 1, 1, -1)
        last[:] = out


def conv_weight(g: Any, x: Any, window: Window, groups: int) -> Any:
    """Return the gradient by the weight."""
    height, width = in_plane(g).shape[2:]
    channels, out = x.shape[1] // groups, g.shape[1] // groups
    total = np.zeros((groups, prod(window.kernel) * channels, out), np.result_type(g, x))
    product = np.empty_like(total)
    for part, strip in strips_of(x, window, groups, height):
        last = np.ascontiguousarray(channels_last(g[part], groups))
        for i, at in enumerate(window.in_plane().positions(1, width)):
            rows = as_rows(strip[:, :, :, at])
            total += np.matmul(rows.swapaxes(1, 2), as_rows(last[:, :, :, i]), out=product)
    rows, columns = window.in_plane().kernel
    w = total.reshape(groups, columns, rows, channels, out).transpose(0, 4, 3, 2, 1)
    return np.ascontiguousarray(w).reshape(g.shape[1], channels, *window.kernel)


def conv_input(g: Any, w: Any, x: Any, window: Window, groups: int) -> None:
    """Write the gradient by the input into `x`, a contiguous array."""
    matrices = np.ascontiguousarray(matrices_of(w, groups).swapaxes(1, 2))
    window, (height, width) = window.in_plane(), in_plane(g).shape[2:]
    rows = [meeting(window, i, x.shape[2], height) for i in range(window.kernel[0])]
    before, inner = window.padding[1][0], in_plane(x).shape[3]
    for part, strip in zero_strips(x, window, groups, height):
        last = np.ascontiguousarray(channels_last(g[part], groups))
        strip[:] = 0
        product = np.empty((groups, strip.shape[1] * height, matrices.shape[2]), x.dtype)
        for i, at in enumerate(window.positions(1, width)):
            covered = strip[:, :, :, at]
            covered += np.matmul(as_rows(last[:, :, :, i]), matrices, out=product).reshape(
                covered.shape
            )
        images = channels_last(x[part], groups)
        total = np.zeros(images.shape, x.dtype)  # in the order of strips, which is faster to add to
        for i, (at, met) in enumerate(rows):
            total[:, :, met] += strip[:, :, at, before : before + inner, i]
        images[:] = total


def strips_of(x: Any, window: Window, groups: int, height: int) -> Iterator[tuple[slice, Any]]:
    """Yield the strips of a few samples at a time; the padding around `x` is zeros."""
    window = window.in_plane()
    rows = [meeting(window, i, x.shape[2], height) for i in range(window.kernel[0])]
    before, width = window.padding[1][0], in_plane(x).shape[3]
    for part, strip in zero_strips(x, window, groups, height):
        images = channels_last(x[part], groups)
        inside = strip[:, :, :, before : before + width]  # around it, zeros stay from part to part
        for i, (at, met) in enumerate(rows):
            inside[:, :, at, :, i] = images[:, :, met]
        yield part, strip


def meeting(window: Window, i: int, n: int, places: int) -> tuple[slice, slice]:
    """Return where row `i` of the window meets the array: positions, and rows of the array."""
    s, offset = window.stride[0], i * window.dilation[0] - window.padding[0][0]
    first = max(0, -(offset // s))
    last = max(first, min(places, -((offset - n) // s)))
    start = first * s + offset
    return slice(first, last), slice(start, start + (last - first) * s, s)


def zero_strips(x: Any, window: Window, groups: int, height: int) -> Iterator[tuple[slice, Any]]:
    """Yield room for the strips of a few samples at a time, at first zeros."""
    n, channels, *size = in_plane(x).shape
    shape = (height, window.padded_size(tuple(size))[1], window.kernel[0], channels // groups)
    step = at_a_time(n, groups * prod(shape) * x.itemsize, least=-(-ROWS // height))
    buffer = np.zeros((groups, step, *shape), x.dtype)
    for start in range(0, n, step):
        yield slice(start, start + step), buffer[:, : n - start]


def in_plane(x: Any) -> Any:
    """Return sequences as images of width 1."""
    return x if x.ndim == 4 else x[..., None]


def channels_last(x: Any, groups: int) -> Any:
    """Return a view of shape (groups, samples, height, width, channels of a group)."""
    x = in_plane(x)
    split = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    return split.transpose(1, 0, 3, 4, 2)


def as_rows(x: Any) -> Any:
    """Return (groups, samples, height, ...) as a matrix for each group."""
    return x.reshape(len(x), x.shape[1] * x.shape[2], prod(x.shape[3:]))


def matrices_of(w: Any, groups: int) -> Any:
    """Return a matrix for each group, with a column for each of its output channels."""
    w = in_plane(w)
    split = w.reshape(groups, len(w) // groups, *w.shape[1:]).transpose(0, 4, 3, 2, 1)
    return np.ascontiguousarray(split.reshape(groups, -1, len(w) // groups))
