"""Activation functions under PyTorch's names: those of gradlite.

`inplace` is accepted and has no effect: arrays that the backward pass needs stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rules import activations as rules
from gradlite.autodiff.rules import rectifiers
from gradlite.autodiff.rules import softmax as softmaxes
from gradlite.nn.reduction import array_of


def relu(input: Any, inplace: bool = False) -> Any:
    """Compute `gradlite.relu`: ``max(x, 0)``."""
    return rectifiers.relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Compute `gradlite.leaky_relu`: ``x`` above 0, ``negative_slope * x`` below."""
    return rectifiers.leaky_relu(array_of(input), negative_slope=negative_slope)


def prelu(input: Any, weight: Any) -> Any:
    """Compute ``x`` above 0, ``weight * x`` below, with one weight or one for each channel.

    Examples
    --------
    >>> import numpy as np
    >>> prelu(np.array([[-1.0, -1.0]]), np.array([0.5, 0.25]))
    array([[-0.5 , -0.25]])
    """
    return rectifiers.prelu(array_of(input), array_of(weight))


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Compute `gradlite.elu`: ``x`` above 0, ``alpha * (exp(x) - 1)`` below."""
    return rules.elu(array_of(input), alpha=alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """Compute `gradlite.selu`: the ELU that keeps mean 0 and variance 1."""
    return rules.selu(array_of(input))


def gelu(input: Any, approximate: str = "none") -> Any:
    """Compute `gradlite.gelu`: ``x * P(Z <= x)`` for a standard normal Z.

    Examples
    --------
    >>> round(float(gelu(1.0)), 4), round(float(gelu(1.0, approximate="tanh")), 4)
    (0.8413, 0.8412)
    """
    return rules.gelu(array_of(input), approximate=approximate)


def silu(input: Any, inplace: bool = False) -> Any:
    """Compute `gradlite.silu`: ``x * sigmoid(x)``."""
    return rules.silu(array_of(input))


def mish(input: Any, inplace: bool = False) -> Any:
    """Compute `gradlite.mish`: ``x * tanh(softplus(x))``."""
    return rules.mish(array_of(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Compute `gradlite.softplus`: ``log(1 + exp(beta * x)) / beta``; x above the threshold.

    Examples
    --------
    >>> import numpy as np
    >>> softplus(np.array([-1000.0, 0.0, 1000.0]), beta=2.0)
    array([0.0000000e+00, 3.4657359e-01, 1.0000000e+03])
    """
    return rules.softplus(array_of(input), beta=beta, threshold=threshold)


def softsign(input: Any) -> Any:
    """Compute `gradlite.softsign`: ``x / (1 + |x|)``."""
    return rules.softsign(array_of(input))


def sigmoid(input: Any) -> Any:
    """Compute `gradlite.sigmoid`: ``1 / (1 + exp(-x))``."""
    return rules.sigmoid(array_of(input))


def logsigmoid(input: Any) -> Any:
    """Compute `gradlite.logsigmoid`: the logarithm of the sigmoid."""
    return rules.logsigmoid(array_of(input))


def tanh(input: Any) -> Any:
    """Compute `numpy.tanh`."""
    return np.tanh(input)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Compute `gradlite.hardtanh`: ``x``, but at least `min_val` and at most `max_val`."""
    return rectifiers.hardtanh(array_of(input), min_val, max_val)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Compute `gradlite.hardswish`: ``x * relu6(x + 3) / 6``."""
    return rectifiers.hardswish(array_of(input))


def softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """Compute `gradlite.softmax` along the axis `dim`, in `dtype` if one is given.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.zeros((2, 4)), dim=0)[0]
    array([0.5, 0.5, 0.5, 0.5])
    """
    return softmaxes.softmax(_along("softmax", input, dim, dtype), axis=dim)


def log_softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """Compute `gradlite.log_softmax` along the axis `dim`, in `dtype` if one is given."""
    return softmaxes.log_softmax(_along("log_softmax", input, dim, dtype), axis=dim)


def _along(name: str, input: Any, dim: int | None, dtype: Any) -> Any:
    """Return the input in a type; raise TypeError for no axis, which PyTorch would guess."""
    if dim is None:
        raise TypeError(f"{name}: say along which axis: dim=-1 for the last, dim=1 for classes.")
    x = array_of(input)
    return x if dtype is None else x.astype(dtype)
