"""The derivative rules: one line a function, siblings beside siblings."""

from gradlite.rules import (
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
    "einsum",
    "elementwise",
    "fused",
    "indexing",
    "linalg",
    "products",
    "reductions",
    "shape",
]
