"""Activations as modules: the functions of gradlite under PyTorch's names.

Where PyTorch has ``inplace``, it is accepted; it has no effect on results, and saves nothing here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rules.activations import (
    celu,
    elu,
    gelu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from gradlite.autodiff.rules.softmax import log_softmax, softmax
from gradlite.errors import ShapeError
from gradlite.nn.layers import check_size
from gradlite.nn.module import Module, Parameter


class _InPlace(Module):
    """A module without parameters of its own that takes, and ignores, ``inplace``."""

    def __init__(self, inplace: bool = False) -> None:
        if not isinstance(inplace, (bool, int)):
            name = type(self).__name__
            raise TypeError(f"{name}() takes no data: layer = nn.{name}(); layer(x).")


# -- without parameters ------------------------------------------------------------------------


class ReLU(_InPlace):
    """Apply `gradlite.relu`: ``max(x, 0)``."""

    forward = staticmethod(relu)


class ReLU6(_InPlace):
    """Apply `gradlite.relu6`: ``min(max(x, 0), 6)``."""

    forward = staticmethod(relu6)


class Hardsigmoid(_InPlace):
    """Apply `gradlite.hardsigmoid`: ``min(max(x + 3, 0), 6) / 6``."""

    forward = staticmethod(hardsigmoid)


class Hardswish(_InPlace):
    """Apply `gradlite.hardswish`: ``x * min(max(x + 3, 0), 6) / 6``."""

    forward = staticmethod(hardswish)


class SELU(_InPlace):
    """Apply `gradlite.selu`: `ELU` scaled so that mean 0 and variance 1 are kept."""

    forward = staticmethod(selu)


class SiLU(_InPlace):
    """Apply `gradlite.silu`: ``x * sigmoid(x)``."""

    forward = staticmethod(silu)


class Mish(_InPlace):
    """Apply `gradlite.mish`: ``x * tanh(softplus(x))``."""

    forward = staticmethod(mish)


class Tanh(Module):
    """Apply `numpy.tanh`."""

    forward = staticmethod(np.tanh)


class Tanhshrink(Module):
    """Apply `gradlite.tanhshrink`: ``x - tanh(x)``."""

    forward = staticmethod(tanhshrink)


class Sigmoid(Module):
    """Apply `gradlite.sigmoid`: ``1 / (1 + exp(-x))``."""

    forward = staticmethod(sigmoid)


class LogSigmoid(Module):
    """Apply `gradlite.logsigmoid`: ``log(sigmoid(x))``."""

    forward = staticmethod(logsigmoid)


class Softsign(Module):
    """Apply `gradlite.softsign`: ``x / (1 + abs(x))``."""

    forward = staticmethod(softsign)


# -- with parameters ---------------------------------------------------------------------------


class LeakyReLU(Module):
    """Apply `gradlite.leaky_relu`: ``x`` above 0, ``negative_slope * x`` below."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return leaky_relu(x, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        """Return the slope."""
        return f"{self.negative_slope}"


class PReLU(Module):
    """Apply `gradlite.prelu`: `LeakyReLU`, with slopes that are learned.

    Parameters
    ----------
    num_parameters : int, default 1
        One slope for all, or as many as the input has channels (its axis 1).
    init : float, default 0.25
        The first value of the slopes.
    dtype : dtype, default float32
        The type of the slopes.

    Attributes
    ----------
    weight : Parameter, shape (num_parameters,)
        The slopes. Decay of weights pulls them to 0, and so towards `ReLU`.

    Examples
    --------
    >>> import numpy as np
    >>> layer = PReLU(2)
    >>> layer(np.array([[-1.0, 2.0]], np.float32)).data
    array([[-0.25,  2.  ]], dtype=float32)
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = np.float32
    ) -> None:
        self.num_parameters = check_size(self, "num_parameters", num_parameters)
        self.weight = Parameter(np.full(self.num_parameters, init, dtype), copy=False)

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        try:
            return prelu(x, self.weight)
        except ShapeError:
            raise ShapeError(
                f"{self._title()} got an input of shape {np.shape(x)}: expected "
                f"(n, {self.num_parameters}, ...)."
            ) from None

    def extra_repr(self) -> str:
        """Return the number of slopes."""
        return f"{self.num_parameters}"


class ELU(Module):
    """Apply `gradlite.elu`: ``x`` above 0, ``alpha * (exp(x) - 1)`` below."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return elu(x, alpha=self.alpha)

    def extra_repr(self) -> str:
        """Return alpha."""
        return f"{self.alpha}"


class CELU(Module):
    """Apply `gradlite.celu`: ``x`` above 0, ``alpha * (exp(x / alpha) - 1)`` below."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return celu(x, alpha=self.alpha)

    def extra_repr(self) -> str:
        """Return alpha."""
        return f"{self.alpha}"


class Hardtanh(Module):
    """Apply `gradlite.hardtanh`: ``x``, limited to an interval."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if not min_val < max_val:
            raise ValueError(f"Hardtanh needs min_val < max_val, not {min_val!r} and {max_val!r}.")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return hardtanh(x, min_val=self.min_val, max_val=self.max_val)

    def extra_repr(self) -> str:
        """Return the bounds."""
        return f"{self.min_val}, {self.max_val}"


class Threshold(Module):
    """Apply `gradlite.threshold`: ``x`` above `threshold`, `value` elsewhere."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value = threshold, value

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return threshold(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        """Return the threshold and the value."""
        return f"{self.threshold}, {self.value}"


class Softshrink(Module):
    """Apply `gradlite.softshrink`: ``x``, moved towards 0 by `lambd`."""

    def __init__(self, lambd: float = 0.5) -> None:
        if lambd < 0:
            raise ValueError(f"Softshrink needs lambd of at least 0, not {lambd!r}.")
        self.lambd = lambd

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return softshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """Return how far."""
        return f"{self.lambd}"


class Softplus(Module):
    """Apply `gradlite.softplus`: ``log(1 + exp(beta * x)) / beta``.

    Where ``beta * x`` is above `threshold`, it is ``x`` itself, as in PyTorch; at 20, the default,
    the difference is 2e-9 / beta.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return softplus(x, beta=self.beta, threshold=self.threshold)

    def extra_repr(self) -> str:
        """Return beta and the threshold."""
        return f"{self.beta}, {self.threshold}"


class GELU(Module):
    """Apply `gradlite.gelu`: ``x * P(Z <= x)`` for a standard normal Z, or its approximation."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', not {approximate!r}.")
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Return the approximation."""
        return f"approximate={self.approximate!r}" if self.approximate != "none" else ""


# -- along an axis -----------------------------------------------------------------------------


class GLU(Module):
    """Apply `gradlite.glu`: one half along the axis `dim`, times the sigmoid of the other."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """Apply it along the axis."""
        try:
            return glu(x, axis=self.dim)
        except ShapeError:
            raise ShapeError(
                f"{self._title()} got an input of shape {np.shape(x)}: expected one whose axis "
                f"{self.dim} has two halves."
            ) from None

    def extra_repr(self) -> str:
        """Return the axis."""
        return f"dim={self.dim}"


class Softmax(Module):
    """Apply `gradlite.softmax` along the axis `dim`."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """Apply it along the axis."""
        return softmax(x, axis=self.dim)

    def extra_repr(self) -> str:
        """Return the axis."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """Apply `gradlite.log_softmax` along the axis `dim`."""

    def forward(self, x: Any) -> Any:
        """Apply it along the axis."""
        return log_softmax(x, axis=self.dim)
