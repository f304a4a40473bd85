"""What layers compute, under PyTorch's names: weights are arguments here.

Each is the function of the layer of that name in `gradlite.nn`.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from gradlite.autodiff.rules import convolution, fused, normalization, pooling, softmax, sparse
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import ShapeError
from gradlite.nn.embedding import bilinear as bilinear_of
from gradlite.nn.functional.sizes import as_given
from gradlite.nn.layers import drop
from gradlite.nn.modes import Rng, generator

# -- weights ----------------------------------------------------------------------------------


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Compute ``input @ weight.T + bias``.

    Parameters
    ----------
    input : array_like or Tensor, shape (..., in_features)
        The rows.
    weight : array_like or Tensor, shape (out_features, in_features)
        As in `gradlite.nn.Linear`.
    bias : array_like or Tensor, shape (out_features,), optional
        Added to each row.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.array([1.0, 2.0]), np.array([[3.0, 4.0]]), np.array([0.5]))
    array([11.5])
    """
    return fused.linear(as_given(input), as_given(weight), bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """Compute ``input1 @ weight[k] @ input2 + bias[k]`` for each output k.

    Parameters
    ----------
    input1, input2 : array_like or Tensor, shapes (..., n) and (..., m)
        The pairs of rows.
    weight : array_like or Tensor, shape (out_features, n, m)
        As in `gradlite.nn.Bilinear`.
    bias : array_like or Tensor, shape (out_features,), optional
        Added to each row.

    Examples
    --------
    >>> import numpy as np
    >>> bilinear(np.array([1.0, 2.0]), np.array([3.0]), np.ones((1, 2, 1)))
    array([9.])
    """
    x, y, weight = as_given(input1), as_given(input2), as_given(weight)
    if weight.ndim != 3 or (*x.shape, *y.shape[-1:]) != (*y.shape[:-1], *weight.shape[1:]):
        raise ShapeError(
            f"bilinear: inputs of shapes {x.shape} and {y.shape} do not fit a weight of shape "
            f"{weight.shape}: expected (..., n), (..., m) and (out_features, n, m)."
        )
    return bilinear_of(x, y, weight, bias)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Return the rows of a table at integer indices.

    Parameters
    ----------
    input : array_like of int
        The indices, of any shape.
    weight : array_like or Tensor, shape (n, m)
        The table.
    padding_idx : int, optional
        A row that gets no gradient; it may count from the end.

    Examples
    --------
    >>> import numpy as np
    >>> embedding(np.array([1, 0]), np.array([[0.0, 0.5], [1.0, 1.5]]))
    array([[1. , 1.5],
           [0. , 0.5]])
    """
    indices, weight = as_given(input), as_given(weight)
    indices = indices.data if isinstance(indices, Tensor) else indices
    if padding_idx is not None:
        padding_idx = range(len(weight))[padding_idx]
    return sparse.embedding(weight, indices=indices, padding_idx=padding_idx)


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Slide kernels along sequences, as `gradlite.nn.Conv1d` does.

    Parameters
    ----------
    input : array_like or Tensor, shape (n, in_channels, length) or (in_channels, length)
        The sequences.
    weight : array_like or Tensor, shape (out_channels, in_channels / groups, kernel)
        The kernels.
    bias : array_like or Tensor, shape (out_channels,), optional
        Added to each channel.
    stride, padding, dilation, groups : int
        As in `gradlite.nn.Conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[-1.0, 1.0]]]))
    array([[[1., 2.]]])
    """
    options = (weight, bias, stride, padding, dilation, groups)
    return batched(convolution.conv1d, 3, input, *options)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Slide kernels along images, as `gradlite.nn.Conv2d` does.

    Parameters
    ----------
    input : array_like or Tensor, shape (n, in_channels, h, w) or (in_channels, h, w)
        The images.
    weight : array_like or Tensor, shape (out_channels, in_channels / groups, kernel, kernel)
        The kernels.
    bias : array_like or Tensor, shape (out_channels,), optional
        Added to each channel.
    stride, padding, dilation, groups
        As in `gradlite.nn.Conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    options = (weight, bias, stride, padding, dilation, groups)
    return batched(convolution.conv2d, 4, input, *options)


def batched(fn: Any, ndim: int, input: Any, *args: Any) -> Any:
    """Call `fn` with a batch; of a single sample, one axis less, make a batch of one."""
    x = as_given(input)
    return fn(x[None], *args)[0] if x.ndim == ndim - 1 else fn(x, *args)


# -- pooling ----------------------------------------------------------------------------------


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Any:
    """Take the maximum in a window that slides along images, as `gradlite.nn.MaxPool2d` does.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 5.,  7.],
            [13., 15.]]])
    """
    stride = kernel_size if stride is None else stride
    return batched(pooling.max_pool2d, 4, input, kernel_size, stride, padding, dilation)


def avg_pool2d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Any:
    """Take the mean in a window that slides along images, as `gradlite.nn.AvgPool2d` does.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 2.5,  4.5],
            [10.5, 12.5]]])
    """
    stride = kernel_size if stride is None else stride
    return batched(pooling.avg_pool2d, 4, input, kernel_size, stride, padding)


# -- noise ------------------------------------------------------------------------------------


def dropout(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, rng: Rng = None
) -> Any:
    """Set elements to zero at random, and scale up the others, as `gradlite.nn.Dropout` does.

    Parameters
    ----------
    input : array_like or Tensor
        Any shape.
    p : float, default 0.5
        The probability of being dropped.
    training : bool, default True
        Whether to drop at all: pass ``self.training`` of the module.
    inplace : bool, default False
        Accepted, without effect.
    rng : Generator, optional
        Where the draws come from. In a compiled function it must be an attribute of the module.

    Examples
    --------
    >>> import numpy as np
    >>> dropout(np.ones(6), rng=np.random.default_rng(4))
    array([0., 2., 0., 2., 0., 2.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be from 0 to 1, not {p!r}.")
    x = as_given(input)
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0.0
    return drop(x, p, x.shape, generator(None) if rng is None else rng)


# -- normalization and attention --------------------------------------------------------------


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalize over the last axes, then scale and shift, as `gradlite.nn.LayerNorm` does.

    Examples
    --------
    >>> import numpy as np
    >>> layer_norm(np.array([[0.0, 2.0]]), (2,), eps=0.0)
    array([[-1.,  1.]])
    """
    several = isinstance(normalized_shape, (tuple, list))
    shape = tuple(normalized_shape) if several else (normalized_shape,)
    return normalization.layer_norm(as_given(input), weight, bias, normalized_shape=shape, eps=eps)


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Normalize each channel, then scale and shift it, as `gradlite.nn.BatchNorm1d` does.

    Parameters
    ----------
    input : array_like or Tensor, shape (n, channels, ...)
        The batch.
    running_mean, running_var : array, shape (channels,), or None
        Updated in place in training, and used otherwise.
    weight, bias : array_like or Tensor, shape (channels,), optional
        The scale and shift.
    training : bool, default False
        Whether to use the mean and variance of the batch.
    momentum : float, default 0.1
        The weight of the batch in the running statistics.
    eps : float, default 1e-5
        Added to the variance.

    Examples
    --------
    >>> import numpy as np
    >>> batch_norm(np.array([[0.0], [2.0]]), None, None, training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    x = as_given(input)
    shape = x.shape
    if x.ndim > 3:  # all axes behind the channels are averaged over
        x = np.reshape(x, (*shape[:2], prod(shape[2:])))
    running = None if running_mean is None or running_var is None else (running_mean, running_var)
    if training:
        ans = normalization.batch_norm(x, weight, bias, eps=eps, running=running, momentum=momentum)
    elif running is None:
        raise ValueError("batch_norm: without training=True, running statistics are needed.")
    else:
        ans = normalization.batch_norm_inference(x, weight, bias, running, eps)
    return np.reshape(ans, shape) if len(shape) > 3 else ans


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, *, rng: Rng = None,
) -> Any:  # fmt: skip
    """Compute ``softmax(scale * query @ key.T + mask) @ value`` over the last two axes.

    Vaswani et al., "Attention is all you need" (arXiv:1706.03762).

    Parameters
    ----------
    query : array_like or Tensor, shape (..., length, d)
        What is looked for.
    key, value : array_like or Tensor, shapes (..., positions, d) and (..., positions, m)
        Where, and what is found there.
    attn_mask : array_like or Tensor, optional
        Of a shape that broadcasts to (..., length, positions): booleans, True where a position
        takes part, or numbers to be added. A row with no position gives zeros.
    dropout_p : float, default 0.0
        The probability of dropping a weight; pass 0 when not training.
    is_causal : bool, default False
        Whether position i looks at positions up to i only.
    scale : float, optional
        By default ``1 / sqrt(d)``.
    rng : Generator, optional
        As in `dropout`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(x, x, x, is_causal=True)[0]
    array([1., 0.])
    """
    q, k, v = as_given(query), as_given(key), as_given(value)
    scale = 1 / sqrt(q.shape[-1]) if scale is None else scale
    scores = np.matmul(q * float(scale), np.swapaxes(k, -1, -2))
    if is_causal:
        if attn_mask is not None:
            raise ValueError("scaled_dot_product_attention: either attn_mask or is_causal.")
        attn_mask = np.tri(scores.shape[-2], scores.shape[-1], dtype=bool)
    absent: Any = None
    if attn_mask is not None:
        mask = as_given(attn_mask)
        if mask.dtype == bool:
            scores = np.where(mask, scores, -np.inf)
        else:
            scores = scores + mask.astype(scores.dtype)
        # A row of which nothing is left: its softmax is 0 / 0, and zero is meant.
        raw = scores.data if isinstance(scores, Tensor) else scores
        absent = np.max(raw, axis=-1, keepdims=True) == -np.inf
        scores = np.where(absent, 0.0, scores)
    weights = softmax.softmax(scores)
    if absent is not None:
        weights = np.where(absent, 0.0, weights)
    return np.matmul(dropout(weights, dropout_p, rng=rng), v)
