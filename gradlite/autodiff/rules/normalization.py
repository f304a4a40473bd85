"""Normalization: each channel of a batch, or each row, brought to mean 0 and variance 1.

Both are one node, and one computation. With ``m`` the mean over what is normalized together, a
standardized x and the cotangent of x are

    z = (x - m(x)) / sqrt(v + eps),  v = m((x - m(x))**2)
    (g - m(g) - z * m(g * z)) / sqrt(v + eps)

(Ioffe and Szegedy, "Batch normalization", arXiv:1502.03167, section 3; Ba, Kiros and Hinton, "Layer
normalization", arXiv:1607.06450). A sum along an axis is a product with a vector of ones, several
times as fast as NumPy's reduction.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.precision import as_float, narrow, wide
from gradlite.autodiff.rules.fused import ones
from gradlite.errors import ShapeError

Mean = Callable[[Any], Any]
Running = tuple[np.ndarray, np.ndarray]


def standardize(x: Any, mean: Mean, eps: float) -> tuple[Any, Any, Any, Any]:
    """Return the mean and the variance, and what they make of `x`: z, and what it was scaled by."""
    x = wide(as_float(x))
    m = mean(x)
    z = x - m
    v = mean(z * z)
    scale = 1 / np.sqrt(v + eps)
    z *= scale  # in place for arrays; a Tensor gives a new one
    return m, v, z, scale


def standardize_vjp(g: Any, mean: Mean, z: Any, scale: Any) -> Any:
    """Return the cotangent of what was standardized to `z`."""
    c = z * mean(g * z)
    c += mean(g)
    c -= g
    c *= -scale
    return c


def scaled(z: Any, weight: Any, bias: Any) -> Any:
    """Compute ``z * weight + bias`` of arrays, where either may be None."""
    ans = z if weight is None else z * weight
    if bias is None:
        return ans
    if ans is z or ans.dtype != bias.dtype:
        return ans + bias
    ans += bias
    return ans


def result_type(*arrays: Any) -> Any:
    """Return the type of the output for arguments of which some may be None."""
    return np.result_type(*(array for array in arrays if array is not None))


# -- batches ----------------------------------------------------------------------------------


def channel_sum(x: Any) -> Any:
    """Sum (n, channels) or (n, channels, *size) to (channels,)."""
    if x.ndim > 2:
        n, channels, *size = x.shape
        lines = np.reshape(x, (n * channels, prod(size)))
        x = np.reshape(np.dot(lines, ones(prod(size), x.dtype)), (n, channels))
    return np.dot(ones(len(x), x.dtype), x)


def channel_mean(x: Any) -> Any:
    """Average to (channels,), or (channels, 1, ...), which broadcasts against x."""
    return across(channel_sum(x) / (x.size // x.shape[1]), x)


def across(v: Any, x: Any) -> Any:
    """Return a vector with an entry for each channel, or None, in a shape that broadcasts to x."""
    return v if x.ndim == 2 or v is None else np.reshape(v, (-1, *[1] * (x.ndim - 2)))


def check_channels(x: Any, *arrays: Any) -> None:
    """Raise ShapeError unless this is a batch, and the arrays have one entry for each channel."""
    if x.ndim < 2:
        raise ShapeError(
            f"batch_norm: the input must have shape (n, channels) or (n, channels, ...), not "
            f"{x.shape}."
        )
    for array in arrays:
        if array is not None and array.shape != x.shape[1:2]:
            raise ShapeError(
                f"batch_norm: an input of shape {x.shape} takes a weight, a bias and running "
                f"statistics of shape {x.shape[1:2]}, not {array.shape}."
            )


@primitive
def batch_norm(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    eps: float = 1e-5,
    running: Running | None = None,
    momentum: float = 0.1,
) -> Any:
    """Standardize each channel over a batch, times `weight`, plus `bias`: in training.

    Parameters
    ----------
    x : array_like or Tensor, shape (n, channels) or (n, channels, ...)
        The batch.
    weight, bias : array_like or Tensor, shape (channels,), optional
        The scale and shift of each channel.
    eps : float, default 1e-5
        Added to the variance.
    running : (array, array), optional
        The running mean and variance of each channel. They are updated in place, to
        ``(1 - momentum) * old + momentum * new``, where the new variance is the unbiased one.
    momentum : float, default 0.1
        The weight of the new statistics.

    Returns
    -------
    array or Tensor
        Of the shape of `x`.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there are fewer than two numbers per channel.

    Examples
    --------
    >>> import numpy as np
    >>> batch_norm(np.array([[0.0, 5.0], [2.0, 9.0]]), eps=0.0)
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    check_channels(x, weight, bias, *(running or ()))
    n = x.size // max(1, x.shape[1])
    if n < 2:
        raise ShapeError(
            f"batch_norm: training needs more than one number per channel, and the input has "
            f"shape {x.shape}. Take larger batches, leave out a last batch of one row, or switch "
            f"the module to eval()."
        )
    m, v, z, scale = standardize(x, channel_mean, eps)
    if running is not None:
        for kept, new in zip(running, (m, v * (n / (n - 1))), strict=True):
            kept *= 1 - momentum
            kept += momentum * new.reshape(kept.shape)
    ans = scaled(z, across(weight, x), across(bias, x))
    return narrow(ans, result_type(x, weight, bias)), (z, scale)


def _standardized_batch(x: Any, eps: float, residuals: Any) -> Any:
    return standardize(x, channel_mean, eps)[2:] if residuals is None else residuals


def _batch_norm_vjp(g: Any, x: Any, weight: Any, eps: float, residuals: Any) -> Any:
    z, scale = _standardized_batch(x, eps, residuals)
    if weight is not None:
        scale = scale * across(weight, x)
    return standardize_vjp(g, channel_mean, z, scale)


defvjp(
    batch_norm,
    lambda g, ans, x, weight, bias, eps=1e-5, running=None, momentum=0.1, residuals=None: (
        _batch_norm_vjp(g, x, weight, eps, residuals)
    ),
    lambda g, ans, x, weight, bias, eps=1e-5, running=None, momentum=0.1, residuals=None: (
        channel_sum(g * _standardized_batch(x, eps, residuals)[0])
    ),
    lambda g, ans, x, weight, bias, eps=1e-5, running=None, momentum=0.1, residuals=None: (
        channel_sum(g)
    ),
    has_residuals=True,
)


def batch_norm_inference(x: Any, weight: Any, bias: Any, running: Running, eps: float) -> Any:
    """Do with the running statistics what `batch_norm` does with those of the batch.

    No row depends on the others then: each channel is scaled and shifted.
    """
    mean, var = running
    check_channels(x, weight, bias, mean, var)
    scale = 1 / np.sqrt(var + eps)
    if weight is not None:
        scale = weight * scale
    shift = -mean * scale if bias is None else bias - mean * scale
    return x * across(scale, x) + across(shift, x)


# -- rows -------------------------------------------------------------------------------------


def row_mean(x: Any) -> Any:
    """Average each row, to (n, 1)."""
    mean = np.dot(x, ones(x.shape[1], x.dtype)) / x.shape[1]
    return mean[:, None]


def in_rows(x: Any, shape: tuple[int, ...]) -> Any:
    """Join the last axes, which have this `shape`, into one, and all others into another."""
    if x.ndim == 2 and len(shape) == 1:
        return x
    return np.reshape(x, (prod(x.shape[: x.ndim - len(shape)]), prod(shape)))


@primitive
def layer_norm(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    normalized_shape: tuple[int, ...],
    eps: float = 1e-5,
) -> Any:
    """Standardize over the last axes, times `weight`, plus `bias`.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., *normalized_shape)
        The input.
    weight, bias : array_like or Tensor, shape normalized_shape, optional
        The scale and shift of each element.
    normalized_shape : tuple of int
        The lengths of the axes to normalize over.
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    array or Tensor
        Of the shape of `x`.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> layer_norm(np.array([[0.0, 2.0], [5.0, 9.0]]), normalized_shape=(2,), eps=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    if x.ndim < len(normalized_shape) or x.shape[x.ndim - len(normalized_shape) :] != (
        normalized_shape
    ):
        raise ShapeError(
            f"layer_norm: the last axes of the input must have shape {normalized_shape}, but it "
            f"has shape {x.shape}."
        )
    for array in (weight, bias):
        if array is not None and array.shape != normalized_shape:
            raise ShapeError(
                f"layer_norm: a weight or bias must have shape {normalized_shape}, the "
                f"normalized_shape, not {array.shape}."
            )
    _, _, z, scale = standardize(in_rows(x, normalized_shape), row_mean, eps)
    ans = scaled(z.reshape(x.shape), weight, bias)
    return narrow(ans, result_type(x, weight, bias)), (z, scale)


def _standardized_rows(x: Any, shape: tuple[int, ...], eps: float, residuals: Any) -> Any:
    return standardize(in_rows(x, shape), row_mean, eps)[2:] if residuals is None else residuals


def _layer_norm_vjp(
    g: Any, x: Any, weight: Any, shape: tuple[int, ...], eps: float, residuals: Any
) -> Any:
    z, scale = _standardized_rows(x, shape, eps, residuals)
    g = in_rows(g if weight is None else g * weight, shape)
    return np.reshape(standardize_vjp(g, row_mean, z, scale), x.shape)


def _row_sum(g: Any, shape: tuple[int, ...]) -> Any:
    return np.reshape(np.dot(ones(len(g), g.dtype), g), shape)


defvjp(
    layer_norm,
    lambda g, ans, x, weight, bias, normalized_shape, eps=1e-5, residuals=None: _layer_norm_vjp(
        g, x, weight, normalized_shape, eps, residuals
    ),
    lambda g, ans, x, weight, bias, normalized_shape, eps=1e-5, residuals=None: _row_sum(
        in_rows(g, normalized_shape) * _standardized_rows(x, normalized_shape, eps, residuals)[0],
        normalized_shape,
    ),
    lambda g, ans, x, weight, bias, normalized_shape, eps=1e-5, residuals=None: _row_sum(
        in_rows(g, normalized_shape), normalized_shape
    ),
    has_residuals=True,
)
