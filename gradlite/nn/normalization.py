"""Normalization layers: of batches and of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.precision import as_float, narrow, wide
from gradlite.autodiff.rules.normalization import (
    batch_norm,
    batch_norm_inference,
    layer_norm,
)
from gradlite.errors import ShapeError
from gradlite.nn.layers import check_size
from gradlite.nn.module import Module, Parameter


def options(layer: Module, usual: dict[str, Any]) -> str:
    """Return the attributes of a layer that differ from their defaults, as text."""
    given = ((name, getattr(layer, name), default) for name, default in usual.items())
    return "".join(f", {name}={value!r}" for name, value, default in given if value != default)


def lengths(layer: Module, normalized_shape: Any) -> tuple[int, ...]:
    """Return the lengths of the axes to normalize over, one or several."""
    several = isinstance(normalized_shape, (tuple, list))
    given = normalized_shape if several else (normalized_shape,)
    return tuple(check_size(layer, "normalized_shape", n) for n in given)


def input_error(layer: Module, shape: tuple[int, ...], expected: list[Any]) -> ShapeError:
    """Return the error for an input that has none of the expected shapes."""
    shapes = " or ".join(f"({', '.join(map(str, one))})" for one in expected)
    return ShapeError(f"{layer._title()} got an input of shape {shape}: expected {shapes}.")


class _BatchNorm(Module):
    """Base of the normalizations of batches; `shapes` are those after the channels."""

    shapes: tuple[tuple[str, ...], ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        self.num_features = check_size(self, "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        self.running_mean: np.ndarray | None = None
        self.running_var: np.ndarray | None = None
        self.num_batches_tracked: Any = None
        if track_running_stats:
            self.register_buffer("running_mean", np.zeros(num_features, dtype))
            self.register_buffer("running_var", np.ones(num_features, dtype))
            self.register_buffer("num_batches_tracked", np.zeros((), np.int64))

    def forward(self, x: Any) -> Any:
        """Return the normalized batch."""
        fits = any(len(x.shape) == 2 + len(size) for size in self.shapes)
        if not fits or x.shape[1] != self.num_features:
            raise input_error(self, x.shape, [("n", self.num_features, *s) for s in self.shapes])
        if self.running_mean is None or self.running_var is None:
            return batch_norm(x, self.weight, self.bias, eps=self.eps)
        running = self.running_mean, self.running_var
        if not self.training:
            return batch_norm_inference(x, self.weight, self.bias, running, self.eps)
        self.num_batches_tracked += 1
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        return batch_norm(
            x, self.weight, self.bias, eps=self.eps, running=running, momentum=momentum
        )

    def extra_repr(self) -> str:
        """Return the size, and the options that differ from their defaults."""
        usual = {"eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True}
        return f"{self.num_features}{options(self, usual)}"


class BatchNorm1d(_BatchNorm):
    """Normalize each channel of a batch to mean 0 and variance 1, then scale and shift it.

    Training uses the mean and variance of the batch, and keeps a running average of both for
    eval mode, where each row is independent of the others. Ioffe and Szegedy, "Batch normalization"
    (arXiv:1502.03167).

    Parameters
    ----------
    num_features : int
        The number of channels.
    eps : float, default 1e-5
        Added to the variance.
    momentum : float or None, default 0.1
        The weight of each batch in the running average; None averages all batches equally.
    affine : bool, default True
        Whether to scale and shift.
    track_running_stats : bool, default True
        False keeps no running average: eval mode uses the statistics of the batch as well.
    dtype : dtype, default float32
        The type of parameters and buffers.

    Attributes
    ----------
    weight, bias : Parameter, shape (num_features,), or None
        At first ones, and zeros.
    running_mean, running_var : array, shape (num_features,), or None
        At first zeros, and ones. As in PyTorch, the running average is of unbiased variances, while
        the batch is scaled by its biased variance.
    num_batches_tracked : array of int, shape (), or None
        The number of batches in the average.

    Notes
    -----
    The input has shape (n, num_features) or (n, num_features, length).

    Examples
    --------
    >>> import numpy as np
    >>> layer = BatchNorm1d(2)
    >>> x = np.array([[0.0, 5.0], [2.0, 9.0]], np.float32)
    >>> layer(x).data.round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> layer.running_mean
    array([0.1, 0.7], dtype=float32)
    """

    shapes = ((), ("length",))


class BatchNorm2d(_BatchNorm):
    """Normalize each channel of a batch of images: `BatchNorm1d` over height and width as well.

    Parameters, attributes and running averages are those of `BatchNorm1d`. The input has shape
    (n, num_features, height, width).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([0.0, 2.0, 5.0, 9.0], np.float32).reshape(1, 2, 1, 2)
    >>> BatchNorm2d(2)(x).data.round(3)
    array([[[[-1.,  1.]],
    <BLANKLINE>
            [[-1.,  1.]]]], dtype=float32)
    """

    shapes = (("height", "width"),)


class BatchNorm3d(_BatchNorm):
    """Normalize each channel of a batch of volumes: `BatchNorm1d` over three axes more.

    Parameters, attributes and running averages are those of `BatchNorm1d`. The input has shape
    (n, num_features, depth, height, width).

    Examples
    --------
    >>> import numpy as np
    >>> BatchNorm3d(2)(np.ones((3, 2, 4, 4, 4), np.float32)).shape
    (3, 2, 4, 4, 4)
    """

    shapes = (("depth", "height", "width"),)


class LayerNorm(Module):
    """Normalize each row to mean 0 and variance 1, over its last axes, then scale and shift.

    Ba, Kiros and Hinton, "Layer normalization" (arXiv:1607.06450). Both modes compute the same.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The lengths of the last axes, over which to normalize.
    eps : float, default 1e-5
        Added to the variance.
    elementwise_affine : bool, default True
        Whether to scale each element.
    bias : bool, default True
        Whether to shift each element as well.
    dtype : dtype, default float32
        The type of the parameters.

    Attributes
    ----------
    weight, bias : Parameter, shape normalized_shape, or None
        At first ones, and zeros.

    Examples
    --------
    >>> import numpy as np
    >>> LayerNorm(2)(np.array([[0.0, 2.0], [5.0, 9.0]], np.float32)).data.round(3)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        self.normalized_shape = lengths(self, normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Any) -> Any:
        """Return `x` normalized over the last axes."""
        try:
            return layer_norm(
                x,
                self.weight,
                self.bias,
                normalized_shape=self.normalized_shape,
                eps=self.eps,
            )
        except ShapeError:
            raise input_error(self, np.shape(x), [("...", *self.normalized_shape)]) from None

    def extra_repr(self) -> str:
        """Return the shape, and the options that differ from their defaults."""
        shape = self.normalized_shape
        usual = {"eps": 1e-5, "elementwise_affine": True}
        bias = ", bias=False" if self.elementwise_affine and self.bias is None else ""
        return f"{shape[0] if len(shape) == 1 else shape}{options(self, usual)}{bias}"


class RMSNorm(Module):
    """Scale each row, over its last axes, to a mean square of 1, then each element by its weight.

    ``x / sqrt(mean(x**2) + eps) * weight``: Zhang and Sennrich, "Root mean square layer
    normalization" (arXiv:1910.07467).

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The lengths of the last axes, over which to normalize.
    eps : float, optional
        Added to the mean square; by default the distance from 1 to the next number of the type of
        the input, ``np.finfo(dtype).eps``.
    elementwise_affine : bool, default True
        Whether to scale each element.
    dtype : dtype, default float32
        The type of the parameter.

    Attributes
    ----------
    weight : Parameter, shape normalized_shape, or None
        At first ones.

    Examples
    --------
    >>> import numpy as np
    >>> RMSNorm(2)(np.array([[1.0, 7.0]], np.float32)).data.round(3)
    array([[0.2, 1.4]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        self.normalized_shape = lengths(self, normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None

    def forward(self, x: Any) -> Any:
        """Return `x` scaled over the last axes."""
        axes = len(self.normalized_shape)
        if x.shape[-axes:] != self.normalized_shape:
            raise input_error(self, x.shape, [("...", *self.normalized_shape)])
        given, x = x.dtype, wide(as_float(x))
        eps = float(np.finfo(x.dtype).eps) if self.eps is None else self.eps
        mean = np.mean(x * x, axis=tuple(range(-axes, 0)), keepdims=True)
        y = x * (1 / np.sqrt(mean + eps))
        return narrow(y if self.weight is None else y * self.weight, given)

    def extra_repr(self) -> str:
        """Return the shape, and the options that differ from their defaults."""
        shape = self.normalized_shape
        usual = {"eps": None, "elementwise_affine": True}
        return f"{shape[0] if len(shape) == 1 else shape}{options(self, usual)}"
