"""Activations as modules: the functions of gradlite under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rules.activations import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus
from gradlite.autodiff.rules.reductions import log_softmax, softmax
from gradlite.nn.module import Module


class ReLU(Module):
    """Apply `gradlite.relu`: ``max(x, 0)``."""

    forward = staticmethod(relu)


class Tanh(Module):
    """Apply `numpy.tanh`."""

    forward = staticmethod(np.tanh)


class Sigmoid(Module):
    """Apply `gradlite.sigmoid`: ``1 / (1 + exp(-x))``."""

    forward = staticmethod(sigmoid)


class Softplus(Module):
    """Apply `gradlite.softplus`: ``log(1 + exp(x))``."""

    forward = staticmethod(softplus)


class SiLU(Module):
    """Apply `gradlite.silu`: ``x * sigmoid(x)``."""

    forward = staticmethod(silu)


class GELU(Module):
    """Apply `gradlite.gelu`: ``x * P(Z <= x)`` for a standard normal Z."""

    forward = staticmethod(gelu)


class LeakyReLU(Module):
    """Apply `gradlite.leaky_relu`: ``x`` above 0, ``negative_slope * x`` below."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return leaky_relu(x, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        """Return the slope."""
        return f"{self.negative_slope}"


class ELU(Module):
    """Apply `gradlite.elu`: ``x`` above 0, ``alpha * (exp(x) - 1)`` below."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """Apply it elementwise."""
        return elu(x, alpha=self.alpha)

    def extra_repr(self) -> str:
        """Return alpha."""
        return f"{self.alpha}"


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
