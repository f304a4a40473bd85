"""Rules of the activation functions that consist of straight lines."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.operands import as_array
from gradlite.autodiff.precision import as_float
from gradlite.errors import ShapeError


def floats(x: Any) -> Any:
    """Return what the formula of a function computes with: lists as arrays, integers as floats."""
    x = as_array(x)
    return as_float(x) if hasattr(x, "dtype") else x  # the scalar API's Values have no type


@primitive
def relu(x: Any) -> Any:
    """Rectify: ``max(x, 0)``, elementwise; the derivative at 0 is taken as 0.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    if not isinstance(x, np.ndarray) or x.size < 2048 or not x.flags.c_contiguous:
        return np.maximum(x, 0)
    nothing = zeros(x.dtype)
    if x.size <= ZEROS:
        return np.maximum(x, nothing[: x.size].reshape(x.shape))
    ans, entries = np.empty(x.shape, x.dtype), x.reshape(-1)
    positive = ans.reshape(-1)
    for start in range(0, x.size, ZEROS):
        part = entries[start : start + ZEROS]
        np.maximum(part, nothing[: part.size], out=positive[start : start + ZEROS])
    return ans


ZEROS = 2**15


@cache
def zeros(dtype: Any) -> Any:
    """Return zeros, read-only: a maximum of two arrays is three times as fast as with a number."""
    vector = np.zeros(ZEROS, dtype)
    vector.flags.writeable = False
    return vector


@primitive
def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """Compute ``x`` where it is positive, ``negative_slope * x`` elsewhere.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.
    negative_slope : float, default 0.01
        The slope below 0, and at 0.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.leaky_relu(np.array([-1.0, 2.0]))
    array([-0.01,  2.  ])
    """
    if negative_slope == 0:
        return relu(x)  # not inf * 0
    return (np.maximum if negative_slope <= 1 else np.minimum)(x, negative_slope * x)


def prelu(x: Any, weight: Any) -> Any:
    """Compute ``x`` where it is positive, ``weight * x`` elsewhere.

    It is `leaky_relu` with slopes that are learned: He et al., "Delving deep into rectifiers"
    (arXiv:1502.01852).

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.
    weight : array_like or Tensor, shape (1,) or (channels,)
        The slopes below 0, and at 0: one for all, or one for each index of axis 1 of `x`.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Raises
    ------
    ShapeError
        If the number of slopes is neither 1 nor that of the channels.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.prelu(np.array([[-1.0, -1.0, 2.0]]), np.array([0.5, 0.25, 0.1]))
    array([[-0.5 , -0.25,  2.  ]])
    """
    x = floats(x)
    if not hasattr(weight, "dtype"):
        weight = np.asarray(weight, x.dtype)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ShapeError(
            f"prelu: a weight of shape {weight.shape} does not fit x of shape {x.shape}: "
            f"expected (1,) or ({channels},)."
        )
    return prelu_of(x, np.reshape(weight, (-1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else ()))


@primitive
def prelu_of(x: Any, weight: Any) -> Any:
    """Compute `prelu` with a weight that broadcasts."""
    x = floats(x)
    return relu(x) + weight * np.minimum(x, 0)


@primitive
def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Limit ``x`` to an interval; the derivative on its bounds is taken as 0.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.
    min_val, max_val : float
        The bounds, -1 and 1 by default.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.hardtanh(np.array([-3.0, 0.5, 3.0]))
    array([-1. ,  0.5,  1. ])
    """
    return np.clip(x, min_val, max_val)


def relu6(x: Any) -> Any:
    """Compute ``min(max(x, 0), 6)``; the derivative at 0 and 6 is taken as 0.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.relu6(np.array([-1.0, 2.0, 8.0]))
    array([0., 2., 6.])
    """
    return hardtanh(x, min_val=0.0, max_val=6.0)


def hardsigmoid(x: Any) -> Any:
    """Compute ``min(max(x + 3, 0), 6) / 6``; the derivative at -3 and 3 is taken as 0.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.hardsigmoid(np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])
    """
    return relu6(floats(x) + 3.0) / 6.0


def hardswish(x: Any) -> Any:
    """Compute ``x * min(max(x + 3, 0), 6) / 6``, elementwise.

    Howard et al., "Searching for MobileNetV3" (arXiv:1905.02244). The derivative is taken as 0 at
    -3 and 1 at 3.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.hardswish(np.array([-4.0, 1.5, 4.0]))
    array([-0.   ,  1.125,  4.   ])
    """
    x = floats(x)
    return x * (relu6(x + 3.0) / 6.0)


def softshrink(x: Any, lambd: float = 0.5) -> Any:
    """Move ``x`` towards 0 by `lambd`, and to 0 where it is nearer.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.
    lambd : float, default 0.5
        How far, at least 0.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Raises
    ------
    ValueError
        If `lambd` is negative.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.softshrink(np.array([-2.0, 0.2, 2.0]))
    array([-1.5,  0. ,  1.5])
    """
    if lambd < 0:
        raise ValueError(f"softshrink needs lambd of at least 0, not {lambd!r}.")
    x = floats(x)
    return x - np.clip(x, -lambd, lambd)


def threshold(x: Any, threshold: float, value: float) -> Any:
    """Compute ``x`` where it is above `threshold`, `value` elsewhere.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.
    threshold : float
        What ``x`` is compared with.
    value : float
        What takes the place of the others.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.threshold(np.array([-1.0, 2.0]), 0.0, 20.0)
    array([20.,  2.])
    """
    x = floats(x)
    return np.where(x > threshold, x, value)


# The masks are multiplied: np.where takes up to fifty times as long where signs are mixed.
defvjp(relu, lambda g, ans, x: g * (ans > 0), masks=True)
defvjp(
    leaky_relu,
    lambda g, ans, x, negative_slope=0.01: (
        g * (np.multiply(x > 0, 1.0 - negative_slope, dtype=g.dtype) + negative_slope)
    ),
    masks=True,
)
defvjp(
    prelu_of,
    lambda g, ans, x, weight: g * (weight * (x <= 0) + (x > 0)),
    lambda g, ans, x, weight: g * np.minimum(x, 0),
    name="gl.prelu",
    masks=True,
)
defvjp(
    hardtanh,
    lambda g, ans, x, min_val=-1.0, max_val=1.0: g * ((ans > min_val) & (ans < max_val)),
    masks=True,
)
