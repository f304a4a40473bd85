"""Embedding and Bilinear: learned rows for categories, and scores of pairs of rows."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from gradlite.autodiff.rules.fused import linear
from gradlite.autodiff.rules.sparse import embedding
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import ShapeError
from gradlite.nn import init
from gradlite.nn.layers import check_size, uniform_parameter
from gradlite.nn.module import Module, Parameter, Rng, generator


class Embedding(Module):
    """A table of learned rows, selected by index.

    Parameters
    ----------
    num_embeddings : int
        The number of rows.
    embedding_dim : int
        Their length.
    padding_idx : int, optional
        A row that starts at zero and gets no gradient: padding for short sequences.
    dtype : dtype, default float32
        The type of the parameters.
    rng : Generator, optional
        Where the initial values come from.

    Attributes
    ----------
    weight : Parameter, shape (num_embeddings, embedding_dim)
        At first drawn from the standard normal distribution.

    Examples
    --------
    >>> import numpy as np
    >>> Embedding(10, 4)(np.array([[1, 2, 3], [9, 9, 0]])).shape
    (2, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        self.num_embeddings = check_size(self, "num_embeddings", num_embeddings)
        self.embedding_dim = check_size(self, "embedding_dim", embedding_dim)
        self.padding_idx = padding_idx
        table = init.normal(np.empty((num_embeddings, embedding_dim), dtype), rng=rng)
        if padding_idx is not None:
            self.padding_idx = range(num_embeddings)[padding_idx]  # may count from the end
            table[padding_idx] = 0
        self.weight = Parameter(table, copy=False)

    def forward(self, indices: Any) -> Any:
        """Return the rows at `indices`."""
        if isinstance(indices, Tensor):
            indices = indices.data
        return embedding(self.weight, indices=np.asarray(indices), padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}" + (
            "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        )


def bilinear(x1: Any, x2: Any, weight: Any, bias: Any) -> Any:
    """Compute ``x1 @ weight[k] @ x2 + bias[k]`` for each k, of shapes that fit."""
    k, n, m = weight.shape
    pairs = np.expand_dims(x1, -1) * np.expand_dims(x2, -2)
    pairs = np.reshape(pairs, (*x1.shape[:-1], n * m))
    return linear(pairs, np.reshape(weight, (k, n * m)), bias)


class Bilinear(Module):
    """Compute ``x1 @ weight[k] @ x2 + bias[k]`` for each output k.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
        The lengths of the rows of both inputs, and of the output.
    bias : bool, default True
        Whether to add a bias.
    dtype : dtype, default float32
        The type of the parameters.
    rng : Generator, optional
        Where the initial values come from.

    Attributes
    ----------
    weight : Parameter, shape (out_features, in1_features, in2_features)
        At first drawn from ``uniform(-b, b)``, where ``b = 1 / sqrt(in1_features)``.
    bias : Parameter, shape (out_features,), or None
        Drawn in the same way as the weight, after it.

    Examples
    --------
    >>> import numpy as np
    >>> Bilinear(3, 4, 2)(np.ones((5, 3)), np.ones((5, 4))).shape
    (5, 2)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        self.in1_features = check_size(self, "in1_features", in1_features)
        self.in2_features = check_size(self, "in2_features", in2_features)
        self.out_features = check_size(self, "out_features", out_features)
        rng = generator(rng)
        bound = 1 / sqrt(in1_features)
        self.weight = uniform_parameter(
            (out_features, in1_features, in2_features), bound, dtype, rng
        )
        self.bias = uniform_parameter((out_features,), bound, dtype, rng) if bias else None

    def forward(self, x1: Any, x2: Any) -> Any:
        """Apply the layer to each pair of rows."""
        n, m = self.in1_features, self.in2_features
        if x1.shape[-1:] != (n,) or x2.shape != (*x1.shape[:-1], m):
            raise ShapeError(
                f"{self._title()} got inputs of shapes {x1.shape} and {x2.shape}: expected "
                f"(..., {n}) and (..., {m})."
            )
        return bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.in1_features}, {self.in2_features}, {self.out_features}" + (
            ", bias=False" if self.bias is None else ""
        )
