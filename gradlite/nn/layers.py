"""Layers: linear ones, activations, dropout, and containers that combine them.

Names, argument orders, weight shapes and initial values are PyTorch's. A layer draws from its
`rng`, a `numpy.random.Generator` (None: that of `random_draws`, or a new one).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod, sqrt
from operator import index
from typing import Any, Self, overload

import numpy as np

from gradlite.autodiff.rules.activations import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus
from gradlite.autodiff.rules.fused import linear
from gradlite.autodiff.rules.reductions import log_softmax, softmax
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


# -- activations ------------------------------------------------------------------------------


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


# -- modules of modules -----------------------------------------------------------------------


def check_module(owner: str, module: Any) -> Module:
    """Return `module`; raise TypeError if it is not a Module, with the likely remedy."""
    if isinstance(module, Module):
        return module
    if isinstance(module, type):
        remedy = f"make one: {module.__name__}()"
    elif isinstance(module, (list, tuple)):
        remedy = f"spread it: {owner}(*layers)"
    elif callable(module):
        remedy = "use the module of that activation, nn.ReLU() say, or wrap it in a Module"
    else:
        remedy = "wrap it in a Module with a forward method"
    raise TypeError(f"{owner} consists of modules, not {module!r}: {remedy}.")


class Sequential(Module):
    """Modules applied one after the other.

    Parameters
    ----------
    *modules : Module, or one dict of them
        Applied in order. Their names are "0", "1", ..., or the keys of the dict.

    Notes
    -----
    As in PyTorch, all modules that are attributes are applied, in the order in which they were
    assigned, and a named module can be accessed as an attribute.

    Examples
    --------
    >>> net = Sequential(Linear(64, 32), ReLU(), Linear(32, 10))
    >>> net
    Sequential (2,410 parameters)
      0: Linear(64, 32) (2,080)
      1: ReLU()
      2: Linear(32, 10) (330)
    >>> net[:2]
    Sequential (2,080 parameters)
      0: Linear(64, 32) (2,080)
      1: ReLU()
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self._add(name, module)
        else:
            for i, part in enumerate(modules):
                self._add(str(i), part)

    def forward(self, x: Any) -> Any:
        """Apply all modules in order."""
        for module in vars(self).values():
            if isinstance(module, Module):
                x = module(x)
        return x

    def append(self, module: Any) -> Self:
        """Add a module at the end."""
        self._add(str(len(self)), module)
        return self

    def _add(self, name: str, module: Any) -> None:
        module = check_module(type(self).__name__, module)
        if not isinstance(name, str) or not name or "." in name or hasattr(self, name):
            raise ValueError(
                f"{type(self).__name__}: {name!r} is not a valid name for a module. Use a string "
                f"without dots that is not the name of another attribute."
            )
        setattr(self, name, module)

    def _chain(self) -> list[Module]:
        return [part for part in vars(self).values() if isinstance(part, Module)]

    def __len__(self) -> int:
        return len(self._chain())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._chain())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        if isinstance(index, slice):
            return Sequential(*self._chain()[index])
        return self._chain()[index]


class Residual(Module):
    """Add the output of modules to their input: ``shortcut(x) + modules(x)``.

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (CVPR 2016).

    Parameters
    ----------
    *modules : Module
        Applied one after the other.
    shortcut : Module, optional
        Applied to the input where `modules` change its shape: ``Linear(n, m)``, say.

    Examples
    --------
    >>> import numpy as np
    >>> Residual(Linear(8, 8), ReLU())(np.ones((5, 8))).shape
    (5, 8)
    """

    def __init__(self, *modules: Module, shortcut: Module | None = None) -> None:
        self.body = Sequential(*modules)
        self.shortcut = None if shortcut is None else check_module("Residual", shortcut)

    def forward(self, x: Any) -> Any:
        """Return ``shortcut(x) + modules(x)``."""
        y = self.body(x)
        if self.shortcut is not None:
            x = self.shortcut(x)
        if np.shape(x) != np.shape(y):
            given = "x" if self.shortcut is None else "shortcut(x)"
            raise ShapeError(
                f"Residual cannot add its modules' output of shape {np.shape(y)} to {given} of "
                f"shape {np.shape(x)}. Pass shortcut=, a module whose output has that shape."
            )
        return x + y
