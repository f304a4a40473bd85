"""Normalization layers that take each sample by itself: GroupNorm and InstanceNorm."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.rules.normalization import across, layer_norm
from gradlite.errors import ShapeError
from gradlite.nn.layers import check_size
from gradlite.nn.module import Module, Parameter
from gradlite.nn.normalization import input_error, options


def group_norm(x: Any, groups: int, weight: Any, bias: Any, eps: float) -> Any:
    """Standardize the channels of each group together, in each sample; scale and shift each one."""
    n, channels, *size = x.shape
    width = channels // groups * prod(size)
    rows = np.reshape(x, (n * groups, width))
    y = np.reshape(layer_norm(rows, normalized_shape=(width,), eps=eps), x.shape)
    return y if weight is None else y * across(weight, x) + across(bias, x)


class GroupNorm(Module):
    """Normalize groups of channels of each sample to mean 0 and variance 1; scale, shift channels.

    Wu and He, "Group normalization" (arXiv:1803.08494). Both modes compute the same.

    Parameters
    ----------
    num_groups : int
        The number of groups.
    num_channels : int
        The number of channels, a multiple of `num_groups`.
    eps : float, default 1e-5
        Added to the variance.
    affine : bool, default True
        Whether to scale and shift.
    dtype : dtype, default float32
        The type of the parameters.

    Attributes
    ----------
    weight, bias : Parameter, shape (num_channels,), or None
        At first ones, and zeros.

    Notes
    -----
    The input has shape (n, num_channels, ...).

    Examples
    --------
    >>> import numpy as np
    >>> layer = GroupNorm(2, 4)
    >>> layer(np.array([[0.0, 2.0, 5.0, 9.0]], np.float32)).data.round(3)
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        self.num_groups = check_size(self, "num_groups", num_groups)
        self.num_channels = check_size(self, "num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_channels={num_channels} must be a multiple of "
                f"num_groups={num_groups}."
            )
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, x: Any) -> Any:
        """Return the normalized samples."""
        if x.shape[1:2] != (self.num_channels,):
            raise input_error(self, x.shape, [("n", self.num_channels, "...")])
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        usual = {"eps": 1e-5, "affine": True}
        return f"{self.num_groups}, {self.num_channels}{options(self, usual)}"


class _InstanceNorm(Module):
    """Base of the normalizations of each channel of each sample."""

    size: tuple[str, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        dtype: Any = np.float32,
    ) -> None:
        kind = type(self).__name__
        self.num_features = check_size(self, "num_features", num_features)
        if track_running_stats:
            raise ValueError(
                f"{kind}: track_running_stats=True is not available: both modes use the "
                f"statistics of the sample. A BatchNorm keeps running averages."
            )
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None

    def forward(self, x: Any) -> Any:
        """Return the normalized samples."""
        shape, axes = x.shape, len(self.size)
        if len(shape) - axes not in (1, 2) or shape[-1 - axes] != self.num_features:
            one = (self.num_features, *self.size)
            raise input_error(self, shape, [("n", *one), one])
        if prod(shape[-axes:]) < 2:
            raise ShapeError(
                f"{self._title()} got an input of shape {shape}: there must be more than one "
                f"number to a channel."
            )
        samples = np.reshape(x, (-1, *shape[-1 - axes :]))
        y = group_norm(samples, self.num_features, self.weight, self.bias, self.eps)
        return np.reshape(y, shape)

    def extra_repr(self) -> str:
        """Return the size, and the options that differ from their defaults."""
        usual = {"eps": 1e-5, "momentum": 0.1, "affine": False}
        return f"{self.num_features}{options(self, usual)}"


class InstanceNorm1d(_InstanceNorm):
    """Normalize each channel of each sequence by itself: `InstanceNorm2d` with one axis.

    The input has shape (n, num_features, length) or (num_features, length).

    Examples
    --------
    >>> import numpy as np
    >>> InstanceNorm1d(2)(np.array([[[0.0, 2.0], [5.0, 9.0]]])).round(3)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """

    size = ("length",)


class InstanceNorm2d(_InstanceNorm):
    """Normalize each channel of each image to mean 0 and variance 1, then scale and shift it.

    Ulyanov, Vedaldi and Lempitsky, "Instance normalization" (arXiv:1607.08022). Both modes compute
    the same.

    Parameters
    ----------
    num_features : int
        The number of channels.
    eps : float, default 1e-5
        Added to the variance.
    momentum : float or None, default 0.1
        For PyTorch's order of arguments; without running averages it has no effect.
    affine : bool, default False
        Whether to scale and shift.
    track_running_stats : bool, default False
        For PyTorch's order of arguments: True is refused.
    dtype : dtype, default float32
        The type of the parameters.

    Attributes
    ----------
    weight, bias : Parameter, shape (num_features,), or None
        At first ones, and zeros.

    Notes
    -----
    The input has shape (n, num_features, height, width) or (num_features, height, width).

    Examples
    --------
    >>> import numpy as np
    >>> InstanceNorm2d(1)(np.array([[[0.0, 2.0], [0.0, 2.0]]])).round(3)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """

    size = ("height", "width")
