"""Padding, resizing and one-hot codes, under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.operands import plain_array
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import DtypeError, ShapeError


def as_given(x: Any) -> Any:
    """Return arrays and Tensors as they are, and lists as arrays."""
    return plain_array(x, "nn.functional of")


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest"
) -> Any:
    """Resize the axes behind the first two by repeating or leaving out elements.

    Parameters
    ----------
    input : array_like or Tensor, shape (n, channels, ...)
        Sequences, images or volumes.
    size : int or tuple of int, optional
        The new lengths.
    scale_factor : float or tuple of float, optional
        Or how many times the old ones.
    mode : {'nearest'}
        The only one so far: each element is that at ``floor(place / scale)``.

    Examples
    --------
    >>> import numpy as np
    >>> interpolate(np.array([[[1.0, 2.0]]]), scale_factor=2)
    array([[[1., 1., 2., 2.]]])
    """
    x = as_given(input)
    if mode != "nearest":
        raise ValueError(f"interpolate: mode must be 'nearest', not {mode!r}.")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: pass either size or scale_factor.")
    given = scale_factor if size is None else size
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,) * (x.ndim - 2)
    if x.ndim < 3 or len(values) != x.ndim - 2:
        raise ShapeError(
            f"interpolate: an input of shape {x.shape} does not fit {given!r}: expected "
            f"(n, channels, ...), and a number for each axis behind these."
        )
    for axis, value in enumerate(values, 2):
        old = x.shape[axis]
        new = int(value) if scale_factor is None else int(old * value)
        scale = old / new if scale_factor is None else 1 / value
        places = np.minimum((np.arange(new) * np.float32(scale)).astype(int), old - 1)
        x = np.take(x, places, axis=axis)
    return x


PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Surround an array; the widths begin with the last axis, as in PyTorch.

    Parameters
    ----------
    input : array_like or Tensor
        Any shape.
    pad : sequence of int
        Before and after the last axis, before and after the one before it, and so on. Negative
        widths cut off.
    mode : {'constant', 'reflect', 'replicate', 'circular'}
        Where the new elements come from.
    value : float, default 0.0
        The constant.

    Examples
    --------
    >>> import numpy as np
    >>> pad(np.array([[1.0, 2.0]]), (1, 0, 0, 1), value=9.0)
    array([[9., 1., 2.],
           [9., 9., 9.]])
    """
    x, widths = as_given(input), [int(n) for n in pad]
    if mode not in PAD_MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(PAD_MODES)}, not {mode!r}.")
    if len(widths) % 2 or len(widths) > 2 * x.ndim:
        raise ShapeError(f"pad: {len(widths)} widths do not fit an input of shape {x.shape}.")
    pairs = [(0, 0)] * (x.ndim - len(widths) // 2)
    pairs += list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    for n, (before, after) in zip(x.shape, pairs, strict=True):
        most = n - (mode == "reflect")
        if n + before + after < 0 or (
            mode in ("reflect", "circular") and max(before, after) > most
        ):
            raise ShapeError(f"pad: the widths {tuple(pad)} are too large for shape {x.shape}.")
    cut = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, pairs, strict=True))
    if min(widths, default=0) < 0:
        x = x[cut]
    options = {"constant_values": value or 0} if mode == "constant" else {}
    kept = [(max(before, 0), max(after, 0)) for before, after in pairs]
    return np.pad(x, kept, mode=PAD_MODES[mode], **options)  # type: ignore[call-overload]


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """Return int64 zeros, with a one at each class, along a new last axis.

    Parameters
    ----------
    input : array_like of int
        Classes, from 0.
    num_classes : int, default -1
        How many there are; by default one more than the largest.

    Examples
    --------
    >>> import numpy as np
    >>> one_hot(np.array([2, 0]))
    array([[0, 0, 1],
           [1, 0, 0]])
    """
    x = as_given(input)
    x = x.data if isinstance(x, Tensor) else x
    if x.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: classes must be integers, not {x.dtype}.")
    if num_classes == -1:
        num_classes = int(x.max()) + 1
    if x.size and (x.min() < 0 or x.max() >= num_classes):
        raise IndexError(f"one_hot: classes must be from 0 to {num_classes - 1}.")
    return (np.expand_dims(x, -1) == np.arange(num_classes)).astype(np.int64)
