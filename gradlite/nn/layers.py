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


def in_type_of(x: Any, weight: Any) -> Any:
    """Return an array in the weights' type, if it is of float64 and they are not.

    NumPy's numbers are of float64: they would make all of a network of float32 compute in it.
    """
    wanted = weight.dtype
    given = getattr(x, "dtype", wanted)
    if given is wanted or getattr(given, "char", "") != "d" or hasattr(x, "tocsr"):
        return x
    return x.astype(wanted)


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
    shape ``(n, in_features)``. In float64, it is converted to the weights' type.

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
        x = in_type_of(x, self.weight)
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


def drop(x: Any, p: float, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Return `x` with parts set to zero; `shape`, which broadcasts to its own, is what is drawn."""
    size = prod(shape)
    # Four 16-bit numbers of each 64-bit draw: a third of the time of floats.
    draws = rng.integers(0, 2**64 - 1, -(-size // 4), np.uint64, endpoint=True).view(np.uint16)
    kept = np.reshape(draws[:size], shape) >= min(round(p * 2**16), 2**16 - 1)
    return x * np.multiply(kept, 1 / (1 - p), dtype=np.result_type(x.dtype, np.float16))


class Dropout(Module):
    """Set elements to zero at random while training, and scale up the others.

    Each element is dropped with probability `p`, to within 1e-5; those kept are divided by
    ``1 - p``, which preserves the expected value. In eval mode nothing is changed. Srivastava et
    al., "Dropout: a simple way to prevent neural networks from overfitting" (JMLR 15, 2014).

    Parameters
    ----------
    p : float, default 0.5
        The probability of being dropped, at least 0 and less than 1.
    inplace : bool, default False
        Accepted, as in PyTorch; has no effect.
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

    def __init__(self, p: float = 0.5, inplace: bool = False, *, rng: Rng = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout needs a probability p with 0 <= p < 1, not {p!r}.")
        self.p = p
        self.rng = generator(rng)

    def forward(self, x: Any) -> Any:
        """Drop elements in training; return `x` unchanged in eval mode."""
        if not self.training or self.p == 0:
            return x
        return drop(x, self.p, self._drawn_shape(x.shape), self.rng)

    def _drawn_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of what is drawn for an input of this shape, which it broadcasts to."""
        return shape

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"{self.p}"


class Dropout1d(Dropout):
    """Set whole channels of sequences to zero at random while training, and scale up the others.

    Parameters are those of `Dropout`. The input has shape (n, channels, length) or
    (channels, length). Tompson et al., "Efficient object localization using convolutional
    networks" (arXiv:1411.4280).

    Examples
    --------
    >>> import numpy as np
    >>> Dropout1d(0.5, rng=np.random.default_rng(4))(np.ones((4, 3)))
    array([[0., 0., 0.],
           [2., 2., 2.],
           [0., 0., 0.],
           [2., 2., 2.]])
    """

    def _drawn_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (2, 3):
            raise ShapeError(
                f"{self._title()} got an input of shape {shape}: expected (n, channels, length) or "
                f"(channels, length)."
            )
        return (*shape[:-1], 1)


class Dropout2d(Dropout):
    """Set whole channels of images to zero at random while training, and scale up the others.

    Parameters are those of `Dropout`. The input has shape (n, channels, height, width). PyTorch
    takes three axes as (n, channels, length), which is for `Dropout1d`: here they are an error.

    Examples
    --------
    >>> import numpy as np
    >>> Dropout2d(0.5, rng=np.random.default_rng(4))(np.ones((1, 4, 2, 2)))[0, :, 0]
    array([[0., 0.],
           [2., 2.],
           [0., 0.],
           [2., 2.]])
    """

    def _drawn_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 4:
            raise ShapeError(
                f"{self._title()} got an input of shape {shape}: expected (n, channels, height, "
                f"width). Dropout1d takes sequences."
            )
        return (*shape[:2], 1, 1)


class Flatten(Module):
    """Join the axes from `start_dim` to `end_dim` into one.

    Parameters
    ----------
    start_dim : int, default 1
        The first of the axes; negative numbers count from the last.
    end_dim : int, default -1
        The last of them.

    Examples
    --------
    >>> import numpy as np
    >>> Flatten()(np.ones((5, 3, 2, 2))).shape
    (5, 12)
    >>> Flatten(0, 1)(np.ones((5, 3, 2, 2))).shape
    (15, 2, 2)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Any:
        """Reshape."""
        shape, axes = x.shape, len(x.shape)
        start, end = (i + axes if i < 0 else i for i in (self.start_dim, self.end_dim))
        if not 0 <= start <= end < axes:
            raise ShapeError(f"{self._title()} got an input of shape {shape}: no such axes.")
        return np.reshape(x, (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]))

    def extra_repr(self) -> str:
        """Return the first axis, and the last if it is not that of the input."""
        return f"{self.start_dim}" + (f", {self.end_dim}" if self.end_dim != -1 else "")


class Unflatten(Module):
    """Split an axis into several.

    Parameters
    ----------
    dim : int
        The axis; negative numbers count from the last.
    unflattened_size : tuple of int
        The lengths of the new axes, of which one may be -1: what is left.

    Examples
    --------
    >>> import numpy as np
    >>> Unflatten(1, (3, 2, -1))(np.ones((5, 12))).shape
    (5, 3, 2, 2)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        if not isinstance(unflattened_size, (tuple, list)) or list(unflattened_size).count(-1) > 1:
            raise ValueError(
                f"Unflatten: unflattened_size must be a tuple of lengths, of which one may be -1, "
                f"not {unflattened_size!r}."
            )
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, x: Any) -> Any:
        """Reshape."""
        shape, sizes = x.shape, self.unflattened_size
        dim = self.dim + len(shape) if self.dim < 0 else self.dim
        known = -prod(sizes) if -1 in sizes else prod(sizes)
        length = shape[dim] if 0 <= dim < len(shape) else None
        if length is None or (length % known if -1 in sizes and known else length != known):
            raise ShapeError(
                f"{self._title()} got an input of shape {shape}: axis {self.dim} cannot be split "
                f"into {sizes}."
            )
        return np.reshape(x, (*shape[:dim], *sizes, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        """Return the axis and the lengths."""
        return f"{self.dim}, {self.unflattened_size}"


class Identity(Module):
    """Return the input: a placeholder for a layer."""

    def forward(self, x: Any) -> Any:
        """Return `x`."""
        return x
