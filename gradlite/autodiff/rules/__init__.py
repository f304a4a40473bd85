"""The derivative rules: one line a function, siblings beside siblings."""

from gradlite.autodiff.rules import (
    activations,
    convolution,
    einsum,
    elementwise,
    fused,
    indexing,
    linalg,
    losses,
    normalization,
    pooling,
    products,
    reductions,
    shape,
    sparse,
)

__all__ = [
    "activations",
    "convolution",
    "einsum",
    "elementwise",
    "fused",
    "indexing",
    "linalg",
    "losses",
    "normalization",
    "pooling",
    "products",
    "reductions",
    "shape",
    "sparse",
]
