"""The derivative rules: one line a function, siblings beside siblings."""

from gradlite.rules import (
    activations,
    einsum,
    elementwise,
    fused,
    indexing,
    linalg,
    products,
    reductions,
    shape,
)

__all__ = [
    "activations",
    "einsum",
    "elementwise",
    "fused",
    "indexing",
    "linalg",
    "products",
    "reductions",
    "shape",
]
