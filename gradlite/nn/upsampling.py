"""Upsample: images and sequences made larger."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.precision import as_float
from gradlite.autodiff.rules.pooling import along
from gradlite.errors import ShapeError
from gradlite.nn.module import Module

MODES = {"nearest": None, "linear": 1, "bilinear": 2}
"""The modes, and the number of axes that each is for (None: any)."""


def interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Return sequences or images with other lengths of their last axes.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels, length) or (n, channels, height, width)
        The sequences or images.
    size : int or tuple of int, optional
        The lengths of the output's axes.
    scale_factor : float or tuple of float, optional
        In place of `size`, how many times as long they are, rounded down.
    mode : 'nearest', 'linear' (of sequences) or 'bilinear' (of images), default 'nearest'
        Each number of the output is that of the nearest element at or before its place, or lies on
        the line between the two elements around it.
    align_corners : bool, optional
        Of 'linear' and 'bilinear': whether the centres of the first and last elements stay at the
        ends, in place of their outer edges.

    Returns
    -------
    array or Tensor
        Of the type of `x`. Each axis is multiplied by a constant matrix, or indexed.

    Raises
    ------
    ShapeError
        If `x` has another number of axes than `mode` is for.
    ValueError
        If the other arguments do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[1.0, 3.0]]])
    >>> interpolate(x, scale_factor=2)
    array([[[1., 1., 3., 3.]]])
    >>> interpolate(x, 4, mode="linear")
    array([[[1. , 1.5, 2.5, 3. ]]])
    """
    check_options(mode, align_corners, size, scale_factor)
    axes = len(x.shape) - 2
    if axes not in ((1, 2) if MODES[mode] is None else (MODES[mode],)):
        raise ShapeError(f"interpolate: mode {mode!r} does not take an input of shape {x.shape}.")
    lengths = x.shape[2:]
    asked = scale_factor if size is None else size
    each = tuple(asked) if isinstance(asked, (tuple, list)) else (asked,) * axes
    if len(each) != axes:
        raise ValueError(f"interpolate: {asked!r} is not a number for each of {axes} axes.")
    sizes = each if size is not None else [int(n * s) for n, s in zip(lengths, each, strict=True)]
    if 0 in lengths or min(sizes) < 1:
        raise ShapeError(f"interpolate: no output of size {tuple(sizes)} from shape {x.shape}.")
    for i, (n, m) in enumerate(zip(lengths, sizes, strict=True)):
        step = n / m if size is not None else 1 / each[i]
        if mode == "nearest":
            index = np.minimum(np.floor(np.arange(m) * np.float32(step)), n - 1).astype(np.intp)
            x = np.take(x, index, axis=i - axes)
        else:
            x = as_float(x)
            x = along(i - axes, x, line_weights(n, m, step, bool(align_corners), x.dtype))
    return x


def line_weights(n: int, m: int, step: float, align_corners: bool, dtype: Any) -> Any:
    """Return the matrix, shape (n, m), whose columns hold the weights of the elements around."""
    if align_corners:
        at = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0)
    else:
        at = np.maximum((np.arange(m) + 0.5) * step - 0.5, 0)
    before = np.minimum(np.floor(at).astype(np.intp), n - 1)
    after = np.minimum(before + 1, n - 1)
    weights = np.zeros((n, m))
    np.add.at(weights, (before, np.arange(m)), 1 - (at - before))
    np.add.at(weights, (after, np.arange(m)), at - before)
    return weights.astype(dtype)


def check_options(mode: Any, align_corners: Any, size: Any, scale_factor: Any) -> None:
    """Raise ValueError if these arguments are unknown, or do not fit each other."""
    if mode not in MODES:
        raise ValueError(f"interpolate: mode must be one of {', '.join(MODES)}, not {mode!r}.")
    if align_corners is not None and mode == "nearest":
        raise ValueError("interpolate: align_corners is an option of 'linear' and 'bilinear'.")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: pass either size or scale_factor.")


class Upsample(Module):
    """Make sequences or images larger: `interpolate` as a layer.

    Parameters
    ----------
    size : int or tuple of int, optional
        The lengths of the output's axes.
    scale_factor : float or tuple of float, optional
        In place of `size`, how many times as long they are, rounded down.
    mode : 'nearest', 'linear' (of sequences) or 'bilinear' (of images), default 'nearest'
        Whether elements are repeated, or those between are on a line.
    align_corners : bool, optional
        Of 'linear' and 'bilinear': whether the centres of the first and last elements stay at the
        ends, in place of their outer edges.

    Examples
    --------
    >>> import numpy as np
    >>> Upsample(scale_factor=2)(np.array([[[[1.0, 3.0]]]]))
    array([[[[1., 1., 3., 3.],
             [1., 1., 3., 3.]]]])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        check_options(mode, align_corners, size, scale_factor)
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, x: Any) -> Any:
        """Interpolate."""
        return interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        """Return the options that were given."""
        names = ("size", "scale_factor", "align_corners")
        given = [f"{n}={getattr(self, n)!r}" for n in names if getattr(self, n) is not None]
        return ", ".join([*given, f"mode={self.mode!r}"])
