"""Rules of the activation functions of networks; see also `rectifiers` and `gaussian`."""

from __future__ import annotations

from math import inf, pi, sqrt
from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.rule import RULES
from gradlite.autodiff.rules.gaussian import erf, normal_cdf, normal_density
from gradlite.autodiff.rules.rectifiers import (
    floats,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    prelu,
    relu,
    relu6,
    softshrink,
    threshold,
)
from gradlite.errors import ShapeError

__all__ = [
    "celu",
    "elu",
    "erf",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]


@primitive
def elu(x: Any, alpha: float = 1.0) -> Any:
    """Compute ``x`` where it is positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential
    linear units" (arXiv:1511.07289).

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.
    alpha : float, default 1.0
        The limit far below 0 is ``-alpha``.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.elu(np.array([-1000.0, 2.0]))
    array([-1.,  2.])
    """
    x = floats(x)
    return relu(x) + alpha * expm1(np.minimum(x, 0))


def expm1(x: Any) -> Any:
    """Compute exp(x) - 1 for x <= 0; in float32 to 3 units in the last place."""
    if x.dtype.char != "f":
        return np.expm1(x)
    # NumPy's tanh is fast from AVX2 on, its expm1 takes ten times as long without AVX-512.
    t = np.tanh(0.5 * x)
    below = 1.0 - t
    t += t
    t /= below
    return t


def selu(x: Any) -> Any:
    """Compute ``1.0507 * elu(x, 1.67326)``: activations keep mean 0 and variance 1.

    Klambauer et al., "Self-normalizing neural networks" (arXiv:1706.02515).

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
    >>> gl.selu(np.array([-1000.0, 1.0])).round(4)
    array([-1.7581,  1.0507])
    """
    return SELU_SCALE * elu(x, alpha=SELU_ALPHA)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def celu(x: Any, alpha: float = 1.0) -> Any:
    """Compute ``x`` where it is positive, ``alpha * (exp(x / alpha) - 1)`` elsewhere.

    Barron, "Continuously differentiable exponential linear units" (arXiv:1704.07483).

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.
    alpha : float, default 1.0
        The limit far below 0 is ``-alpha``.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Raises
    ------
    ValueError
        If `alpha` is not positive.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.celu(np.array([-1000.0, 1.0]), alpha=2.0)
    array([-2.,  1.])
    """
    if not alpha > 0:
        raise ValueError(f"celu needs a positive alpha, not {alpha!r}.")
    return elu(x) if alpha == 1 else alpha * elu(floats(x) / alpha)


@primitive
def sigmoid(x: Any) -> Any:
    """Compute the logistic function ``1 / (1 + exp(-x))``, elementwise, for any finite x.

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
    >>> gl.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that is meant
        return 1.0 / (1.0 + np.exp(-floats(x)))


@primitive
def softplus(x: Any, beta: float = 1.0, threshold: float = inf) -> Any:
    """Compute ``log(1 + exp(beta * x)) / beta``, elementwise, for any finite x.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.
    beta : float, default 1.0
        How sharp the bend is.
    threshold : float, default inf
        Where ``beta * x`` is above it, ``x`` itself is returned.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.softplus(np.array([-1000.0, 1000.0]))
    array([   0., 1000.])
    """
    z = scaled(floats(x), beta)
    e = np.exp(-np.abs(z))
    if threshold != inf:
        e = e * (z <= threshold)
    return scaled(relu(z) + np.log1p(e), 1 / beta)


def scaled(x: Any, factor: float) -> Any:
    """Multiply by a factor that usually is 1."""
    return x if factor == 1 else x * factor


def logsigmoid(x: Any) -> Any:
    """Compute ``log(sigmoid(x))``, elementwise, for any finite x.

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
    >>> gl.logsigmoid(np.array([-1000.0, 1000.0]))
    array([-1000.,    -0.])
    """
    return -softplus(-floats(x))


@primitive
def silu(x: Any) -> Any:
    """Compute ``x * sigmoid(x)``, elementwise (also called swish).

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
    >>> gl.silu(np.array([-1000.0, 0.0, 1000.0]))
    array([  -0.,    0., 1000.])
    """
    x = floats(x)
    with np.errstate(over="ignore"):  # x / (1 + inf) is the 0 that is meant
        return x / (1.0 + np.exp(-x))


def mish(x: Any) -> Any:
    """Compute ``x * tanh(softplus(x))``, elementwise.

    Misra, "Mish: a self regularized non-monotonic activation function" (arXiv:1908.08681).

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
    >>> gl.mish(np.array([-1000.0, 0.0, 1000.0]))
    array([  -0.,    0., 1000.])
    """
    x = floats(x)
    return x * np.tanh(softplus(x))


def softsign(x: Any) -> Any:
    """Compute ``x / (1 + abs(x))``, elementwise.

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
    >>> gl.softsign(np.array([-3.0, 0.0, 1.0]))
    array([-0.75,  0.  ,  0.5 ])
    """
    x = floats(x)
    return x / (1.0 + np.abs(x))


def tanhshrink(x: Any) -> Any:
    """Compute ``x - tanh(x)``, elementwise.

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
    >>> gl.tanhshrink(np.array([-1000.0, 0.0]))
    array([-999.,    0.])
    """
    x = floats(x)
    return x - np.tanh(x)


def glu(x: Any, axis: int = -1) -> Any:
    """Compute ``a * sigmoid(b)``, where ``a`` and ``b`` are the halves of ``x`` along an axis.

    Dauphin et al., "Language modeling with gated convolutional networks" (arXiv:1612.08083).

    Parameters
    ----------
    x : array_like or Tensor
        Any shape but (); floating-point.
    axis : int, default -1
        The axis that is divided, of even length.

    Returns
    -------
    array or Tensor
        Half as long as `x` along `axis`.

    Raises
    ------
    ShapeError
        If the axis has no two halves.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.glu(np.array([1.0, 2.0, 0.0, 0.0]))
    array([0.5, 1. ])
    """
    x = floats(x)
    shape = np.shape(x)
    if not -len(shape) <= axis < len(shape) or shape[axis] % 2:
        raise ShapeError(f"glu: shape {shape} has no two halves along axis {axis}.")
    a, b = np.split(x, 2, axis=axis)
    return a * sigmoid(b)


@primitive
def gelu(x: Any, approximate: str = "none") -> Any:
    """Compute ``x * P(Z <= x)`` for a standard normal Z, elementwise.

    Hendrycks and Gimpel, "Gaussian Error Linear Units" (arXiv:1606.08415). In float32, the error
    relative to the output is at most ``5e-7 + 3e-8 * x**2``.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; floating-point.
    approximate : {'none', 'tanh'}
        With 'tanh', ``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``, the paper's
        approximation, which differs by up to 5e-4; there are networks that were trained with it.

    Returns
    -------
    array or Tensor
        Of the shape and dtype of `x`.

    Raises
    ------
    ValueError
        If `approximate` is neither.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.gelu(np.array([-1000.0, 0.0, 1000.0]))
    array([  -0.,    0., 1000.])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}.")
    x = floats(x)
    return x * (normal_cdf(x) if approximate == "none" else sigmoid(tanh_argument(x)))


def tanh_argument(x: Any) -> Any:
    """Return what the approximation of gelu takes the sigmoid of: (1 + tanh(u)) / 2 of 2 u."""
    return x * (x * x * (0.044715 * TANH_SCALE) + TANH_SCALE)


TANH_SCALE = 2.0 * sqrt(2.0 / pi)


def gelu_slope(x: Any, approximate: str) -> Any:
    """Return the derivative of `gelu`."""
    if approximate == "none":
        return normal_cdf(x) + x * normal_density(x)
    s = sigmoid(tanh_argument(x))
    return s + s * (1.0 - s) * (x * (x * x * (3 * 0.044715 * TANH_SCALE) + TANH_SCALE))


def softplus_slope(z: Any, threshold: float) -> Any:
    """Return the derivative of `softplus` at ``z / beta``."""
    return sigmoid(z) if threshold == inf else np.maximum(sigmoid(z), z > threshold)


def silu_slope(ans: Any, s: Any) -> Any:
    """Return the derivative of x s, where s = sigmoid(x)."""
    return s + ans * (1.0 - s)


defvjp(
    elu,
    lambda g, ans, x, alpha=1.0: g * (alpha * np.exp(np.minimum(x, 0)) * (x <= 0) + (x > 0)),
    masks=True,
)
defvjp(sigmoid, lambda g, ans, x: g * (ans * (1.0 - ans)))
defvjp(
    softplus,
    lambda g, ans, x, beta=1.0, threshold=inf: g * softplus_slope(scaled(x, beta), threshold),
)
defvjp(silu, lambda g, ans, x: g * silu_slope(ans, sigmoid(x)))
defvjp(gelu, lambda g, ans, x, approximate="none": g * gelu_slope(x, approximate))

for fn in (elu, sigmoid, softplus, silu, gelu):  # elementwise, as ufuncs are
    RULES[fn].singular = True
