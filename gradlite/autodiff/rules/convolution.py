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
processing", IWFHR 2006). Columns are made for a few samples at a time, so that they stay in the
cache, and no array is many times as large as the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.errors import ShapeError

Size = tuple[int, ...]

CACHED = 2**20
"""How many bytes of columns to make at a time: what fits into the second-level cache of a core."""

# -- windows ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """A window that slides along the last axes of an array; attributes have an entry for each axis.

    Attributes
    ----------
    kernel : tuple of int
        The number of elements that it covers.
    stride : tuple of int
        How far it moves.
    padding : tuple of (int, int)
        The number of elements added before and after the array.
    dilation : tuple of int
        The distance between the covered elements.
    """

    kernel: Size
    stride: Size
    padding: tuple[tuple[int, int], ...]
    dilation: Size

    def spans(self) -> Size:
        """Return the lengths from the first covered element to the last."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def padded_size(self, size: Size) -> Size:
        """Return the lengths of the axes with their padding."""
        return tuple(n + p + q for n, (p, q) in zip(size, self.padding, strict=True))

    def places(self, size: Size) -> Size:
        """Return the numbers of positions of the window along axes of these lengths."""
        axes = zip(self.padded_size(size), self.spans(), self.stride, strict=True)
        return tuple((n - span) // s + 1 for n, span, s in axes)

    def covered(self, size: Size) -> list[tuple[Any, ...]]:
        """Return, for each element of the kernel, the index of what it covers at all positions."""
        axes = zip(self.kernel, self.dilation, self.places(size), self.stride, strict=True)
        slices = [
            [slice(i, i + (m - 1) * s + 1, s) for i in range(0, k * d, d)] for k, d, m, s in axes
        ]
        return [(..., *index) for index in product(*slices)]

    def inside(self, size: Size) -> tuple[Any, ...]:
        """Return the index that removes the padding."""
        axes = zip(size, self.padding, strict=True)
        return (..., *(slice(p, p + n) for n, (p, _) in axes))

    def pad(self, x: Any, fill: float = 0.0) -> Any:
        """Return `x` with the padding around it."""
        if not any(map(any, self.padding)):
            return x
        size = x.shape[2:]
        padded = np.full((*x.shape[:2], *self.padded_size(size)), fill, x.dtype)
        padded[self.inside(size)] = x
        return padded


def make_window(
    name: str, x: Any, kernel: Size, stride: Any, padding: Any, dilation: Any = 1
) -> Window:
    """Make the window that slides along `x` from a user's arguments, and check that it fits."""
    axes = len(kernel)
    stride = for_each_axis(name, "stride", stride, axes)
    dilation = for_each_axis(name, "dilation", dilation, axes)
    if padding == "same":
        if max(stride) > 1:
            raise ValueError(f"{name}: padding 'same' is for stride 1, not {stride}.")
        extra = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        pads = tuple((n // 2, n - n // 2) for n in extra)
    else:
        padding = 0 if padding == "valid" else padding
        pads = tuple((p, p) for p in for_each_axis(name, "padding", padding, axes, least=0))
    made = Window(kernel, stride, pads, dilation)
    size = made.padded_size(x.shape[2:])
    if any(n < span for n, span in zip(size, made.spans(), strict=True)):
        raise ShapeError(
            f"{name}: a kernel of size {kernel} with dilation {dilation} covers {made.spans()}, "
            f"which is larger than the input of shape {x.shape}, {size} with its padding. Take a "
            f"smaller kernel or more padding."
        )
    return made


def for_each_axis(name: str, option: str, value: Any, axes: int, least: int = 1) -> Size:
    """Return an integer for each axis."""
    sizes = value if isinstance(value, (tuple, list)) else (value,) * axes
    fits = all(isinstance(n, (int, np.integer)) and n >= least for n in sizes)
    if len(sizes) != axes or not fits:
        several = f" or {axes} of them" if axes > 1 else ""
        raise ValueError(
            f"{name}: {option} must be an integer of at least {least}{several}, not {value!r}."
        )
    return tuple(map(int, sizes))


def at_a_time(n: int, per_sample: int) -> int:
    """Return how many of `n` samples, of `per_sample` bytes, fit into the cache."""
    return max(1, min(n, CACHED // max(1, per_sample)))


# -- convolution ------------------------------------------------------------------------------


@primitive(opaque=True)
def convolve(x: Any, w: Any, b: Any = None, *, window: Window, groups: int) -> Any:
    """Sum the products of `w` and what it covers, in all channels of its group, and add `b`."""
    places = window.places(x.shape[2:])
    dtype = np.result_type(*(a for a in (x, w, b) if a is not None))
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
    matrices = w.reshape(groups, len(w) // groups, -1).swapaxes(1, 2)
    x = np.zeros((len(g), channels, *window.padded_size(size)), np.result_type(g, w))
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
    x : array_like or Tensor, shape (n, channels, length)
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
    x : array_like or Tensor, shape (n, channels, height, width)
        The images.
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
    x, weight = as_given(x), as_given(weight)
    spatial = ("length",) if axes == 1 else ("height", "width")
    check_axes(name, x, spatial)
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
    return convolve(x, weight, bias, window=window, groups=groups)


def as_given(x: Any) -> Any:
    """Return arrays and Tensors as they are, and lists as arrays."""
    return x if hasattr(x, "shape") else np.asarray(x)


def check_axes(name: str, x: Any, spatial: tuple[str, ...]) -> None:
    """Raise ShapeError unless `x` has axes for samples, channels and `spatial`."""
    if x.ndim != 2 + len(spatial):
        raise ShapeError(
            f"{name}: the input must have shape (n, channels, {', '.join(spatial)}), not "
            f"{x.shape}. A single sample, or a single channel, needs an axis of length 1."
        )
