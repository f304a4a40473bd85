"""Windows that slide along the last axes of an array: what convolution and pooling share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from gradlite.errors import ShapeError

Size = tuple[int, ...]

CACHED = 2**20
"""How many bytes of columns to make at a time: what fits into the second-level cache of a core."""


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
        slices = [self.elements(axis, m) for axis, m in enumerate(self.places(size))]
        return [(..., *index) for index in product(*slices)]

    def elements(self, axis: int, places: int) -> list[slice]:
        """Return, for each element along an axis, the index of what it covers at all positions."""
        d, s = self.dilation[axis], self.stride[axis]
        reach = (places - 1) * s + 1
        return [slice(i * d, i * d + reach, s) for i in range(self.kernel[axis])]

    def positions(self, axis: int, places: int) -> list[slice]:
        """Return, for each position along an axis, the index of what all elements cover there."""
        d, s, span = self.dilation[axis], self.stride[axis], self.spans()[axis]
        return [slice(p * s, p * s + span, d) for p in range(places)]

    def in_plane(self) -> Window:
        """Return the window for two axes: that for one slides along arrays of width 1."""
        more = 2 - len(self.kernel)
        one = (1,) * more
        return Window(
            self.kernel + one, self.stride + one, self.padding + ((0, 0),) * more,
            self.dilation + one,
        )  # fmt: skip

    def reaching_the_end(self, size: Size) -> Window:
        """Return the window with padding after the array for a last position that begins in it.

        That is PyTorch's `ceil_mode`.
        """
        padding = []
        axes = zip(size, self.spans(), self.stride, self.padding, strict=True)
        for n, span, s, (p, q) in axes:
            steps = -(-(n + p + q - span) // s)
            steps -= steps * s >= n + p
            padding.append((p, q + max(0, steps * s + span - (n + p + q))))
        return replace(self, padding=tuple(padding))

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


def at_a_time(n: int, per_sample: int, least: int = 1) -> int:
    """Return how many of `n` samples, of `per_sample` bytes, fit into the cache; or `least`."""
    return max(1, min(n, max(least, CACHED // max(1, per_sample))))


def as_given(x: Any) -> Any:
    """Return arrays and Tensors as they are, and lists as arrays."""
    return x if hasattr(x, "shape") else np.asarray(x)


def as_batch(name: str, x: Any, axes: int) -> tuple[Any, bool]:
    """Return a batch of samples with this many `axes`, and whether it was a sample alone."""
    x = as_given(x)
    if x.ndim not in (axes + 1, axes + 2):
        spatial = ", ".join(("depth", "height", "width")[-axes:] if axes > 1 else ("length",))
        raise ShapeError(
            f"{name}: the input must have shape (n, channels, {spatial}), or (channels, {spatial}) "
            f"for one sample, not {x.shape}."
        )
    single = x.ndim == axes + 1
    return (np.expand_dims(x, 0) if single else x), single
