"""The network of an MLP estimator: layers from sizes, weights drawn as in scikit-learn."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gradlite import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}
NORMALIZATIONS: dict[str, Callable[..., nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
}


class Activation(nn.Module):
    """A function of Tensors as a module."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        self.fn = fn

    def forward(self, x: Any) -> Any:
        """Apply the function."""
        return self.fn(x)

    def extra_repr(self) -> str:
        """Name the function."""
        return getattr(self.fn, "__name__", repr(self.fn))


class Standardize(nn.Module):
    """Subtract the mean of each column and divide by its scale: ``standardize=True``.

    Parameters
    ----------
    mean, scale : array, shape (n_features,)
        Those of the training data; `mean` is None for sparse data, which stays sparse.
    """

    mean: np.ndarray | None
    scale: np.ndarray

    def __init__(self, mean: np.ndarray | None, scale: np.ndarray) -> None:
        self.register_buffer("scale", scale)
        self.mean = None
        if mean is not None:
            self.register_buffer("mean", mean)

    def forward(self, x: Any) -> Any:
        """Standardize the columns of `x`."""
        if hasattr(x, "tocsr"):
            if self.mean is None:
                return x.multiply(1 / self.scale).tocsr()
            x = x.toarray()
        return x / self.scale if self.mean is None else (x - self.mean) / self.scale


class Standardized(nn.Sequential):
    """Two modules: `Standardize`, and the network."""


class Perceptron(nn.Sequential):
    """Hidden blocks (Linear, normalization, activation, dropout), then a final Linear.

    Parameters
    ----------
    sizes : sequence of int
        The numbers of features, of units of each hidden layer, and of outputs.
    activations : sequence of str or callable
        The activation of each hidden layer.
    dropout : sequence of float
        The dropout probability after each hidden layer.
    normalization : {'batch', 'layer'} or None
        The normalization between each hidden Linear and its activation.
    dtype : dtype
        The type of the parameters.
    rng : RandomState
        The generator that draws weights and biases, layer by layer.

    Attributes
    ----------
    ends : list of int
        Where each hidden layer ends among the modules.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activations: Sequence[str | Callable[[Any], Any]],
        dropout: Sequence[float],
        normalization: str | None,
        dtype: Any,
        rng: np.random.RandomState,
    ) -> None:
        modules: list[nn.Module] = []
        self.ends: list[int] = []
        for i, (n, m) in enumerate(pairwise(sizes)):
            last = i == len(sizes) - 2
            near = activations[i - last] if activations else "identity"
            modules.append(glorot_linear(n, m, near, dtype, rng))
            if last:
                break
            if normalization is not None:
                modules.append(NORMALIZATIONS[normalization](m, dtype=dtype))
            modules.append(activation(activations[i]))
            if dropout[i]:
                modules.append(nn.Dropout(dropout[i]))
            self.ends.append(len(modules))
        super().__init__(*modules)

    def linears(self) -> list[nn.Linear]:
        """Return the Linear layers, from the input to the output."""
        return [module for module in self if isinstance(module, nn.Linear)]


def activation(name: str | Callable[[Any], Any]) -> nn.Module:
    """Return the module of an activation."""
    return ACTIVATIONS[name]() if isinstance(name, str) else Activation(name)


def glorot_linear(
    n: int, m: int, near: str | Callable[[Any], Any], dtype: Any, rng: np.random.RandomState
) -> nn.Linear:
    """Return a Linear layer with uniform weights and biases within Glorot and Bengio's bound.

    The bound is ``sqrt(6 / (n + m))``, or ``sqrt(2 / (n + m))`` before a logistic function (and in
    the output layer after one): scikit-learn's choice, drawn from the same stream in the same
    order, so that the same seed gives the same network.
    Understanding the difficulty of training deep feedforward neural networks, 2010.
    """
    factor = 2.0 if near in ("logistic", "sigmoid") else 6.0
    bound = np.sqrt(factor / (n + m))
    made = nn.Linear(n, m, dtype=dtype)
    made.weight.data[...] = rng.uniform(-bound, bound, (n, m)).T
    assert made.bias is not None
    made.bias.data[...] = rng.uniform(-bound, bound, m)
    return made


def check_memory(sizes: Sequence[int], dtype: Any) -> None:
    """Raise ValueError if a network cannot be trained in the memory of this machine.

    The message names the layer that is too large. Parameters are counted four times: for
    themselves, their gradients, and two moments.
    """
    counts = [(n + 1) * m for n, m in pairwise(sizes)]
    needed = 4 * sum(counts) * np.dtype(dtype).itemsize
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # unknown here
        return
    if needed > there:
        i = int(np.argmax(counts))
        raise ValueError(
            f"A network of layer sizes {tuple(sizes)} takes about {needed / 1e9:.1f} GB to train, "
            f"and this machine has {there / 1e9:.1f} GB: {counts[i]:,} parameters lie between the "
            f"layers of {sizes[i]:,} and {sizes[i + 1]:,} units. Fewer classes, features or hidden "
            f"units are needed."
        )
