"""Layers that slide kernels: convolutions and transposed convolutions."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from gradlite.autodiff.rules.convolution import (
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
)
from gradlite.autodiff.rules.windows import Size, for_each_axis
from gradlite.errors import ShapeError
from gradlite.nn.layers import check_size, in_type_of, uniform_parameter
from gradlite.nn.module import Module, Rng, generator
from gradlite.nn.normalization import options

PADDING_MODES: dict[str, Any] = {
    "zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap",
}  # fmt: skip
"""PyTorch's names of what stands in the padding, and NumPy's."""


class _Kernels(Module):
    """Base of the convolutions and the transposed ones: sizes, weight and bias."""

    axes: int
    transposed = False
    kernel_size: Size

    def _make_parameters(
        self, in_channels: Any, out_channels: Any, groups: Any, bias: bool, dtype: Any, rng: Rng
    ) -> None:
        """Make weight and bias; `kernel_size` and `transposed` are set."""
        self.in_channels = check_size(self, "in_channels", in_channels)
        self.out_channels = check_size(self, "out_channels", out_channels)
        self.groups = check_size(self, "groups", groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{type(self).__name__}: in_channels={in_channels} and out_channels={out_channels} "
                f"must be multiples of groups={groups}."
            )
        channels = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (channels[0], channels[1] // groups, *self.kernel_size)
        bound = 1 / sqrt(prod(shape[1:]))
        rng = generator(rng)
        self.weight = uniform_parameter(shape, bound, dtype, rng)
        self.bias = uniform_parameter((out_channels,), bound, dtype, rng) if bias else None

    def _for_each_axis(self, option: str, value: Any, least: int = 1) -> Size:
        return for_each_axis(type(self).__name__, option, value, self.axes, least)

    def _check_input(self, shape: tuple[int, ...]) -> None:
        axes = self.axes
        if len(shape) - axes not in (1, 2) or shape[-1 - axes] != self.in_channels:
            sizes = f"{self.in_channels}, " + ("length" if axes == 1 else "height, width")
            raise ShapeError(
                f"{self._title()} got an input of shape {shape}: expected (n, {sizes}) or "
                f"({sizes})."
            )

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        one, zero = (1,) * self.axes, (0,) * self.axes
        usual = {
            "stride": one, "padding": zero, "output_padding": zero, "dilation": one, "groups": 1,
            "padding_mode": "zeros",
        }  # fmt: skip
        usual = {name: value for name, value in usual.items() if hasattr(self, name)}
        bias = "" if self.bias is not None else ", bias=False"
        sizes = f"{self.in_channels}, {self.out_channels}, {self.kernel_size}"
        return f"{sizes}{options(self, usual)}{bias}"


class _Convolution(_Kernels):
    """Base of the convolutions along one and two axes."""

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
        padding_mode: str = "zeros",
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        kind = type(self).__name__
        if padding_mode not in PADDING_MODES:
            known = ", ".join(map(repr, PADDING_MODES))
            raise ValueError(f"{kind}: padding_mode must be one of {known}, not {padding_mode!r}.")
        self.kernel_size = self._for_each_axis("kernel_size", kernel_size)
        self.stride = self._for_each_axis("stride", stride)
        self.dilation = self._for_each_axis("dilation", dilation)
        self.padding: Any = padding
        if padding not in ("same", "valid"):
            self.padding = self._for_each_axis("padding", padding, least=0)
        elif padding == "same" and max(self.stride) > 1:
            raise ValueError(f"{kind}: padding 'same' is for stride 1, not {self.stride}.")
        self.padding_mode = padding_mode
        self._make_parameters(in_channels, out_channels, groups, bias, dtype, rng)

    def forward(self, x: Any) -> Any:
        """Convolve."""
        self._check_input(x.shape)
        x = in_type_of(x, self.weight)
        padding = self.padding
        if self.padding_mode != "zeros" and padding != "valid":
            x, padding = self._pad(x), 0
        convolve = conv1d if self.axes == 1 else conv2d
        return convolve(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _pad(self, x: Any) -> Any:
        if self.padding == "same":
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pads = [(n // 2, n - n // 2) for n in total]
        else:
            pads = [(p, p) for p in self.padding]
        # np.pad would go over the input several times where PyTorch's answer is an error.
        short = 1 if self.padding_mode == "reflect" else 0
        sizes = zip(x.shape[-self.axes :], pads, strict=True)
        if self.padding_mode != "replicate" and any(max(p) > n - short for n, p in sizes):
            raise ShapeError(
                f"{self._title()} got an input of shape {x.shape}: padding {self.padding} with "
                f"padding_mode={self.padding_mode!r} needs one that is larger."
            )
        around = [(0, 0)] * (len(x.shape) - self.axes) + pads
        return np.pad(x, around, mode=PADDING_MODES[self.padding_mode])


class Conv1d(_Convolution):
    """Slide kernels along sequences: `Conv2d` with one axis.

    Parameters and attributes are those of `Conv2d`, with an int in place of a pair. The input has
    shape (n, in_channels, length) or (in_channels, length).

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
    padding_mode : 'zeros', 'reflect', 'replicate' or 'circular', default 'zeros'
        What stands in the padding: zeros, or the input mirrored at its edge, its edge, or its
        other end.
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

    Notes
    -----
    The input has shape (n, in_channels, height, width) or (in_channels, height, width).

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


class _TransposedConvolution(_Kernels):
    """Base of the transposed convolutions along one and two axes."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Size,
        stride: int | Size = 1,
        padding: int | Size = 0,
        output_padding: int | Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Size = 1,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        self.kernel_size = self._for_each_axis("kernel_size", kernel_size)
        self.stride = self._for_each_axis("stride", stride)
        self.padding = self._for_each_axis("padding", padding, least=0)
        self.output_padding = self._for_each_axis("output_padding", output_padding, least=0)
        self.dilation = self._for_each_axis("dilation", dilation)
        self._make_parameters(in_channels, out_channels, groups, bias, dtype, rng)

    def forward(self, x: Any) -> Any:
        """Convolve, the other way round."""
        self._check_input(x.shape)
        x = in_type_of(x, self.weight)
        convolve = conv_transpose1d if self.axes == 1 else conv_transpose2d
        options = self.stride, self.padding, self.output_padding, self.groups, self.dilation
        return convolve(x, self.weight, self.bias, *options)


class ConvTranspose1d(_TransposedConvolution):
    """Add kernels, times each entry, along sequences: `ConvTranspose2d` with one axis.

    Examples
    --------
    >>> import numpy as np
    >>> ConvTranspose1d(2, 4, 4, stride=2, padding=1)(np.ones((5, 2, 10), np.float32)).shape
    (5, 4, 20)
    """

    axes = 1


class ConvTranspose2d(_TransposedConvolution):
    """Add kernels, times each entry, where it stands: a `Conv2d` the other way round.

    It makes images larger that a convolution with the same options made smaller (Dumoulin and
    Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285, section 4).

    Parameters
    ----------
    in_channels, out_channels : int
        The channels of the input and of the output.
    kernel_size : int or (int, int)
        Height and width of the kernels.
    stride : int or (int, int), default 1
        The distance between the places to which neighbouring entries go.
    padding : int or (int, int), default 0
        The number of rows and columns that are cut off on each side.
    output_padding : int or (int, int), default 0
        The number of rows and columns added at the end, less than `stride`.
    groups : int, default 1
        The number of groups into which the channels are split, each computed separately.
    bias : bool, default True
        Whether to add a bias to each channel.
    dilation : int or (int, int), default 1
        The spacing of the elements of a kernel.
    dtype : dtype, default float32
        The type of the parameters.
    rng : Generator, optional
        Where the initial values come from.

    Attributes
    ----------
    weight : Parameter, shape (in_channels, out_channels / groups, *kernel_size)
        At first drawn from ``uniform(-b, b)``, where ``b = 1 / sqrt(n)`` with
        ``n = out_channels / groups * prod(kernel_size)``.
    bias : Parameter, shape (out_channels,), or None
        Drawn in the same way as the weight, after it.

    Notes
    -----
    The input has shape (n, in_channels, height, width) or (in_channels, height, width), and the
    output the height ``(height - 1) stride - 2 padding + dilation (kernel - 1) + output_padding
    + 1``.

    Examples
    --------
    >>> import numpy as np
    >>> layer = ConvTranspose2d(8, 3, 4, stride=2, padding=1)
    >>> layer(np.ones((5, 8, 7, 7), np.float32)).shape
    (5, 3, 14, 14)
    """

    axes = 2
