"""Layers that slide a window: Conv1d, Conv2d, MaxPool2d and AvgPool2d."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from gradlite.autodiff.rules.convolution import Size, conv1d, conv2d, for_each_axis
from gradlite.autodiff.rules.pooling import avg_pool2d, max_pool2d
from gradlite.errors import ShapeError
from gradlite.nn.layers import check_size, uniform_parameter
from gradlite.nn.module import Module, Rng, generator
from gradlite.nn.normalization import options


class _Convolution(Module):
    """Base of the convolutions along one and two axes."""

    axes: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Size,
        stride: int | Size = 1,
        padding: int | Size | str = 0,
        dilation: int | Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        kind = type(self).__name__
        self.in_channels = check_size(self, "in_channels", in_channels)
        self.out_channels = check_size(self, "out_channels", out_channels)
        self.groups = check_size(self, "groups", groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{kind}: in_channels={in_channels} and out_channels={out_channels} must be "
                f"multiples of groups={groups}."
            )
        self.kernel_size = for_each_axis(kind, "kernel_size", kernel_size, self.axes)
        self.stride = for_each_axis(kind, "stride", stride, self.axes)
        self.dilation = for_each_axis(kind, "dilation", dilation, self.axes)
        self.padding = padding
        if padding not in ("same", "valid"):
            self.padding = for_each_axis(kind, "padding", padding, self.axes, least=0)
        elif padding == "same" and max(self.stride) > 1:
            raise ValueError(f"{kind}: padding 'same' is for stride 1, not {self.stride}.")
        rng = generator(rng)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        bound = 1 / sqrt(prod(shape[1:]))
        self.weight = uniform_parameter(shape, bound, dtype, rng)
        self.bias = uniform_parameter((out_channels,), bound, dtype, rng) if bias else None

    def forward(self, x: Any) -> Any:
        """Convolve."""
        if len(x.shape) != self.axes + 2 or x.shape[1] != self.in_channels:
            spatial = "length" if self.axes == 1 else "height, width"
            raise ShapeError(
                f"{self._title()} got an input of shape {x.shape}: expected "
                f"(n, {self.in_channels}, {spatial})."
            )
        convolve = conv1d if self.axes == 1 else conv2d
        return convolve(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        one = (1,) * self.axes
        usual = {"stride": one, "padding": (0,) * self.axes, "dilation": one, "groups": 1}
        bias = "" if self.bias is not None else ", bias=False"
        sizes = f"{self.in_channels}, {self.out_channels}, {self.kernel_size}"
        return f"{sizes}{options(self, usual)}{bias}"


class Conv1d(_Convolution):
    """Slide kernels along sequences: `Conv2d` with one axis.

    Parameters and attributes are those of `Conv2d`, with an int in place of a pair. The input has
    shape (n, in_channels, length).

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv1d(2, 4, 3, padding="same")
    >>> layer
    Conv1d(2, 4, (3,), padding='same') (28 parameters)
    >>> layer(np.ones((5, 2, 10), np.float32)).shape
    (5, 4, 10)
    """

    axes = 1


class Conv2d(_Convolution):
    """Slide kernels along images; multiply and sum.

    Parameters
    ----------
    in_channels, out_channels : int
        The channels of the input and of the output.
    kernel_size : int or (int, int)
        Height and width of the kernels.
    stride : int or (int, int), default 1
        The step between two positions.
    padding : int, (int, int), 'same' or 'valid', default 0
        The zeros added on each side; 'same' adds as many as keep height and width.
    dilation : int or (int, int), default 1
        The spacing of the elements that a kernel covers.
    groups : int, default 1
        The number of groups into which the channels are split, each convolved separately.
    bias : bool, default True
        Whether to add a bias to each channel.
    dtype : dtype, default float32
        The type of the parameters.
    rng : Generator, optional
        Where the initial values come from.

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels / groups, *kernel_size)
        At first drawn from ``uniform(-b, b)``, where ``b = 1 / sqrt(fan_in)`` with the fan-in
        ``in_channels / groups * prod(kernel_size)``.
    bias : Parameter, shape (out_channels,), or None
        Drawn in the same way as the weight, after it.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv2d(3, 8, 3, stride=2)
    >>> layer
    Conv2d(3, 8, (3, 3), stride=(2, 2)) (224 parameters)
    >>> layer(np.ones((5, 3, 9, 9), np.float32)).shape
    (5, 8, 4, 4)
    """

    axes = 2


# -- pooling ----------------------------------------------------------------------------------


class MaxPool2d(Module):
    """Take the maximum in a window that slides along images.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of the window.
    stride : int or (int, int), optional
        The step between two positions; by default `kernel_size`.
    padding : int or (int, int), default 0
        How far it reaches beyond each side, at most half its size.
    dilation : int or (int, int), default 1
        The spacing of the elements that it covers.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """

    def __init__(
        self,
        kernel_size: int | Size,
        stride: int | Size | None = None,
        padding: int | Size = 0,
        dilation: int | Size = 1,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation

    def forward(self, x: Any) -> Any:
        """Return the maxima."""
        return max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        """Return the size, and what is not the default."""
        usual = {"stride": self.kernel_size, "padding": 0, "dilation": 1}
        return f"{self.kernel_size}{options(self, usual)}"


class AvgPool2d(Module):
    """Take the mean in a window that slides along images.

    Padding counts as zeros. The parameters are those of `MaxPool2d`, without `dilation`.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """

    def __init__(
        self,
        kernel_size: int | Size,
        stride: int | Size | None = None,
        padding: int | Size = 0,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, x: Any) -> Any:
        """Return the means."""
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        """Return the size, and what is not the default."""
        usual = {"stride": self.kernel_size, "padding": 0}
        return f"{self.kernel_size}{options(self, usual)}"
