"""Layers: linear ones, dropout, and those that change the shape.

Names, argument orders, weight shapes and initial values are PyTorch's. A layer draws from its
`rng`, a `numpy.random.Generator` (None: that of `random_draws`, or a new one).
"""

from __future__ import annotations

from math import prod, sqrt
from operator import index
from typing import Any

import numpy as np

from gradlite.autodiff.rules.fused import linear
from gradlite.autodiff.rules.sparse import sparse_matmul
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import ShapeError
from gradlite.nn import init
from gradlite.nn.module import Module, Parameter, Rng, generator


def check_size(layer: Module, name: str, value: Any) -> int:
    """Return a layer size as an int; raise an error unless it is a positive integer."""
    kind = type(layer).__name__
    try:
        number = index(value)
    except TypeError:
        raise TypeError(
            f"{kind}: {name} must be an integer, not {value!r}. For several layers, put one after "
            f"the other in a Sequential."
        ) from None
    if number < 1:
        raise ValueError(f"{kind}: {name} must be at least 1, not {value!r}.")
    return number


def uniform_parameter(
    shape: tuple[int, ...], bound: float, dtype: Any, rng: np.random.Generator
) -> Parameter:
    """Return a parameter with values drawn uniformly between ``-bound`` and ``bound``."""
    return init.uniform(Parameter(np.empty(shape, dtype), copy=False), -bound, bound, rng=rng)


# -- layers with weights ----------------------------------------------------------------------


class Linear(Module):
    """Compute ``x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features : int
        The lengths of the input and output rows.
    bias : bool, default True
        Whether to add a bias.
    dtype : dtype, default float32
        The type of the parameters.
    rng : Generator, optional
        Where the initial values come from.

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
        At first drawn from ``uniform(-b, b)``, where ``b = 1 / sqrt(in_features)``.
    bias : Parameter, shape (out_features,), or None
        Drawn in the same way as the weight, after it.

    Notes
    -----
    The input is an array or Tensor of shape ``(..., in_features)``, or a scipy sparse matrix of
    shape ``(n, in_features)``.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Linear(3, 2, rng=np.random.default_rng(0))
    >>> layer
    Linear(3, 2) (8 parameters)
    >>> layer(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        self.in_features = check_size(self, "in_features", in_features)
        self.out_features = check_size(self, "out_features", out_features)
        rng = generator(rng)
        bound = 1 / sqrt(in_features)
        self.weight = uniform_parameter((out_features, in_features), bound, dtype, rng)
        self.bias = uniform_parameter((out_features,), bound, dtype, rng) if bias else None

    def forward(self, x: Any) -> Any:
        """Apply the layer to each row."""
        kind = type(x)
        if kind is not np.ndarray and kind is not Tensor and hasattr(x, "tocsr"):
            return self._forward_sparse(x)
        try:
            return linear(x, self.weight, self.bias)
        except ShapeError:
            raise self._shape_error(np.shape(x)) from None

    def _forward_sparse(self, x: Any) -> Any:
        if x.shape[1:] != (self.in_features,):
            raise self._shape_error(x.shape)
        product = sparse_matmul(self.weight.T, x=x)
        return product if self.bias is None else product + self.bias

    def _shape_error(self, shape: tuple[int, ...]) -> ShapeError:
        return ShapeError(
            f"{self._title()} got an input of shape {shape}: expected (..., {self.in_features})."
        )

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.in_features}, {self.out_features}" + (
            ", bias=False" if self.bias is None else ""
        )


# -- layers without weights --------------------------------------------------------------------


class Dropout(Module):
    """Set elements to zero at random while training, and scale up the others.

    Each element is dropped with probability `p`, to within 1e-5; those kept are divided by
    ``1 - p``, which preserves the expected value. In eval mode nothing is changed. Srivastava et
    al., "Dropout: a simple way to prevent neural networks from overfitting" (JMLR 15, 2014).

    Parameters
    ----------
    p : float, default 0.5
        The probability of being dropped, at least 0 and less than 1.
    rng : Generator, optional
        Where the draws come from.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Dropout(0.5, rng=np.random.default_rng(4))
    >>> layer(np.ones(6))
    array([0., 2., 0., 2., 0., 2.])
    >>> layer.eval()(np.ones(6))
    array([1., 1., 1., 1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout needs a probability p with 0 <= p < 1, not {p!r}.")
        self.p = p
        self.rng = generator(rng)

    def forward(self, x: Any) -> Any:
        """Drop elements in training; return `x` unchanged in eval mode."""
        if not self.training or self.p == 0:
            return x
        # Four 16-bit numbers of each 64-bit draw: a third of the time of floats.
        count = -(-x.size // 4)
        draws = self.rng.integers(0, 2**64 - 1, count, np.uint64, endpoint=True).view(np.uint16)
        dropped = min(round(self.p * 2**16), 2**16 - 1)
        kept = np.reshape(draws[: x.size], x.shape) >= dropped
        return x * np.multiply(kept, 1 / (1 - self.p), dtype=np.result_type(x.dtype, np.float16))

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"{self.p}"


class Flatten(Module):
    """Join the axes from `start_dim` onwards into one.

    Examples
    --------
    >>> import numpy as np
    >>> Flatten()(np.ones((5, 3, 2, 2))).shape
    (5, 12)
    """

    def __init__(self, start_dim: int = 1) -> None:
        self.start_dim = start_dim

    def forward(self, x: Any) -> Any:
        """Reshape."""
        kept, joined = x.shape[: self.start_dim], x.shape[self.start_dim :]
        if not joined:
            raise ShapeError(f"{self._title()} got an input of shape {x.shape}: no such axis.")
        return np.reshape(x, (*kept, prod(joined)))

    def extra_repr(self) -> str:
        """Return the first axis."""
        return f"{self.start_dim}"


class Identity(Module):
    """Return the input: a placeholder for a layer."""

    def forward(self, x: Any) -> Any:
        """Return `x`."""
        return x
