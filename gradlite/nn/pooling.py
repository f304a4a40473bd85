"""Layers that take the maximum or the mean of what a window covers, or of parts of the input."""

from __future__ import annotations

from typing import Any

from gradlite.autodiff.rules.pooling import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from gradlite.autodiff.rules.windows import Size
from gradlite.nn.module import Module
from gradlite.nn.normalization import options


def refuse_indices(layer: Module, return_indices: bool) -> None:
    """Raise ValueError if a layer is asked for the places of its maxima."""
    if return_indices:
        raise ValueError(
            f"{type(layer).__name__}: return_indices=True is not available: the layer returns the "
            f"maxima alone. Their places are what receives a gradient: gl.grad of the sum."
        )


class _MaxPool(Module):
    """Base of the maxima along one and two axes."""

    def __init__(
        self,
        kernel_size: int | Size,
        stride: int | Size | None = None,
        padding: int | Size = 0,
        dilation: int | Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        refuse_indices(self, return_indices)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def arguments(self) -> tuple[Any, ...]:
        """Return the arguments of the function."""
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode

    def extra_repr(self) -> str:
        """Return the size, and what is not the default."""
        usual = {"stride": self.kernel_size, "padding": 0, "dilation": 1, "ceil_mode": False}
        return f"{self.kernel_size}{options(self, usual)}"


class MaxPool1d(_MaxPool):
    """Take the maximum in a window that slides along sequences: `MaxPool2d` with one axis.

    The input has shape (n, channels, length) or (channels, length).

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool1d(2)(np.array([[[1.0, 4.0, 2.0, 0.0]]]))
    array([[[4., 2.]]])
    """

    def forward(self, x: Any) -> Any:
        """Return the maxima."""
        return max_pool1d(x, *self.arguments())


class MaxPool2d(_MaxPool):
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
    return_indices : bool, default False
        For PyTorch's order of arguments: True is refused.
    ceil_mode : bool, default False
        Whether the last window may reach beyond the end, where it begins within the image.

    Notes
    -----
    The input has shape (n, channels, height, width) or (channels, height, width).

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """

    def forward(self, x: Any) -> Any:
        """Return the maxima."""
        return max_pool2d(x, *self.arguments())


class _AvgPool(Module):
    """Base of the means along one and two axes."""

    def __init__(
        self,
        kernel_size: int | Size,
        stride: int | Size | None = None,
        padding: int | Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def arguments(self) -> tuple[Any, ...]:
        """Return the arguments of the function."""
        return self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad

    def extra_repr(self) -> str:
        """Return the size, and what is not the default."""
        usual = {
            "stride": self.kernel_size, "padding": 0, "ceil_mode": False, "count_include_pad": True,
        }  # fmt: skip
        return f"{self.kernel_size}{options(self, usual)}"


class AvgPool1d(_AvgPool):
    """Take the mean in a window that slides along sequences: `AvgPool2d` with one axis.

    The input has shape (n, channels, length) or (channels, length).

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool1d(2)(np.array([[[1.0, 4.0, 2.0, 0.0]]]))
    array([[[2.5, 1. ]]])
    """

    def forward(self, x: Any) -> Any:
        """Return the means."""
        return avg_pool1d(x, *self.arguments())


class AvgPool2d(_AvgPool):
    """Take the mean in a window that slides along images.

    Padding counts as zeros, or with ``count_include_pad=False`` not at all. The other parameters
    are those of `MaxPool2d`, without `dilation`.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """

    def forward(self, x: Any) -> Any:
        """Return the means."""
        return avg_pool2d(x, *self.arguments())


# -- an output of a given size ------------------------------------------------------------------


class _AdaptiveAvgPool(Module):
    """Base of the means over parts."""

    axes: int

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        """Return the means."""
        return adaptive_avg_pool(x, self.output_size, self.axes)

    def extra_repr(self) -> str:
        """Return the size of the output."""
        return f"{self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Take means over parts of sequences: `AdaptiveAvgPool2d` with one axis.

    Examples
    --------
    >>> import numpy as np
    >>> AdaptiveAvgPool1d(2)(np.array([[[1.0, 2.0, 4.0]]]))
    array([[[1.5, 3. ]]])
    """

    axes = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Take means over parts of images, as many as make an output of a given size.

    Part ``i`` of ``m`` covers the rows from ``floor(i n / m)`` to ``ceil((i + 1) n / m)``.

    Parameters
    ----------
    output_size : int or (int, int)
        Height and width of the output; None in their place leaves an axis as it is.

    Examples
    --------
    >>> import numpy as np
    >>> AdaptiveAvgPool2d((1, None))(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[[[1., 2.]],
    <BLANKLINE>
            [[5., 6.]]]])
    """

    axes = 2


class _AdaptiveMaxPool(_AdaptiveAvgPool):
    """Base of the maxima over parts."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        refuse_indices(self, return_indices)
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        """Return the maxima."""
        return adaptive_max_pool(x, self.output_size, self.axes)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Take maxima over parts of sequences: `AdaptiveMaxPool2d` with one axis.

    Examples
    --------
    >>> import numpy as np
    >>> AdaptiveMaxPool1d(2)(np.array([[[1.0, 2.0, 4.0]]]))
    array([[[2., 4.]]])
    """

    axes = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Take maxima over parts of images, which are those of `AdaptiveAvgPool2d`.

    Parameters
    ----------
    output_size : int or (int, int)
        Height and width of the output; None in their place leaves an axis as it is.
    return_indices : bool, default False
        For PyTorch's order of arguments: True is refused.

    Examples
    --------
    >>> import numpy as np
    >>> AdaptiveMaxPool2d(1)(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[[[3.]],
    <BLANKLINE>
            [[7.]]]])
    """

    axes = 2
