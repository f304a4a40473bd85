"""The derivative rules: one line for each function, grouped by topic."""

from gradlite.autodiff.rules import (
    activations,
    class_losses,
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
    recurrent,
    reductions,
    shape,
    sparse,
)

__all__ = [
    "activations",
    "class_losses",
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
    "recurrent",
    "reductions",
    "shape",
    "sparse",
]
