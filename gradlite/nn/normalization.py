"""Normalization layers: BatchNorm1d and LayerNorm."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rules.normalization import batch_norm, batch_norm_inference, layer_norm
from gradlite.errors import ShapeError
from gradlite.nn.layers import check_size
from gradlite.nn.module import Module, Parameter


def options(layer: Module, usual: dict[str, Any]) -> str:
    """Return the attributes of a layer that differ from their defaults, as text."""
    given = ((name, getattr(layer, name), default) for name, default in usual.items())
    return "".join(f", {name}={value!r}" for name, value, default in given if value != default)


class BatchNorm1d(Module):
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
        if len(x.shape) not in (2, 3) or x.shape[1] != self.num_features:
            raise ShapeError(
                f"{self._title()} got an input of shape {x.shape}: expected "
                f"(n, {self.num_features}) or (n, {self.num_features}, length)."
            )
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
        lengths = (
            normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        )
        self.normalized_shape = tuple(check_size(self, "normalized_shape", n) for n in lengths)
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
            expected = ", ".join(map(str, ("...", *self.normalized_shape)))
            raise ShapeError(
                f"{self._title()} got an input of shape {np.shape(x)}: expected ({expected})."
            ) from None

    def extra_repr(self) -> str:
        """Return the shape, and the options that differ from their defaults."""
        shape = self.normalized_shape
        usual = {"eps": 1e-5, "elementwise_affine": True}
        bias = ", bias=False" if self.elementwise_affine and self.bias is None else ""
        return f"{shape[0] if len(shape) == 1 else shape}{options(self, usual)}{bias}"
