"""Convolution: a window slides along an array; the elements it covers are multiplied and summed.

A convolution is bilinear in its input x and its weight w. For a cotangent g of its output, the
number ``<g, convolve(x, w)>`` is linear in g, x and w alike, and its gradients are three
operations::

    convolve(x, w)        the gradient with respect to g
    conv_input(g, w)      the gradient with respect to x
    conv_weight(g, x)     the gradient with respect to w

Each is bilinear as well, and has the other two as its gradients: three rules of one line give
derivatives of any order.

The work is done by matrix products: every position of the window becomes a column of a matrix
(im2col: Chellapilla, Puri and Simard, "High performance convolutional neural networks for document
processing", IWFHR 2006), or with more channels a row of one that is not copied out whole (see
`strips`). Either is made for a few samples at a time, so that it stays in the cache, and no array
is many times as large as the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.rules import strips
from gradlite.autodiff.rules.windows import (
    Size,
    Window,
    as_batch,
    as_given,
    at_a_time,
    for_each_axis,
    make_window,
)
from gradlite.errors import ShapeError

# -- convolution ------------------------------------------------------------------------------


@primitive(opaque=True)
def convolve(x: Any, w: Any, b: Any = None, *, window: Window, groups: int) -> Any:
    """Sum the products of `w` and what it covers, in all channels of its group, and add `b`."""
    places = window.places(x.shape[2:])
    dtype = np.result_type(*(a for a in (x, w, b) if a is not None))
    if strips.pay(w.shape[1], window):
        y = np.empty((len(x), len(w), *places), dtype)
        strips.convolve(x, w, b, y, window, groups)
        return y
    y = np.empty((len(x), groups, len(w) // groups, prod(places)), dtype)
    matrices = w.reshape(groups, len(w) // groups, -1)
    for part, block in columns(x, window, groups):
        np.matmul(matrices, block, out=y[part])
        if b is not None:
            y[part] += b.reshape(groups, -1, 1)
    return y.reshape(len(x), len(w), *places)


def columns(x: Any, window: Window, groups: int) -> Iterator[tuple[slice, Any]]:
    """Yield, for a few samples at a time, the matrices whose columns are what the window covers.

    Their shape is (samples, groups, elements of the window in all channels of a group, positions).
    """
    n, channels, *size = x.shape
    places, covered = window.places(tuple(size)), window.covered(tuple(size))
    shape = (channels, len(covered), *places)
    matrix = (groups, channels // groups * len(covered), prod(places))
    x = window.pad(x)
    step = at_a_time(n, prod(shape) * x.itemsize)
    buffer = np.empty((step, *shape), x.dtype)
    for start in range(0, n, step):
        part, block = slice(start, start + step), buffer[: n - start]
        for i, index in enumerate(covered):
            block[:, :, i] = x[part][index]
        yield part, block.reshape(-1, *matrix)


@primitive(opaque=True)
def conv_input(g: Any, w: Any, *, size: Size, window: Window, groups: int) -> Any:
    """Add `w`, times each entry of `g`, to what it covered in an input of this `size` (col2im)."""
    channels, covered = w.shape[1] * groups, window.covered(size)
    dtype = np.result_type(g, w)
    if strips.pay(w.shape[1], window):
        x = np.empty((len(g), channels, *size), dtype)
        strips.conv_input(g, w, x, window, groups)
        return x
    x = np.zeros((len(g), channels, *window.padded_size(size)), dtype)
    matrices = w.reshape(groups, len(w) // groups, -1).swapaxes(1, 2)
    shape = (channels, len(covered), *g.shape[2:])
    step = at_a_time(len(g), prod(shape) * x.itemsize)
    for start in range(0, len(g), step):
        part = slice(start, start + step)
        block = np.matmul(matrices, rows(g[part], groups)).reshape(-1, *shape)
        for i, index in enumerate(covered):
            x[part][index] += block[:, :, i]
    return x[window.inside(size)]


@primitive(opaque=True)
def conv_weight(g: Any, x: Any, *, window: Window, groups: int) -> Any:
    """Sum the products of `g` and what each entry of a weight covers."""
    shape = (g.shape[1], x.shape[1] // groups, *window.kernel)
    if strips.pay(shape[1], window):
        return strips.conv_weight(g, x, window, groups)
    w = np.zeros((groups, shape[0] // groups, prod(shape[1:])), np.result_type(g, x))
    for part, block in columns(x, window, groups):
        w += np.matmul(rows(g[part], groups), block.swapaxes(2, 3)).sum(0)
    return w.reshape(shape)


def rows(g: Any, groups: int) -> Any:
    """Return a matrix for each sample and group, with a row for each channel."""
    return g.reshape(len(g), groups, g.shape[1] // groups, prod(g.shape[2:]))


defvjp(
    convolve,
    lambda g, ans, x, w, b, window, groups: conv_input(
        g, w, size=x.shape[2:], window=window, groups=groups
    ),
    lambda g, ans, x, w, b, window, groups: conv_weight(g, x, window=window, groups=groups),
    lambda g, ans, x, w, b, window, groups: np.sum(g, axis=(0, *range(2, g.ndim))),
)
defvjp(
    conv_input,
    lambda g, ans, y, w, size, window, groups: convolve(g, w, window=window, groups=groups),
    lambda g, ans, y, w, size, window, groups: conv_weight(y, g, window=window, groups=groups),
)
defvjp(
    conv_weight,
    lambda g, ans, y, x, window, groups: convolve(x, g, window=window, groups=groups),
    lambda g, ans, y, x, window, groups: conv_input(
        y, g, size=x.shape[2:], window=window, groups=groups
    ),
)


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size | str = 0,
    dilation: int | Size = 1,
    groups: int = 1,
) -> Any:
    """Slide a weight along sequences: ``y[n, o, t] = sum over c, i of w[o, c, i] x[n, c, t + i]``.

    The arguments are those of `conv2d`, with one axis in place of two.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, length) or (channels, length)
    weight : array_like or Tensor, shape (out_channels, channels / groups, kernel)
    bias : array_like or Tensor, shape (out_channels,), optional
    stride, dilation : int, default 1
    padding : int, 'same' or 'valid', default 0
    groups : int, default 1

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[1.0, 4.0, 9.0, 16.0]]])
    >>> conv1d(x, np.array([[[-1.0, 1.0]]]))
    array([[[3., 5., 7.]]])
    """
    return convolution("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size | str = 0,
    dilation: int | Size = 1,
    groups: int = 1,
) -> Any:
    """Slide a weight along images, multiply and sum; the convolution of PyTorch, as one node.

    ``y[n, o, r, s] = bias[o] + sum over c, i, j of w[o, c, i, j] x[n, c, r + i, s + j]``, a
    cross-correlation to a mathematician, with ``stride * r + dilation * i`` in place of
    ``r + i`` for other strides and dilations.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, height, width) or (channels, height, width)
        The images, or one.
    weight : array_like or Tensor, shape (out_channels, channels / groups, *kernel)
        The kernels.
    bias : array_like or Tensor, shape (out_channels,), optional
        Added to each channel.
    stride : int or (int, int), default 1
        How far the kernel moves.
    padding : int, (int, int), 'same' or 'valid', default 0
        The number of zeros added on each side; 'same' (for stride 1) adds as many as give y the
        height and width of x, 'valid' adds none.
    dilation : int or (int, int), default 1
        The distance between the elements that the kernel covers.
    groups : int, default 1
        Channels and out_channels are split into this many groups, each convolved separately.

    Returns
    -------
    array or Tensor, shape (n, out_channels, height', width')
        With ``height' = (height + 2 padding - dilation (kernel - 1) - 1) // stride + 1``.

    Raises
    ------
    ShapeError
        If the shapes do not fit each other or `groups`, or the kernel is larger than x.
    ValueError
        If stride, padding, dilation or groups is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), padding="same")
    array([[[[4., 4., 2.],
             [4., 4., 2.],
             [2., 2., 1.]]]])
    """
    return convolution("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


def convolution(
    name: str,
    axes: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> Any:
    """Check the arguments of a convolution, and compute it."""
    x, single = as_batch(name, x, axes)
    weight = as_given(weight)
    (groups,) = for_each_axis(name, "groups", groups, 1)
    if (
        weight.ndim != axes + 2
        or 0 in weight.shape
        or len(weight) % groups
        or weight.shape[1] * groups != x.shape[1]
    ):
        raise ShapeError(
            f"{name}: an input of shape {x.shape} with groups={groups} needs a weight of shape "
            f"(out_channels, {x.shape[1]} / {groups}, {', '.join(['kernel'] * axes)}), with "
            f"out_channels a multiple of {groups}, not {weight.shape}."
        )
    if bias is not None:
        bias = as_given(bias)
        if bias.shape != weight.shape[:1]:
            raise ShapeError(
                f"{name}: a weight of shape {weight.shape} needs a bias of shape "
                f"{weight.shape[:1]}, not {bias.shape}."
            )
    window = make_window(name, x, weight.shape[2:], stride, padding, dilation)
    y = convolve(x, weight, bias, window=window, groups=groups)
    return y[0] if single else y


# -- transposed convolution -------------------------------------------------------------------


def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size = 0,
    output_padding: int | Size = 0,
    groups: int = 1,
    dilation: int | Size = 1,
) -> Any:
    """Add a weight, times each entry, along sequences: `conv_transpose2d` with one axis.

    Examples
    --------
    >>> import numpy as np
    >>> conv_transpose1d(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 10.0, 100.0]]]), stride=2)
    array([[[  1.,  10., 102.,  20., 200.]]])
    """
    options = stride, padding, output_padding, groups, dilation
    return transposed("conv_transpose1d", 1, x, weight, bias, *options)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size = 0,
    output_padding: int | Size = 0,
    groups: int = 1,
    dilation: int | Size = 1,
) -> Any:
    """Add a weight, times each entry of `x`, where it stands: what `conv2d` does to a gradient.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, height, width) or (channels, height, width)
        The images, or one.
    weight : array_like or Tensor, shape (channels, out_channels / groups, *kernel)
        The kernels.
    bias : array_like or Tensor, shape (out_channels,), optional
        Added to each channel.
    stride : int or (int, int), default 1
        The distance between the places to which neighbouring entries go.
    padding : int or (int, int), default 0
        The number of rows and columns that are cut off on each side.
    output_padding : int or (int, int), default 0
        The number of rows and columns added at the end, less than `stride`.
    groups : int, default 1
        Channels and out_channels are split into this many groups, each computed by itself.
    dilation : int or (int, int), default 1
        The distance between the elements of the kernel.

    Returns
    -------
    array or Tensor, shape (n, out_channels, height', width')
        With ``height' = (height - 1) stride - 2 padding + dilation (kernel - 1) + output_padding
        + 1``.

    Raises
    ------
    ShapeError
        If the shapes do not fit each other or `groups`, or nothing is left of the output.
    ValueError
        If an option is not such a number.

    Examples
    --------
    >>> import numpy as np
    >>> conv_transpose2d(np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 2, 2)))
    array([[[[1., 3., 2.],
             [1., 3., 2.]]]])
    """
    options = stride, padding, output_padding, groups, dilation
    return transposed("conv_transpose2d", 2, x, weight, bias, *options)


def transposed(
    name: str,
    axes: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> Any:
    """Check the arguments of a transposed convolution, and compute it."""
    x, single = as_batch(name, x, axes)
    weight = as_given(weight)
    (groups,) = for_each_axis(name, "groups", groups, 1)
    if weight.ndim != axes + 2 or len(weight) != x.shape[1] or len(weight) % groups:
        raise ShapeError(
            f"{name}: an input of shape {x.shape} with groups={groups} needs a weight of shape "
            f"({x.shape[1]}, out_channels / {groups}, {', '.join(['kernel'] * axes)}), not "
            f"{weight.shape}."
        )
    strides = for_each_axis(name, "stride", stride, axes)
    more = for_each_axis(name, "output_padding", output_padding, axes, least=0)
    if any(m >= s for m, s in zip(more, strides, strict=True)):
        raise ValueError(f"{name}: output_padding {more} must be less than the stride, {strides}.")
    pads = tuple((p, p) for p in for_each_axis(name, "padding", padding, axes, least=0))
    window = Window(
        weight.shape[2:], strides, pads, for_each_axis(name, "dilation", dilation, axes)
    )
    shapes = zip(x.shape[2:], strides, pads, window.spans(), more, strict=True)
    size = tuple((n - 1) * s - 2 * p + span + m for n, s, (p, _), span, m in shapes)
    if min(size) < 1 or x.size == 0 < len(x):
        raise ShapeError(f"{name}: of an input of shape {x.shape} an output of {size} is left.")
    y = conv_input(x, weight, size=size, window=window, groups=groups)
    if bias is not None:
        y = y + np.reshape(bias, (-1, *[1] * axes))
    return y[0] if single else y
