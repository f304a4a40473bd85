"""Activation functions under PyTorch's names: those of gradlite, and compositions of them.

`inplace` is accepted and has no effect: arrays that the backward pass needs stay as they are.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np

from gradlite.autodiff.rules import activations as rules
from gradlite.autodiff.rules import reductions
from gradlite.errors import ShapeError
from gradlite.nn.reduction import array_of


def relu(input: Any, inplace: bool = False) -> Any:
    """Compute `gradlite.relu`: ``max(x, 0)``."""
    return rules.relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Compute `gradlite.leaky_relu`: ``x`` above 0, ``negative_slope * x`` below."""
    return rules.leaky_relu(array_of(input), negative_slope=negative_slope)


def prelu(input: Any, weight: Any) -> Any:
    """Compute ``x`` above 0, ``weight * x`` below, with one weight or one for each channel.

    He et al., "Delving deep into rectifiers" (arXiv:1502.01852).

    Parameters
    ----------
    input : array_like or Tensor, shape (n, channels, ...)
        Any shape for a single weight.
    weight : array_like or Tensor, shape (channels,) or (1,)
        The slopes below 0.

    Examples
    --------
    >>> import numpy as np
    >>> prelu(np.array([[-1.0, -1.0]]), np.array([0.5, 0.25]))
    array([[-0.5 , -0.25]])
    """
    input, weight = array_of(input), array_of(weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ShapeError(
            f"prelu: an input of shape {input.shape} takes a weight of shape ({channels},) or "
            f"(1,), not {weight.shape}."
        )
    if weight.size > 1:
        weight = np.reshape(weight, (-1, *(1,) * (input.ndim - 2)))
    return np.where(input > 0, input, weight * input)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Compute `gradlite.elu`: ``x`` above 0, ``alpha * (exp(x) - 1)`` below."""
    return rules.elu(array_of(input), alpha=alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """Compute ``1.0507 * elu(x, 1.6733)``, which keeps mean 0 and variance 1.

    Klambauer et al., "Self-normalizing neural networks" (arXiv:1706.02515), which has the two
    numbers to 20 digits.
    """
    return 1.0507009873554804934193349852946 * elu(input, 1.6732632423543772848170429916717)


def gelu(input: Any, approximate: str = "none") -> Any:
    """Compute `gradlite.gelu`: ``x * P(Z <= x)`` for a standard normal Z.

    Parameters
    ----------
    input : array_like or Tensor
        Any shape.
    approximate : {'none', 'tanh'}
        'tanh' is the approximation ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``
        of Hendrycks and Gimpel (arXiv:1606.08415).

    Examples
    --------
    >>> round(float(gelu(1.0)), 4), round(float(gelu(1.0, approximate="tanh")), 4)
    (0.8413, 0.8412)
    """
    if approximate == "none":
        return rules.gelu(input)
    if approximate != "tanh":
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}.")
    x = array_of(input)
    return 0.5 * x * (1.0 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)))


def silu(input: Any, inplace: bool = False) -> Any:
    """Compute `gradlite.silu`: ``x * sigmoid(x)``."""
    return rules.silu(array_of(input))


def mish(input: Any, inplace: bool = False) -> Any:
    """Compute ``x * tanh(softplus(x))``.

    Misra, "Mish: a self regularized non-monotonic activation function" (arXiv:1908.08681).
    """
    return array_of(input) * np.tanh(rules.softplus(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Compute ``log(1 + exp(beta * x)) / beta``, for any x.

    PyTorch returns x where ``beta * x > threshold``, which differs by 2e-9 at most; here nothing
    overflows, and `threshold` has no effect.

    Examples
    --------
    >>> import numpy as np
    >>> softplus(np.array([-1000.0, 0.0, 1000.0]), beta=2.0)
    array([0.0000000e+00, 3.4657359e-01, 1.0000000e+03])
    """
    return rules.softplus(input) if beta == 1 else rules.softplus(beta * array_of(input)) / beta


def softsign(input: Any) -> Any:
    """Compute ``x / (1 + |x|)``."""
    x = array_of(input)
    return x / (1.0 + np.abs(x))


def sigmoid(input: Any) -> Any:
    """Compute `gradlite.sigmoid`: ``1 / (1 + exp(-x))``."""
    return rules.sigmoid(array_of(input))


def logsigmoid(input: Any) -> Any:
    """Compute ``log(sigmoid(x))``, as ``-softplus(-x)``: finite for any finite x."""
    return -rules.softplus(-array_of(input))


def tanh(input: Any) -> Any:
    """Compute `numpy.tanh`."""
    return np.tanh(input)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Compute ``x``, at least `min_val` and at most `max_val`."""
    return np.clip(array_of(input), min_val, max_val)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Compute ``x * min(max(x + 3, 0), 6) / 6``.

    Howard et al., "Searching for MobileNetV3" (arXiv:1905.02244).
    """
    x = array_of(input)
    return x * np.clip(x + 3.0, 0.0, 6.0) * (1 / 6)


def softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """Compute `gradlite.softmax` along the axis `dim`, in `dtype` if one is given.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.zeros((2, 4)), dim=0)[0]
    array([0.5, 0.5, 0.5, 0.5])
    """
    return reductions.softmax(_along("softmax", input, dim, dtype), axis=dim)


def log_softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """Compute `gradlite.log_softmax` along the axis `dim`, in `dtype` if one is given."""
    return reductions.log_softmax(_along("log_softmax", input, dim, dtype), axis=dim)


def _along(name: str, input: Any, dim: int | None, dtype: Any) -> Any:
    """Return the input in a type; raise TypeError for no axis, which PyTorch would guess."""
    if dim is None:
        raise TypeError(f"{name}: say along which axis: dim=-1 for the last, dim=1 for classes.")
    x = array_of(input)
    return x if dtype is None else x.astype(dtype)
